"""The inputs of dose–function figures opened together: prediction, dose, structures, CT; and whether they belong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.dose.analysis import DoseImages, structure_dose
from DLCTPMLib.dose.belonging import Placed, ct_belonging, related
from DLCTPMLib.dose.files import PlanDose, read_dose
from DLCTPMLib.dose.structures import Structures, read_structures
from DLCTPMLib.results.finished import FinishedResult, open_result
from DLCTPMLib.volumes.patient_axes import PatientAxes
from DLCTPMLib.volumes.reading import read_ct
from DLCTPMLib.volumes.transform_files import read_transform


@dataclass(frozen=True)
class DosePaths:
    """The inputs as they are given.

    Attributes:
        result: folder of a prediction.
        dose: RT dose files or folders, or one volume in Gy.
        summed: add several RT dose files up.
        structures: RT structure set, DICOM segmentation or ``.seg.nrrd``.
        exclude: names of the structures that are no lung; None for gross and internal target volumes.
        organs: names of further structures whose dose is wanted.
        transform: maps CT points to dose points.
        ct: DICOM folder of the CT; ``series`` and ``acquisition`` choose one of several.
        orientation: of a dose volume that does not say how it lies.
        salt: key of the hashes that name the CT's examination in the prediction.
    """

    result: str
    dose: Sequence[str]
    summed: bool = False
    structures: str | None = None
    exclude: Sequence[str] | None = None
    organs: Sequence[str] = ()
    transform: str | None = None
    ct: str | None = None
    series: str | None = None
    acquisition: str | None = None
    orientation: str | None = None
    salt: str | None = None


@dataclass(frozen=True)
class DoseInputs:
    """The inputs, opened, and known to belong together as far as they say.

    Attributes:
        finished: the prediction.
        dose: of the plan.
        structures: None without.
        excluded, organs: names of structures.
        transform: maps points of the CT to points of the dose.
        moved_structures: the same for the structures, None where they lie on the CT.
        notes: sentences for the user.
    """

    finished: FinishedResult
    dose: PlanDose
    structures: Structures | None
    excluded: list[str]
    organs: list[str]
    transform: sitk.Transform | None
    moved_structures: sitk.Transform | None
    notes: list[str]

    def images(self) -> tuple[DoseImages, dict[str, dict]]:
        """What the figures are made of, and the doses of targets and organs by name.

        Raises:
            InputError: contours that do not lie on the CT's slices.
        """
        excluded, doses = {}, {}
        lungs, axes = self.finished.lungs, PatientAxes.of(self.finished.perfusion)
        for name in dict.fromkeys([*self.excluded, *self.organs]):
            mask = axes.view(self.structures.mask(name, self.finished.perfusion, self.moved_structures))
            if not mask.any():
                raise InputError(
                    f"{self.structures.path}: nothing of its structure {name} lies on the CT of this prediction; "
                    "give the structures drawn on it"
                )
            role = "excluded" if name in self.excluded else "organ"
            doses[name] = {"role": role, **structure_dose(mask, axes, self.dose.image, self.transform)}
            if role == "excluded":
                excluded[name] = np.ascontiguousarray(mask[lungs.box])
        return DoseImages(self.finished.perfusion, lungs, self.dose.image, self.transform, excluded), doses


def open_inputs(paths: DosePaths) -> DoseInputs:
    """Open everything and compare what belongs together.

    Raises:
        InputError: whatever cannot be read; another patient, frame of reference or CT; a structure that is not there
            or has no contours.
    """
    finished = open_result(paths.result)
    dose = read_dose(paths.dose, paths.summed, paths.orientation)
    transform = read_transform(paths.transform) if paths.transform else None
    structures = read_structures(paths.structures) if paths.structures else None
    drawn = None if structures is None else Placed(str(paths.structures), structures.belonging)
    relation = related(
        Placed(str(paths.dose[0]), dose.belonging),
        drawn,
        _ct(paths, finished),
        transform is not None,
        finished.result["input"].get("examination", {}),
        paths.salt,
    )
    excluded, organs, told = _chosen(paths, structures)
    notes = [*dose.notes, *relation.notes, *told]
    moved = transform if relation.structures_move else None
    return DoseInputs(finished, dose, structures, excluded, organs, transform, moved, notes)


def _ct(paths: DosePaths, finished: FinishedResult) -> Placed | None:
    """The CT's series, once it is known to be the one of the prediction."""
    if paths.ct is None:
        return None
    found = read_ct(paths.ct, paths.series, acquisition=paths.acquisition)
    if found.examination is None:
        raise InputError(f"{paths.ct}: has no SOP instances, so is no DICOM series; give the CT's DICOM folder")
    if not finished.is_made_of(found.image):
        raise InputError(
            f"{paths.ct}: is not the CT that {paths.result} was predicted from, or has changed since; predict again, "
            "or give that CT"
        )
    return Placed(paths.ct, ct_belonging(paths.ct, found.examination.series_uid))


def _chosen(paths: DosePaths, structures: Structures | None) -> tuple[list[str], list[str], list[str]]:
    """Names of the structures to leave out and of the organs, with notes."""
    if structures is None:
        if paths.exclude or paths.organs:
            raise InputError("names of structures need the file that holds them; give it with --structures")
        return [], [], ["no target was left out: figures are of the whole lungs (--structures names a file of them)"]
    organs = structures.named(paths.organs)
    if paths.exclude is not None:
        return structures.named(paths.exclude), organs, []
    if structures.targets:
        return structures.named(structures.targets), organs, []
    note = f"{structures.path} has no structure called GTV or ITV: nothing was left out of the lungs"
    return [], organs, [f"{note} (--exclude names one)"]
