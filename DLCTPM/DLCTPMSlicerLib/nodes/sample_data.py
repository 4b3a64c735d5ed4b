"""The module's sample data: a virtual patient that the engine makes on this computer. Simulated, nobody's scan."""

from __future__ import annotations

import time
from pathlib import Path

import slicer
import slicer.util
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.command import TRAINING
from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.engine.job import EngineJob, JobResult
from DLCTPMSlicerLib.engine.process import EngineProgress, Outcome
from DLCTPMSlicerLib.nodes.files import readVolume

CATEGORY = "DLCTPM"
SEED = 1
STEPS = 1000
"""Of the progress bar."""
TURN_S = 0.01
"""How long the wait for the engine lets other threads work between two looks at the user's events."""


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
        customDownloader=lambda source: makeVirtualPatient(),
    )


def virtualPatientJob(**callbacks) -> EngineJob:
    """A job that makes one virtual patient; it delivers its CT and SPECT volumes."""

    def prepare(folder: Path) -> list[str]:
        arguments = ["cohort", "simulate", "--patients", "1", "--seed", str(SEED), "--out", str(folder / "cohort")]
        return [*arguments, "--spect", "analytic"]  # the full acquisition takes minutes, and nothing is studied here

    return EngineJob(prepare, lambda folder: _volumes(folder / "cohort"), program=TRAINING, **callbacks)


def loadVirtualPatient() -> tuple:
    """Make the virtual patient and wait for it, without a word: its CT and SPECT volumes, for scripts."""
    return virtualPatientJob().start().wait()


def makeVirtualPatient() -> tuple:
    """Make the virtual patient as the Sample Data module does: a window with progress and Cancel, Slicer alive.

    Returns:
        Its CT and SPECT volumes; nothing after Cancel, and nothing after a failure, which is shown.
    """
    window = ProgressWindow(_("Making a virtual patient"))
    job = virtualPatientJob(onProgress=window.show)
    window.whenCancelled(job.cancel)
    job.start()
    try:
        while job.running:
            slicer.app.processEvents()
            time.sleep(TURN_S)
    finally:
        window.close()
        job.kill()  # only where Slicer's own events have raised something
    return _madeOrShown(job.result)


def _madeOrShown(result: JobResult) -> tuple:
    if result.outcome is Outcome.FAILED:
        slicer.util.errorDisplay(result.message, detailedText=result.details or result.message)
    return result.value if result.outcome is Outcome.DONE else ()


class ProgressWindow:
    """A window over Slicer's with stage, progress bar and Cancel; meanwhile nothing else can be clicked."""

    def __init__(self, title: str):
        self._dialog = slicer.util.createProgressDialog(maximum=STEPS, windowTitle=title, labelText=f"{title}…")
        self._dialog.autoClose = self._dialog.autoReset = False
        self._dialog.setModal(True)
        self._dialog.show()

    def whenCancelled(self, cancel) -> None:
        """What its Cancel does; the window stays until the run has ended."""

        def cancelled() -> None:
            cancel()
            self._dialog.labelText = _("Stopping…")
            self._dialog.show()

        self._dialog.canceled.connect(cancelled)

    def show(self, progress: EngineProgress) -> None:
        """Show where the engine is, in its own words (English)."""
        self._dialog.labelText = f"{progress.stage}…"
        self._dialog.value = round(STEPS * min(max(progress.fraction, 0.0), 1.0))

    def close(self) -> None:
        """Take it away."""
        self._dialog.blockSignals(True)  # Qt says "cancelled" when it closes
        self._dialog.close()
        self._dialog.deleteLater()


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
