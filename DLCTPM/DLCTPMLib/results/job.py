"""One patient's prediction from paths to a folder of results: what ``predict``, a batch and a server do alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from DLCTPMLib.common.background import preload
from DLCTPMLib.common.progress import Progress, no_progress, within
from DLCTPMLib.common.stopwatch import Stopwatch
from DLCTPMLib.function.resection import NO_RESECTION, Resection
from DLCTPMLib.lungs.given import lungs_of
from DLCTPMLib.networks.bundle import ModelBundle
from DLCTPMLib.results.names import InputNames
from DLCTPMLib.results.prediction import PatientImages, predict_to_folder
from DLCTPMLib.results.settings import PredictionSettings
from DLCTPMLib.volumes.reading import Scan, read_ct, read_spect


@dataclass(frozen=True)
class PatientPaths:
    """Where a patient's images lie, and what was said where a source leaves a choice; None: nothing was said.

    Attributes:
        ct, spect, lungs: paths of the images; a SPECT is compared with, lungs are found in the CT without a mask.
        series, acquisition: which of several CTs.
        orientation: where the axes run to, for image files that do not say.
        spect_series: which of several SPECTs.
        lungs_values: what the values of a label map mean.
        files: those of the CT's series, where they are known.
    """

    ct: str
    spect: str | None = None
    lungs: str | None = None
    series: str | None = None
    acquisition: str | None = None
    orientation: str | None = None
    spect_series: str | None = None
    lungs_values: str | None = None
    files: tuple[str, ...] = ()

    def by_role(self) -> dict[str, str | None]:
        """The paths by what results call them (``results.names``)."""
        return {"CT": self.ct, "SPECT": self.spect, "lungs": self.lungs}

    def read(self) -> PatientScans:
        """Read CT and SPECT.

        Raises:
            InputError: as ``read_ct`` and ``read_spect``.
        """
        ct = read_ct(
            self.ct, self.series, acquisition=self.acquisition, orientation=self.orientation, files=self.files
        )
        spect = read_spect(self.spect, self.spect_series, orientation=self.orientation) if self.spect else None
        return PatientScans(ct, spect)


@dataclass(frozen=True)
class PatientScans:
    """A patient's images as read; ``spect`` is None where there is none."""

    ct: Scan
    spect: Scan | None


@dataclass(frozen=True)
class PredictionJob:
    """One patient to predict.

    Attributes:
        paths: of the images.
        names: what results call them.
        settings: what was chosen.
        force: map also where a check of the input FAILs.
        resection: an operation that is thought of.
        pdf: write the report as PDF too.
        interactive: put the interactive view into the report.
    """

    paths: PatientPaths
    names: InputNames
    settings: PredictionSettings
    force: bool = False
    resection: Resection = NO_RESECTION
    pdf: bool = False
    interactive: bool = False

    def run(
        self,
        bundle: ModelBundle,
        folder: Path,
        progress: Progress = no_progress,
        scans: PatientScans | None = None,
    ) -> dict:
        """Read, find the lungs, map, compare, report.

        Args:
            bundle: the model.
            folder: where the files go (an ``OutputFolder``'s ``work``).
            progress: told the stage and the fraction.
            scans: the images, where they have been read already.

        Returns:
            the content of ``result.json``.

        Raises:
            InputError: an image cannot be used.
            FailedChecksError: a check of the input FAILs, and nobody forces the map.
        """
        stopwatch = Stopwatch()
        preload("DLCTPMLib.networks.inference")  # PyTorch, while the CT is read
        progress("Reading the CT", 0.0)
        if scans is None:
            with stopwatch("reading"):
                scans = self.paths.read()
        given, names = self.paths, self.names
        with stopwatch("lungs"):
            finding = within(progress, 0.05, 0.2)
            lungs = lungs_of(scans.ct, given.lungs, finding, given.lungs_values, given.orientation)
        source = lungs.source if given.lungs is None else names["lungs"]
        images = PatientImages(
            names.scan(scans.ct, "CT"),
            replace(lungs, source=source, warnings=names.told(lungs.warnings)),
            None if scans.spect is None else names.scan(scans.spect, "SPECT"),
            self.resection,
        )
        rest = within(progress, 0.2, 1.0)
        kinds = {"pdf": self.pdf, "interactive": self.interactive}
        return predict_to_folder(images, bundle, self.settings, folder, stopwatch, rest, self.force, **kinds)
