"""The module's sample data: a virtual patient that the engine makes on this computer. Simulated, nobody's scan."""

from __future__ import annotations

from pathlib import Path

import slicer
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.command import TRAINING
from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.engine.job import EngineJob
from DLCTPMSlicerLib.nodes.files import readVolume

CATEGORY = "DLCTPM"
SEED = 1


def registerSampleData(iconFolder: Path) -> None:
    """Offer the virtual patient in the Sample Data module."""
    import SampleData

    thumbnail = iconFolder / "VirtualPatient.png"
    SampleData.SampleDataLogic.registerCustomSampleDataCategory(CATEGORY, title=_("CT Perfusion Mapping"))
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName="VirtualPatient",
        sampleDescription=_("Simulated chest CT with perfusion SPECT"),
        thumbnailFileName=str(thumbnail),
        customDownloader=lambda source: loadVirtualPatient(),
    )


def virtualPatientJob(**callbacks) -> EngineJob:
    """A job that makes one virtual patient; it delivers its CT and SPECT volumes."""

    def prepare(folder: Path) -> list[str]:
        arguments = ["cohort", "simulate", "--patients", "1", "--seed", str(SEED), "--out", str(folder / "cohort")]
        return [*arguments, "--spect", "analytic"]  # the full acquisition takes minutes, and nothing is studied here

    return EngineJob(prepare, lambda folder: _volumes(folder / "cohort"), program=TRAINING, **callbacks)


def loadVirtualPatient() -> tuple:
    """Make the virtual patient and wait for it: its CT and SPECT volumes."""
    return virtualPatientJob().start().wait()


def _volumes(cohort: Path) -> tuple:
    import csv

    with (cohort / "cohort.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise NodeError(_("The engine made no virtual patient."))
    patient = rows[0]
    volumes = []
    for column, name in (("ct", "CT"), ("spect", "SPECT")):
        volume = readVolume(cohort / patient[column], f"{patient['patient_id']} {name} (simulated)")
        volume.CreateDefaultDisplayNodes()
        volumes.append(volume)
    slicer.util.setSliceViewerLayers(background=volumes[0], fit=True)
    return tuple(volumes)
