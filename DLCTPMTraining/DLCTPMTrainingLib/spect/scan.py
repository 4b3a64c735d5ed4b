"""The SPECT of a virtual patient by acquisition and OSEM: what differs between patients is drawn here."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from DLCTPMTrainingLib.common.parameters import draw
from DLCTPMTrainingLib.spect.settings import SpectSettings
from DLCTPMTrainingLib.spect.simulator import simulate_spect


def scanned_spect(
    perfusion: sitk.Image,
    ct: sitk.Image,
    movement: sitk.AffineTransform,
    high_value: float,
    body_background: float | None,
    rng: np.random.Generator,
) -> tuple[sitk.Image, dict]:
    """Scan a virtual patient in the gamma camera.

    Args:
        perfusion: true perfusion, 0 outside the lungs.
        ct: CT numbers in the same frame.
        movement: of the patient from CT to SPECT, points of the CT to points of the SPECT (LPS, mm), beside the
            small one that every patient makes and that is drawn here.
        high_value: raw value that the 75th percentile of the lungs gets: scanners rescale to their own range.
        body_background: activity of the body as a share of the lungs' mean; None draws the usual.
        rng: the SPECT's own stream.

    Returns:
        The SPECT (float32 raw values ≥ 0, 128³ voxels of 4.42 mm) and what was drawn.
    """
    drawn = {"breathing_mm": draw(rng, "spect.breathing_mm")}
    usual = draw(rng, "spect.body_background")
    drawn["body_background"] = usual if body_background is None else body_background
    shift = [draw(rng, "spect.shift_mm") for _ in "xyz"]
    # The scanner corrects attenuation by the CT, and the emission lies beside the CT: one shift, not two.
    drawn["attenuation_shift_mm"] = [-mm for mm in shift]
    noise_seed = int(rng.integers(2**31))
    movement = sitk.AffineTransform(movement)
    movement.SetTranslation([t + s for t, s in zip(movement.GetTranslation(), shift, strict=True)])
    perfusion, ct = moved(perfusion, movement), moved(ct, movement)
    spect = simulate_spect(perfusion, ct, SpectSettings(**drawn), noise_seed)
    lungs = sitk.Resample(sitk.Cast(perfusion > 0, sitk.sitkFloat32), spect)
    inside = sitk.GetArrayViewFromImage(lungs) >= 0.5
    level = float(np.percentile(sitk.GetArrayViewFromImage(spect)[inside], 75))
    return spect * (high_value / level), {**drawn, "high_value": high_value}


def moved(image: sitk.Image, movement: sitk.AffineTransform) -> sitk.Image:
    """The same voxels after a rigid movement of the patient: nothing is resampled, the image's frame turns."""
    result = sitk.Image(image)
    turn = np.array(movement.GetMatrix()).reshape(3, 3)
    result.SetOrigin(movement.TransformPoint(image.GetOrigin()))
    result.SetDirection((turn @ np.array(image.GetDirection()).reshape(3, 3)).ravel().tolist())
    return result
