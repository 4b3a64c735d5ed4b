"""Semi-virtual patients: the CT and the lungs of a real person, perfusion and SPECT *simulated* on them.

A cohort of them never counts more patients than there are CTs. It holds a copy of each CT (training and study need
CT and SPECT side by side), without any metadata; of where it came from only the file's name is kept, so name files
and folders without the patient's name. One CT of each person: that two are of one person cannot be seen here.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.lungs.masks import Lungs, read_lungs
from DLCTPMLib.lungs.segmentation import segment_lungs
from DLCTPMLib.quality.checks import FAIL, PASS, check_input
from DLCTPMLib.volumes.dicom.series import MAPS_EACH
from DLCTPMLib.volumes.patient_axes import patient_array
from DLCTPMLib.volumes.reading import Scan, read_ct
from DLCTPMLib.volumes.simulated import KEY, mark
from DLCTPMTrainingLib.common.parameters import draw
from DLCTPMTrainingLib.patients.lung_tissue import LungState, perfusion
from DLCTPMTrainingLib.patients.real_cts.anatomy import real_chest
from DLCTPMTrainingLib.patients.real_cts.folder import RealCt
from DLCTPMTrainingLib.patients.real_cts.perfusion import ADDED, arteries_of, measured_lung
from DLCTPMTrainingLib.patients.vessel_tree import fractal_flow
from DLCTPMTrainingLib.patients.virtual_patient import (
    GENERATOR_VERSION,
    VirtualPatient,
    check_simulation,
    parameter_table,
    random_stream,
    scan,
    unseen_streams,
)
from DLCTPMTrainingLib.spect.kinds import OSEM

REAL_ANATOMY_VERSION = 2
"""Raised whenever the same CT and settings would give other voxels (another lung segmentation included)."""
REAL = "no: the CT and lungs of a real person, as they are; perfusion and SPECT beside them are simulated"
SIMULATED = "yes: simulated on a real CT, not measured; research use only"
"""What the files say of themselves."""
_INSTEAD = {
    "give a lung mask with --lungs": "put a lung mask beside it",
    "say so with --lungs-values, ": "",
    f"choose one with --series NUMBER or UID, or map each with '{MAPS_EACH}'": "leave one of them there",
}
"""Options of other commands in messages, and what to do in a folder of CTs."""


_DATA_FILE = re.compile(r"^(?:ElementDataFile\s*=|data ?file:)[ \t]*(\S[^\r\n]*?)\s*$", re.MULTILINE)
"""Where the header of a MetaImage or NRRD names the file of its voxels."""


@dataclass(frozen=True)
class RealCtPatientSettings:
    """What a semi-virtual patient is made from.

    Attributes:
        patient_id: as "SYNTH-CT-0001".
        seed: of all its random streams.
        ct: the CT and its label maps.
        content_sha256: hash of the CT's and the label maps' files.
        diagnosis: one of ``real_cts.perfusion.ADDED``.
        core_spacing_mm: edge of the cubic voxels on which perfusion is made.
        spect: one of ``KINDS``, as for virtual patients.
        misalignment_mm, misalignment_degrees: movement of the patient from CT to SPECT (LPS x, y, z).
        sex, age: not known.
    """

    patient_id: str
    seed: int
    ct: RealCt
    content_sha256: str
    diagnosis: str
    core_spacing_mm: float = 2.0
    spect: str = OSEM
    misalignment_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    misalignment_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    sex: str = ""
    age: str = ""

    def __post_init__(self):
        if self.diagnosis not in ADDED:
            raise InputError(f"{self.diagnosis!r} cannot be simulated on a real CT; use one of: {', '.join(ADDED)}")
        check_simulation(self.core_spacing_mm, self.spect)

    def to_dict(self) -> dict:
        """Plain values for JSON; of the CT its name below the folder, of label maps the files' names."""
        return {**asdict(self), "ct": self.ct.name, "labels": [path.name for path in self.ct.labels]}

    @property
    def sha256(self) -> str:
        """Hash of everything that decides the voxels."""
        versions = [REAL_ANATOMY_VERSION, GENERATOR_VERSION]
        content = json.dumps([versions, self.to_dict(), parameter_table()], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def columns(self) -> dict[str, str]:
        """Further columns of the cohort's table."""
        return {"anatomy": "real", "ct_source": self.ct.name}

    def stream(self, name: str) -> np.random.Generator:
        """The random stream of a stage."""
        return random_stream(self.seed, name)

    def simulate(self) -> VirtualPatient:
        """The patient."""
        return simulate_on_real_ct(self)


@dataclass
class _ChestOnRealCt:
    """The truth of one patient before the SPECT, as ``virtual_patient.scan`` asks for it."""

    state: LungState
    perfusion: np.ndarray
    body: np.ndarray
    offset_mm: tuple[float, float, float]


def simulate_on_real_ct(settings: RealCtPatientSettings) -> VirtualPatient:
    """Make one semi-virtual patient. The same CT and settings give the same voxels."""
    read, lungs, quality = read_chest(settings.ct)
    ct = read.image
    voxels = voxels_sha256(ct)
    real = real_chest(ct, lungs.labels, settings.core_spacing_mm, settings.stream("anatomy"))
    arteries = arteries_of(real, settings.stream("tree"))
    state = measured_lung(real, arteries, unseen_streams(settings))
    add = ADDED[settings.diagnosis]
    if add:
        add(state, settings.stream("disease"))
    flow = fractal_flow(arteries, state.cv, settings.stream("flow").standard_normal(len(arteries.parent)))
    output = draw(settings.stream("person"), "flow.cardiac_output")
    chest = _ChestOnRealCt(state, perfusion(state, real.vessels, flow, output), real.body, real.offset_mm)
    images = {"ct": ct, "lungs": lungs.labels, "perfusion": real.anatomy.grid.image(chest.perfusion, real.offset_mm)}
    images["spect"], drawn = scan(settings, chest, ct, images["perfusion"])
    for name, image in images.items():
        for key in image.GetMetaDataKeys():
            image.EraseMetaData(key)
        if name in ("ct", "lungs"):
            image.SetMetaData(KEY, REAL)
        else:
            mark(image, SIMULATED)
        image.SetMetaData("patient_id", settings.patient_id)
    info = {
        "simulated": True,
        "what_is_simulated": "perfusion and SPECT; the CT and the lungs are those of a real person",
        "anatomy": {
            "real": True,
            "ct": settings.ct.name,
            "ct_voxels_sha256": voxels,
            "ct_read": {key: entry for key, entry in read.description.items() if key != "name"},
            "lungs": lungs.source,
            "measured": real.measured,
            "quality": [one for one in quality if one["status"] != PASS],
            "warnings": [*read.warnings, *lungs.warnings],
        },
        "generator_version": GENERATOR_VERSION,
        "real_anatomy_version": REAL_ANATOMY_VERSION,
        "configuration_sha256": settings.sha256,
        "settings": settings.to_dict(),
        "findings": state.findings,
        "lung_volume_ml": real.measured["lung_volume_ml"],
        "spect": drawn,
    }
    return VirtualPatient(settings.patient_id, **images, info=info)


def read_chest(source: RealCt) -> tuple[Scan, Lungs, list[dict]]:
    """Read a CT, its lungs (the label map that tells most, else found in the CT) and the checks of both.

    Raises:
        InputError: the CT or a label map cannot be used; it is named by its name below the folder.
    """
    try:
        read = read_ct(source.path)
        if read.simulated:
            raise InputError(f"{source.path}: is a virtual patient's CT, not a real one; take it out of the folder")
        found = [read_lungs(path, read.image) for path in source.labels] or [segment_lungs(read.image)]
    except InputError as error:
        sentence = _told(str(error), source)
        for option, here in _INSTEAD.items():
            sentence = sentence.replace(option, here)
        named = sentence if source.name in sentence else f"{source.name}: {sentence}"
        raise InputError(named) from error
    lungs = max(found, key=lambda one: len(np.unique(sitk.GetArrayViewFromImage(one.labels)[::3, ::3, ::3])))
    if len(lungs.upright.crops()) < 2:
        raise InputError(f"{source.name}: only one lung was found; give a CT of both, or a label map beside it")
    quality = check_input(read.image, lungs.upright, header=read.description.get("dicom"))
    failed = [one["message"] for one in quality if one["status"] == FAIL]
    if failed:
        raise InputError(f"{source.name}: {' '.join(failed)}")
    warnings = [_told(text, source) for text in lungs.warnings]
    origin = Path(lungs.source).name if source.labels else lungs.source
    read = replace(read, warnings=[_told(text, source) for text in read.warnings])
    return read, replace(lungs, warnings=warnings, source=origin), quality


def voxels_sha256(ct: sitk.Image) -> str:
    """Hash of a CT's voxels along the patient's axes: the same whatever file it was read from."""
    array = np.ascontiguousarray(patient_array(ct))
    return hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()


def content_sha256(source: RealCt) -> str:
    """Hash of the files of a CT and its label maps, in order, those that headers name included; nothing is decoded.

    Raises:
        InputError: a header names its voxels' files by a list or a pattern, or a file that is not there.
    """
    digest = hashlib.sha256()
    for part in (source.path, *source.labels):
        if part.is_dir():
            files = sorted(p for p in part.rglob("*") if p.is_file())
        else:
            files = [part, *_detached(part, source)]
        for file in files:
            digest.update(file.name.encode())
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


def _detached(header: Path, source: RealCt) -> list[Path]:
    """The file in which the voxels of a MetaImage or NRRD header lie, if not in its own file."""
    if not header.name.lower().endswith((".mhd", ".mha", ".nhdr", ".nrrd")):
        return []
    with header.open("rb") as stream:
        text = stream.read(1 << 16).split(b"\n\n", 1)[0].decode("utf-8", errors="replace")
    named = _DATA_FILE.search(text)
    if named is None or named[1] in ("LOCAL", "Local", "local"):
        return []
    if named[1].startswith("LIST") or "%" in named[1]:
        raise InputError(f"{source.name}: {header.name} names a list of files; write the image again as one file")
    file = header.parent / named[1]
    if not file.is_file():
        raise InputError(f"{source.name}: {header.name} names {named[1]}, which is not beside it; put it there")
    return [file]


def _told(sentence: str, source: RealCt) -> str:
    """A sentence with names below the folder in place of whole paths."""
    for path in source.labels:
        sentence = sentence.replace(str(path), path.name)
    return sentence.replace(str(source.path), source.name)
