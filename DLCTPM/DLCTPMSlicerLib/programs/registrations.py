"""Other programs that register a SPECT to a CT: BRAINSFit and SlicerElastix. Each says whether it is there.

``start`` is called with the SPECT under no transform; ``done(transform, error)`` is called once, with a linear
transform node and an empty error, or with None and a sentence (empty after ``cancel``).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from DLCTPMSlicerLib.nodes.files import removeNode
from DLCTPMSlicerLib.programs.cli_run import CliRun

SAMPLING = 0.05
"""Share of voxels that BRAINSFit looks at; its default of 0.002 is far too low for a SPECT."""
ELASTIX_TRANSFORMS = {"rigid": "EulerTransform", "affine": "AffineTransform"}
ELASTIX_SETTINGS = """\
(FixedInternalImagePixelType "float")
(MovingInternalImagePixelType "float")
(UseDirectionCosines "true")
(Registration "MultiResolutionRegistration")
(FixedImagePyramid "FixedSmoothingImagePyramid")
(MovingImagePyramid "MovingSmoothingImagePyramid")
(NumberOfResolutions 3)
(Interpolator "LinearInterpolator")
(ResampleInterpolator "FinalLinearInterpolator")
(Resampler "DefaultResampler")
(Metric "AdvancedMattesMutualInformation")
(NumberOfHistogramBins 32)
(Transform "{transform}")
(AutomaticScalesEstimation "true")
(AutomaticTransformInitialization "false")
(HowToCombineTransforms "Compose")
(Optimizer "AdaptiveStochasticGradientDescent")
(MaximumNumberOfIterations 500)
(ImageSampler "RandomCoordinate")
(NumberOfSpatialSamples 5000)
(NewSamplesEveryIteration "true")
(WriteResultImage "false")
(ITKTransformOutputFileNameExtension "h5")
(WriteITKCompositeTransform "true")
"""
"""Mutual information between a SPECT and a CT that lie near each other; elastix' own parameter format."""

Done = Callable[[object, str], None]


class Engine:
    """This software's own registration: always there; the panel runs it as a job of the engine."""

    key = "engine"

    def label(self) -> str:
        """The name in the panel."""
        return _("DL-CTPM engine")

    def unavailable(self) -> str:
        """Nothing is missing."""
        return ""


class BrainsFit:
    """Slicer's own registration module, in the background; it reports no progress."""

    key = "brainsfit"

    def __init__(self):
        self._run = None

    def label(self) -> str:
        """The name in the panel."""
        return _("BRAINSFit")

    def unavailable(self) -> str:
        """Whether the module is missing."""
        if hasattr(slicer.modules, "brainsfit"):
            return ""
        return _("The module General Registration (BRAINS) is not in this Slicer.")

    def start(self, ct, spect, kind: str, initial, done: Done) -> None:
        """Register; the node is removed again on failure."""
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", f"{spect.GetName()} to CT")
        parameters = {
            "fixedVolume": ct,
            "movingVolume": spect,
            "linearTransform": transform,
            "samplingPercentage": SAMPLING,
            "initializeTransformMode": "Off",  # aligning moments is wrong between a SPECT and a CT
            "useRigid": True,
            "useAffine": kind == "affine",
            "costMetric": "MMI",
            "maskProcessingMode": "NOMASK",
        }
        if initial is not None:
            parameters["initialTransform"] = initial

        def ended(_node, error: str | None) -> None:
            self._run = None
            if error == "":
                done(transform, "")
                return
            removeNode(transform)
            done(None, _("BRAINSFit failed: {reason}").format(reason=error) if error else "")

        self._run = CliRun(slicer.modules.brainsfit, parameters, ended)

    def cancel(self) -> None:
        """Stop it."""
        if self._run is not None:
            self._run.cancel()


class Elastix:
    """The SlicerElastix extension. Its call returns only when it is through, but lets clicks on Cancel come."""

    key = "elastix"

    def __init__(self):
        self._logic, self._cancelled = None, False

    def label(self) -> str:
        """The name in the panel."""
        return _("SlicerElastix")

    def unavailable(self) -> str:
        """Whether the extension is missing."""
        if hasattr(slicer.modules, "elastix"):
            return ""
        return _("Install the SlicerElastix extension (Extensions Manager) to use it.")

    def start(self, ct, spect, kind: str, initial, done: Done) -> None:
        """Register; the node is removed again on failure."""
        from Elastix import ElastixLogic

        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", f"{spect.GetName()} to CT")
        self._logic, self._cancelled = ElastixLogic(), False
        error = ""
        try:
            with tempfile.TemporaryDirectory(prefix="dlctpm-", dir=slicer.app.temporaryPath) as folder:
                settings = Path(folder) / f"spect-to-ct-{kind}.txt"
                settings.write_text(ELASTIX_SETTINGS.format(transform=ELASTIX_TRANSFORMS[kind]), encoding="utf-8")
                self._logic.registerVolumes(
                    fixedVolumeNode=ct,
                    movingVolumeNode=spect,
                    parameterFilenames=[str(settings)],
                    outputVolumeNode=None,
                    outputTransformNode=transform,
                    fixedVolumeMaskNode=None,
                    movingVolumeMaskNode=None,
                    forceDisplacementFieldOutputTransform=False,
                    initialTransformNode=initial,
                )
            if not self._cancelled and not transform.IsTransformToWorldLinear():
                error = _("SlicerElastix gave a transform that is not linear; use another program.")
        except Exception as problem:  # whatever another extension raises becomes a sentence here
            logging.exception("SlicerElastix failed")
            error = _("SlicerElastix failed: {reason}").format(reason=problem)
        self._logic = None
        if self._cancelled or error:
            removeNode(transform)
            done(None, "" if self._cancelled else error)
        else:
            done(transform, "")

    def cancel(self) -> None:
        """Stop it."""
        if self._logic is not None:
            self._cancelled = self._logic.cancelRequested = True


def registrations() -> list[Engine | BrainsFit | Elastix]:
    """Every program, the engine first."""
    return [Engine(), BrainsFit(), Elastix()]
