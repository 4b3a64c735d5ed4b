"""The figures of one CT: each model under every change, and every two models against each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from DLCTPMLib.agreement.metrics import UndefinedMetricError, spearman
from DLCTPMLib.function.definitions import DEFAULT
from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMLib.lungs.upright import RIGHT_SIDE, UprightLungs
from DLCTPMLib.mapping.mapping import map_perfusion
from DLCTPMLib.networks.bundle import ModelBundle
from DLCTPMLib.volumes.patient_axes import patient_array
from DLCTPMTrainingLib.robustness.changes import AXES, BLUR_MM, MASK_MM, sharper, softer, tilted, with_border

DENSE_HU, AERATED_HU = -300.0, -500.0
SMOOTH_MM, VESSEL_MM, LEAST_ML = 1.5, 4.0, 1.0
"""Dense tissue is lung above −300 HU after a blur, without specks and what is thinner than a vessel's 8 mm."""
AROUND_MM, APART_MM = 20.0, 5.0
"""Its surroundings: aerated lung within 20 mm; "outside dense tissue" keeps 5 mm away from it."""
COARSE = 3.0
"""Voxels so many times wider than the blur hold nothing that it could change."""
MOST_RANKED = 200_000
"""Voxels of a lung that are ranked, evenly spread."""


@dataclass(frozen=True)
class ScannedLungs:
    """A CT and its lungs.

    Attributes:
        name: in tables.
        ct: HU.
        lungs: of this CT.
    """

    name: str
    ct: sitk.Image
    lungs: UprightLungs

    @cached_property
    def dense(self) -> np.ndarray:
        """Consolidation, mass or atelectasis inside the mask: boolean in the box of the lungs."""
        spacing = np.array(self.lungs.axes.spacing_mm)
        hu = patient_array(self.ct)[self.lungs.box].astype(np.float32)
        dense = (ndimage.gaussian_filter(hu, SMOOTH_MM / spacing) > DENSE_HU) & (self.lungs.sides > 0)
        deep_mm = VESSEL_MM + spacing.min() / 2  # distances are those to the next voxel's centre
        core = ndimage.distance_transform_edt(np.pad(dense, 1), spacing)[1:-1, 1:-1, 1:-1] > deep_mm
        if not core.any():
            return core
        opened = dense & (ndimage.distance_transform_edt(~core, spacing) <= deep_mm)
        parts, count = ndimage.label(opened)
        large = np.bincount(parts.ravel(), minlength=count + 1) * self.lungs.axes.voxel_ml >= LEAST_ML
        large[0] = False
        return large[parts]

    @cached_property
    def away_from_dense(self) -> np.ndarray:
        """Lung at least 5 mm from dense tissue."""
        return (self.lungs.sides > 0) & (self._distance_mm > APART_MM)

    @cached_property
    def around_dense(self) -> np.ndarray:
        """Aerated lung around dense tissue."""
        hu = patient_array(self.ct)[self.lungs.box]
        return self.away_from_dense & (self._distance_mm <= AROUND_MM) & (hu < AERATED_HU)

    @cached_property
    def _distance_mm(self) -> np.ndarray:
        if not self.dense.any():
            return np.full(self.dense.shape, np.inf)
        return ndimage.distance_transform_edt(~self.dense, self.lungs.axes.spacing_mm)

    def map(self, bundle: ModelBundle, device: str) -> np.ndarray:
        """A model's map in the box of the lungs."""
        return _map(self.ct, self.lungs, bundle, device)[self.lungs.box]


def figures_of(scanned: ScannedLungs, bundle: ModelBundle, values: np.ndarray, device: str) -> dict:
    """What one model makes of a CT and of its changes.

    Args:
        scanned: the CT.
        bundle: the model.
        values: its map, as ``ScannedLungs.map`` gives it.
        device: auto, cpu, cuda or mps.

    Returns:
        ``high_percent`` and ``right_percent`` (share of the map's sum) of the map; ``tilt_points`` by axis, change
        of that share; ``mask_percent``, ``kernel_percent`` and ``kernel_mean`` by change: percent of the common lung
        that crosses the threshold, and mean absolute change (None where the voxels are too coarse for the change);
        ``dense_ml`` and the map's means ``dense`` and ``around`` (None where there is none).
    """
    lungs, line = scanned.lungs, _line(bundle)
    inside = lungs.sides > 0
    labels = lungs.labels(scanned.ct)
    found: dict = {
        "high_percent": 100 * float((values[inside] > line).mean()),
        "right_percent": _right_percent(values, lungs.sides),
        "threshold": line,
        "tilt_points": {},
        "mask_percent": {},
        "kernel_percent": {},
        "kernel_mean": {},
    }
    for name, axis in AXES.items():
        ct, turned = tilted(scanned.ct, labels, axis)
        upright = UprightLungs.of(turned)
        share = _right_percent(_map(ct, upright, bundle, device)[upright.box], upright.sides)
        found["tilt_points"][name] = share - found["right_percent"]
    for outward_mm in (-MASK_MM, MASK_MM):
        other = UprightLungs.of(with_border(lungs, scanned.ct, outward_mm))
        view = _map(scanned.ct, other, bundle, device)
        sides = np.zeros(lungs.axes.shape, np.uint8)
        sides[other.box] = other.sides
        common = inside & (sides[lungs.box] > 0)
        moved = (view[lungs.box][common] > line) != (values[common] > line)
        same = np.array_equal(other.sides, lungs.sides)
        found["mask_percent"][f"{outward_mm:+g} mm".replace("-", "−")] = None if same else 100 * float(moved.mean())
    for name, change in (("softer", softer), ("sharper", sharper)):
        if min(lungs.axes.spacing_mm) > COARSE * BLUR_MM:
            found["kernel_percent"][name] = found["kernel_mean"][name] = None
            continue
        other = _map(change(scanned.ct), lungs, bundle, device)[lungs.box][inside]
        found["kernel_percent"][name] = 100 * float(((other > line) != (values[inside] > line)).mean())
        found["kernel_mean"][name] = float(np.abs(other - values[inside]).mean())
    return found | {
        "dense_ml": float(np.count_nonzero(scanned.dense) * lungs.axes.voxel_ml),
        "dense": _mean(values[scanned.dense]),
        "around": _mean(values[scanned.around_dense]),
    }


def pair_figures(
    scanned: ScannedLungs, maps: tuple[np.ndarray, np.ndarray], bundles: tuple[ModelBundle, ModelBundle]
) -> Iterator[dict]:
    """How two models agree outside dense tissue, lung by lung.

    Yields:
        ``lung``, ``spearman`` (None where it has no value), ``high_percent`` of each model.
    """
    for value, side in enumerate(SIDES, start=1):
        own = scanned.away_from_dense & (scanned.lungs.sides == value)
        if not own.any():
            continue
        first, second = (values[own] for values in maps)
        step = max(1, len(first) // MOST_RANKED)
        try:
            r = float(spearman(first[::step], second[::step]))
        except UndefinedMetricError:
            r = None
        high = [
            100 * float((values > _line(bundle)).mean())
            for values, bundle in zip((first, second), bundles, strict=True)
        ]
        yield {"lung": side, "spearman": r, "high_percent": high}


def _line(bundle: ModelBundle) -> float:
    """Where the paper's definition cuts this model's maps."""
    return DEFAULT.on_map(bundle.scale).high_above(np.zeros(0))


def _map(ct: sitk.Image, lungs: UprightLungs, bundle: ModelBundle, device: str) -> np.ndarray:
    return patient_array(map_perfusion(ct, lungs, bundle, device, precision="fp32").perfusion)


def _right_percent(values: np.ndarray, sides: np.ndarray) -> float:
    whole = float(values[sides > 0].sum(dtype=float))
    return 100 * float(values[sides == RIGHT_SIDE].sum(dtype=float)) / whole if whole else 50.0


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean(dtype=float)) if values.size else None
