"""The four jobs that the module "CT Perfusion Mapping" gives to the engine, from nodes to nodes; each gives a running
``EngineJob`` at once, and takes its callbacks ``onProgress`` and ``onFinished``."""

from __future__ import annotations

from DLCTPMSlicerLib.engine.job import EngineJob
from DLCTPMSlicerLib.nodes import prediction, spect_steps


def startSegmentation(ct, **callbacks) -> EngineJob:
    """Find the lungs of a CT."""
    return EngineJob(
        lambda folder: prediction.segmentationArguments(ct, folder),
        lambda folder: prediction.segmentationNode(ct, folder),
        **callbacks,
    ).start()


def startPrediction(
    ct, lungs, model: str, device: str, threshold: float, output=None, force: bool = False, **callbacks
) -> EngineJob:
    """Map perfusion, in these lungs or (None) in those that the engine finds.

    ``output`` is a map to replace; ``force`` maps also where a check of the input fails.
    """
    return EngineJob(
        lambda folder: prediction.predictionArguments(ct, lungs, model, device, threshold, folder, force),
        lambda folder: prediction.predictionNodes(ct, folder, model, output),
        **callbacks,
    ).start()


def startRegistration(ct, spect, kind: str, lungs, **callbacks) -> EngineJob:
    """Move a SPECT onto a CT."""
    return EngineJob(
        lambda folder: spect_steps.registrationArguments(ct, spect, lungs, kind, folder),
        lambda folder: spect_steps.registrationTransform(spect, folder),
        **callbacks,
    ).start()


def startEvaluation(perfusion, spect, ct, model: str, threshold: float, **callbacks) -> EngineJob:
    """Compare a map with a SPECT, by the model that made the map unless another is named."""
    return EngineJob(
        lambda folder: spect_steps.evaluationArguments(perfusion, spect, ct, model, threshold, folder),
        lambda folder: spect_steps.evaluationTable(perfusion, spect, folder),
        **callbacks,
    ).start()
