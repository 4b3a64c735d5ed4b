"""The SPECT of a virtual patient by acquisition and OSEM: what differs between patients is drawn here."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from DLCTPMTrainingLib.common.parameters import draw
from DLCTPMTrainingLib.spect.settings import SpectSettings
from DLCTPMTrainingLib.spect.simulator import PreparedScan


class PatientScanner:
    """One patient's place and breathing in the gamma camera; scans any perfusion of the same lungs.

    Args:
        lungs: a perfusion of them, 0 outside.
        ct: CT numbers in the same frame.
        movement: of the patient from CT to SPECT, points of the CT to points of the SPECT (LPS, mm), beside the
            small one that every patient makes and that is drawn here.
        high_value: raw value that the 75th percentile of the lungs gets: scanners rescale to their own range.
        rng: the SPECT's own stream.
    """

    def __init__(
        self,
        lungs: sitk.Image,
        ct: sitk.Image,
        movement: sitk.AffineTransform,
        high_value: float,
        rng: np.random.Generator,
    ):
        self._drawn = {"breathing_mm": draw(rng, "spect.breathing_mm")}
        self._usual_background = draw(rng, "spect.body_background")
        shift = [draw(rng, "spect.shift_mm") for _ in "xyz"]
        # The scanner corrects attenuation by the CT, and the emission lies beside the CT: one shift, not two.
        self._drawn["attenuation_shift_mm"] = [-mm for mm in shift]
        self._high_value = high_value
        self._movement = sitk.AffineTransform(movement)
        self._movement.SetTranslation([t + s for t, s in zip(movement.GetTranslation(), shift, strict=True)])
        self._scan = PreparedScan(
            moved(lungs, self._movement), moved(ct, self._movement), SpectSettings(**self._drawn)
        )

    def spect(
        self, perfusion: sitk.Image, body_background: float | None, counts: np.random.Generator
    ) -> tuple[sitk.Image, dict]:
        """Scan a perfusion.

        Args:
            perfusion: of the same lungs, 0 outside.
            body_background: activity of the body as a share of the lungs' mean; None for the patient's usual.
            counts: the stream of the counting noise.

        Returns:
            The SPECT (float32 raw values ≥ 0, 128³ voxels of 4.42 mm) and what was drawn.
        """
        background = self._usual_background if body_background is None else body_background
        perfusion = moved(perfusion, self._movement)
        spect = self._scan.spect(perfusion, int(counts.integers(2**31)), background)
        lungs = sitk.Resample(sitk.Cast(perfusion > 0, sitk.sitkFloat32), spect)
        inside = sitk.GetArrayViewFromImage(lungs) >= 0.5
        level = float(np.percentile(sitk.GetArrayViewFromImage(spect)[inside], 75))
        drawn = {**self._drawn, "body_background": background, "high_value": self._high_value}
        return spect * (self._high_value / level), drawn


def moved(image: sitk.Image, movement: sitk.AffineTransform) -> sitk.Image:
    """The same voxels after a rigid movement of the patient: nothing is resampled, the image's frame turns."""
    result = sitk.Image(image)
    turn = np.array(movement.GetMatrix()).reshape(3, 3)
    result.SetOrigin(movement.TransformPoint(image.GetOrigin()))
    result.SetDirection((turn @ np.array(image.GetDirection()).reshape(3, 3)).ravel().tolist())
    return result
