"""What any older lung may show beside its disease: mild emphysema, plates of collapsed lung."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from DLCTPMTrainingLib.common.grid import RandomField
from DLCTPMTrainingLib.common.parameters import chance, draw, value
from DLCTPMTrainingLib.patients.dense_lung import fill
from DLCTPMTrainingLib.patients.lung_tissue import LungState, sigmoid


def emphysema(state: LungState, extent: float, pattern: str, rng: np.random.Generator) -> None:
    """Destroyed lung: low density, few and thin vessels, low flow; upper, lower or everywhere."""
    height = state.height_in_lung()
    favour = {"upper": 2.2 * height, "lower": -2.2 * height, "diffuse": 0 * height}[pattern]
    coarse = RandomField(rng, 42.0).on(state.anatomy.grid) * np.float32(0.9)
    severity = state.patches(rng, 13.0, favour + coarse, extent)
    density_left, flow_left = draw(rng, "emphysema.density_left"), draw(state.unseen, "emphysema.flow_left")
    # around the holes the lung is diseased too: a wider, weaker loss
    around = np.clip(ndimage.gaussian_filter(severity, 12.0 / state.anatomy.grid.spacing_mm[0]), 0, 1)
    loss = np.clip(severity + 0.5 * around, 0, 1)
    state.density *= 1 - np.float32(1 - density_left) * (0.85 * severity + 0.15 * loss)
    # capillaries are lost beside the holes as well as in them, where no density tells of it
    mismatch = np.float32(draw(state.unseen, "emphysema.mismatch"))
    elsewhere = state.patches(state.unseen, 21.0, favour + coarse, extent)
    state.flow *= 1 - np.float32(1 - flow_left) * ((1 - mismatch) * loss + mismatch * elsewhere)
    at = np.round(state.anatomy.grid.index_of(state.arteries.terminals)).astype(int)
    at = np.minimum(at, np.array(state.density.shape) - 1)
    state.vessel_scale *= 1 - (1 - value("emphysema.vessel_left")) * loss[tuple(at.T)]
    state.findings.append(f"emphysema of {100 * extent:.0f} % of the lung, {pattern}")


def findings_of_age(state: LungState, age: int, rng: np.random.Generator) -> None:
    """Mild emphysema and plate-like atelectasis that any older lung may show."""
    has_emphysema = chance(rng, "incidental.emphysema_probability") and age > 60
    extent = draw(rng, "incidental.emphysema_extent")
    has_band = chance(rng, "incidental.band_probability")
    parts = rng.spawn(2)
    if has_emphysema:
        emphysema(state, extent, "upper", parts[0])
    if has_band:
        _band(state, parts[1])


def _band(state: LungState, rng: np.random.Generator) -> None:
    """A plate of collapsed lung, one to three millimetres thick, near a base."""
    low = np.flatnonzero((state.anatomy.lung_mm < 0).any(axis=(1, 2)))
    grid = state.anatomy.grid
    z, y, x = grid.zyx
    side = -1 if rng.random() < 0.5 else 1
    centre = np.array([side * rng.uniform(50, 95), rng.uniform(-30, 50), grid.axis(2)[low[0]] + rng.uniform(50, 90)])
    normal = np.array([rng.normal(0, 0.3), rng.normal(0, 0.4), 1.0])
    normal /= np.linalg.norm(normal)
    away = (x - centre[0]) * normal[0] + (y - centre[1]) * normal[1] + (z - centre[2]) * normal[2]
    radius = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    plate = np.exp(-((away / 2.0) ** 2)) * sigmoid((rng.uniform(18, 34) - radius) / 3)
    fill(state, plate, draw(rng, "atelectasis.density"), draw(state.unseen, "atelectasis.flow_left"))
    state.findings.append("plate atelectasis")
