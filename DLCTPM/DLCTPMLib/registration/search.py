"""SPECT to CT: a rigid or affine transform by mutual information, from the scanner's own coordinates (METHOD.md §2).

The fixed image is not the CT but what a perfusion SPECT of these lungs would roughly look like: the lungs' mass on a
grid of about the SPECT's spacing, as blurred as a SPECT. Centres of mass are never aligned: the CT's mass is not the
SPECT's. Both images are so smooth that no pyramid is needed: mutual information rises all the way from 70 mm off.
What matters is that a step of the search turns the lungs as readily as it shifts them (``_Search.scales``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.registration.images import FixedImage, coarse_ct, expected_spect, saturated_spect
from DLCTPMLib.registration.settings import RegistrationSettings
from DLCTPMLib.volumes.transform_files import as_affine, linear_map, read_transform, write_transform

__all__ = ["Registration", "read_transform", "register", "write_transform"]

KINDS = ("rigid", "affine")


@dataclass(frozen=True)
class Registration:
    """A finished registration.

    Attributes:
        transform: maps CT points to SPECT points (LPS, mm): ``sitk.Resample(spect, ct, transform)``.
        metric_before, metric_after: mutual information (nats, higher is better) at the start and at the end,
            over the same sampled voxels; None where nothing was registered.
        improved: whether the end is better than the start; if not, ``transform`` is the start.
        warnings: sentences for the user.
    """

    transform: sitk.Transform
    metric_before: float | None
    metric_after: float | None
    improved: bool
    warnings: list[str] = field(default_factory=list)


def register(
    ct: sitk.Image,
    spect: sitk.Image,
    kind: str = "rigid",
    lungs: sitk.Image | UprightLungs | None = None,
    settings: RegistrationSettings | None = None,
    progress: Progress = no_progress,
    initial: sitk.Transform | None = None,
) -> Registration:
    """Find where the SPECT lies on the CT. The same inputs give the same transform.

    Args:
        ct: HU.
        spect: perfusion SPECT on its own grid.
        kind: "rigid", or "affine": rigid first, then affine, kept only where it is clearly better.
        lungs: upright, or as a label image of CIP values on the CT's grid; far better and faster than without.
        settings: the defaults if None.
        progress: told after every step.
        initial: linear transform to start from (CT points to SPECT points); None starts from the scanner's own
            coordinates.

    Raises:
        InputError: the SPECT is no volume of numbers or all zero, or it does not overlap the CT.
    """
    if kind not in KINDS:
        raise InputError(f"unknown kind of registration {kind!r}: use rigid or affine")
    settings = settings or RegistrationSettings()
    with _one_thread():
        return _register(ct, spect, kind, lungs, settings, progress, initial)


def _register(
    ct: sitk.Image,
    spect: sitk.Image,
    kind: str,
    lungs: sitk.Image | UprightLungs | None,
    settings: RegistrationSettings,
    progress: Progress,
    initial: sitk.Transform | None,
) -> Registration:
    moving = saturated_spect(spect, settings.saturation)
    if lungs is None:
        fixed = coarse_ct(ct, spect)
    else:
        fixed = expected_spect(
            ct, lungs, spect, settings.lung_blur_mm, settings.margin_mm, settings.gravity_percent_per_cm
        )
    centre = fixed.centre_mm
    start = as_affine(initial or sitk.Transform(3, sitk.sitkIdentity), centre)
    search = _Search(fixed, moving, settings)
    before = search.mutual_information(start)

    stages = len(KINDS) if kind == "affine" else 1
    rigid = search.run(start, sitk.Euler3DTransform(), _part(progress, 0, stages))
    after = search.mutual_information(rigid)
    if not after > before:
        progress("Registering the SPECT", 1.0)
        warning = (
            "registration found no better place for the SPECT than its start (mutual information "
            f"{before:.4f} there, {after:.4f} at the end), so it was left at the start; look at the overlay"
        )
        return Registration(start, before, before, False, [warning])

    found, warnings = rigid, []
    if kind == "affine":
        affine = search.run(rigid, sitk.AffineTransform(3), _part(progress, 1, stages))
        reached = search.mutual_information(affine)
        size = np.linalg.det(linear_map(affine)[0]) / np.linalg.det(linear_map(rigid)[0])
        words = f"the affine transform changes volumes by {100 * (size - 1):+.0f} % and " + (
            f"takes mutual information from {after:.4f} (rigid) to {reached:.4f}"
        )
        if reached < after * (1 + settings.least_gain):
            warnings.append(f"{words}: too little to trust it, so the rigid transform was kept")
        else:
            warnings.append(f"{words}; it may fit the SPECT's blur as well as the patient, so compare with rigid")
            found, after = affine, reached
    warnings += _doubts(start, found, centre)
    progress("Registering the SPECT", 1.0)
    return Registration(found, before, after, True, warnings)


@contextmanager
def _one_thread() -> Iterator[None]:
    """ITK on one thread, which adds up in one order: the same transform bit for bit on every run.

    The registration method's own number of threads does not reach its metric.
    """
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


class _Search:
    """Two images, and the search for the transform under which they share most information."""

    CHECKED = 20_000
    """Points at which the start and the end are compared; others than those of the search."""

    def __init__(self, fixed: FixedImage, moving: sitk.Image, settings: RegistrationSettings):
        self._fixed, self._moving, self._settings = fixed, moving, settings

    def mutual_information(self, transform: sitk.Transform) -> float:
        """In nats, at the same points every time."""
        method = self._method(self.CHECKED, self._settings.seed + 1)
        method.SetInitialTransform(sitk.Transform(3, sitk.sitkIdentity))
        method.SetMovingInitialTransform(transform)
        try:
            return -method.MetricEvaluate(self._fixed.image, self._moving)
        except RuntimeError as error:
            raise InputError(
                "the SPECT does not overlap the CT at the start of the registration: check that both are of the same "
                "patient and session, or give an initial transform"
            ) from error

    def run(
        self, start: sitk.AffineTransform, step: sitk.Euler3DTransform | sitk.AffineTransform, progress: Progress
    ) -> sitk.AffineTransform:
        """The best transform found: first ``step``, as optimised, then ``start``."""
        settings, centre = self._settings, self._fixed.centre_mm
        method = self._method(settings.samples, settings.seed)
        method.SetOptimizerAsRegularStepGradientDescent(
            settings.first_step_mm,
            settings.last_step_mm,
            settings.iterations,
            relaxationFactor=0.5,
            gradientMagnitudeTolerance=1e-6,
        )
        method.SetOptimizerScales(self.scales(len(step.GetParameters())))
        step.SetCenter(centre)
        method.SetInitialTransform(step, inPlace=True)
        method.SetMovingInitialTransform(start)
        method.AddCommand(
            sitk.sitkIterationEvent,
            lambda: progress("Registering the SPECT", min(method.GetOptimizerIteration() / 40, 0.95)),
        )
        method.Execute(self._fixed.image, self._moving)
        return as_affine(sitk.CompositeTransform([start, step]), centre)

    def scales(self, parameters: int) -> list[float]:
        """Mean squared shift of the lungs' points for a small change of each parameter, in mm²; 12 are affine.

        ITK's own estimate takes the farthest corner of the image in place of the mean over the lungs, which made
        turns so slow that the search stopped several millimetres short.
        """
        x, y, z = self._fixed.spread_mm2
        return [*([x, y, z] * 3 if parameters == 12 else (y + z, x + z, x + y)), 1.0, 1.0, 1.0]

    def _method(self, samples: int, seed: int) -> sitk.ImageRegistrationMethod:
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(self._settings.histogram_bins)
        method.SetMetricSamplingStrategy(method.RANDOM)
        share = min(1.0, samples / self._fixed.image.GetNumberOfPixels())
        method.SetMetricSamplingPercentage(share, seed)
        method.SetInterpolator(sitk.sitkLinear)
        method.MetricUseFixedImageGradientFilterOff()  # differences where they are needed, not of whole images first
        method.MetricUseMovingImageGradientFilterOff()
        return method


def _doubts(start: sitk.Transform, found: sitk.Transform, centre: tuple[float, ...]) -> list[str]:
    """Sentences about a result that moved further than patients do between two scans on one couch."""
    away = np.subtract(found.TransformPoint(centre), start.TransformPoint(centre))
    matrix = np.linalg.solve(linear_map(start)[0], linear_map(found)[0])
    left, _, right = np.linalg.svd(matrix)  # their product is the rotation in it
    degrees = float(np.degrees(np.arccos(np.clip((np.trace(left @ right) - 1) / 2, -1, 1))))
    distance = float(np.linalg.norm(away))
    if distance <= 50 and degrees <= 15:
        return []
    return [
        f"registration moved the SPECT by {distance:.0f} mm and {degrees:.0f}°, more than patients usually move "
        "between two scans; look at the overlay"
    ]


def _part(progress: Progress, number: int, count: int) -> Progress:
    return lambda stage, fraction: progress(stage, (number + fraction) / count)
