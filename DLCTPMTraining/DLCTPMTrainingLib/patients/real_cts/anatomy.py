"""The anatomy of a real chest CT on a core grid, in the terms of a virtual one, and what its voxels say of the lung.

The CT stays as it is; this is what the simulated perfusion goes by. Measured: the lungs' border, the density of the
parenchyma, the vessels. Lobes come from the label map where it has them, else from fissures of average place; hila
from the vessels that leave the lungs towards the middle.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from DLCTPMLib.labels.chest_regions import LOBES
from DLCTPMLib.lungs.masks import side_masks
from DLCTPMLib.volumes.boxes import bounding_box
from DLCTPMLib.volumes.patient_axes import PatientAxes, file_image, patient_array
from DLCTPMTrainingLib.common.grid import Grid
from DLCTPMTrainingLib.common.parameters import draw
from DLCTPMTrainingLib.patients.anatomy import Anatomy, lobes_by_fissures
from DLCTPMTrainingLib.patients.chest_shape import LEFT, RIGHT, ChestShape
from DLCTPMTrainingLib.patients.tubes import COVER
from DLCTPMTrainingLib.patients.vessel_tree import LOBES_OF_SIDE
from DLCTPMTrainingLib.spect.patient import on_grid

MARGIN_MM = 35.0
"""Room around the lungs on the core grid: chest wall and mediastinum."""
VESSEL_HU = -500.0
"""Above it a voxel in the lungs is vessel or solid: half-way between parenchyma and blood."""
THICK_MM = 7.0
"""Solid lung that holds a ball of this radius is no vessel but consolidation or mass."""
BETWEEN_MM = 2.5
"""Width (SD) over which parenchymal density is averaged between the vessels: CT noise and small vessels go."""
HILUM_HEIGHT = 0.56
"""Height of the hila in the lungs, from the lowest recess (0) to the apex (1); virtual patients 0.55–0.62."""
HILUM_BACK_MM = 10.0
"""How far the hila lie behind the middle of the lung at their height; virtual patients 6–17 mm."""
HILUM_OUT = 0.55
"""How far out they lie, from the midline (0) to the middle of each lung (1)."""
NOTCH_MM = 15.0
"""Radius of the ball that fills the notch where the vessels enter a lung."""


@dataclass
class RealChest:
    """A real chest on its core grid; arrays are (z, y, x).

    Attributes:
        anatomy: border, sides, lobes, hila; ``surroundings_hu`` is the CT itself.
        density: of the parenchyma between the vessels, g/ml (float32).
        vessels: the part of each voxel that vessels fill (0…``COVER``, uint8).
        body: what is not air around the patient.
        offset_mm: LPS place of the chest frame.
        measured: what the lungs measure, for the patient's notes.
    """

    anatomy: Anatomy
    density: np.ndarray
    vessels: np.ndarray
    body: np.ndarray
    offset_mm: tuple[float, float, float]
    measured: dict = field(default_factory=dict)


def real_chest(ct: sitk.Image, lungs: sitk.Image, spacing_mm: float, rng: np.random.Generator) -> RealChest:
    """Measure a CT on its core grid.

    Args:
        ct: HU, any grid and orientation.
        lungs: CIP regions on the CT's grid, both sides present.
        spacing_mm: edge of the core grid's cubic voxels.
        rng: the anatomy's own stream: what is drawn is the place of fissures that the labels do not show.
    """
    ct, lungs, masks = _around_lungs(ct, lungs)
    grid, offset = _core_grid(lungs, spacing_mm)
    frame = grid.image(np.zeros(grid.shape, np.uint8), offset)
    ct = sitk.Clamp(ct, sitk.sitkFloat32, -1024, 3071)  # filling outside the field of view is no density
    hu = on_grid(ct, frame, -1000.0)

    parts = {side: on_grid(_image(mask, lungs), frame, 0.0) for side, mask in zip((RIGHT, LEFT), masks, strict=True)}
    distance = {side: _signed_distance(part >= 0.5, spacing_mm) for side, part in parts.items()}
    side = np.where(distance[RIGHT] < distance[LEFT], np.int8(RIGHT), np.int8(LEFT))
    lung_mm = np.minimum(distance[RIGHT], distance[LEFT])
    solid = on_grid(_image((masks[0] | masks[1]) & (patient_array(ct) > VESSEL_HU), lungs), frame, 0.0)
    solid[lung_mm >= 0] = 0
    thick = _thick(solid > 0.5, spacing_mm)
    vessels = np.where(thick, 0, solid)
    rim = 1.2 * max(spacing_mm, *ct.GetSpacing()[:2])  # voxels there are part lung, part wall
    parenchyma = (lung_mm < -rim) & (vessels < 0.1)
    density = _between_vessels(1 + hu / 1000, parenchyma, lung_mm < 0, spacing_mm)

    shape = ChestShape(
        lobe_shares={name: draw(rng, f"lobe_share.{name}") for name in ("right lower", "right middle", "left lower")}
    )
    lobe, fissure = lobes_by_fissures(shape, grid, lung_mm, side, rng)
    seen = _labelled_lobes(lungs, frame, lobe, side, lung_mm)
    anatomy = Anatomy(shape, grid, lung_mm, side, lobe, fissure, hu, {})
    anatomy.points.update(_hila(anatomy))
    inside = lung_mm < 0
    measured = {
        "lung_volume_ml": round(float(sum(np.count_nonzero(m) for m in masks)) * PatientAxes.of(lungs).voxel_ml, 1),
        "median_density_g_per_ml": round(float(np.median(density[inside])), 3),
        "vessels_percent": round(100 * float(vessels[inside].mean()), 1),
        "lobes": {"right lung": "labelled", "left lung": "labelled"}
        | {("right lung" if s == RIGHT else "left lung"): "estimated" for s in (RIGHT, LEFT) if s not in seen},
        "hila_mm_lps": {n: [round(float(v + o), 1) for v, o in zip(p, offset, strict=True)]
                        for n, p in anatomy.points.items()},
    }  # fmt: skip
    cover = np.round(COVER * vessels).astype(np.uint8)
    return RealChest(anatomy, density, cover, (hu > -700) | inside, offset, measured)


def _around_lungs(ct: sitk.Image, lungs: sitk.Image) -> tuple[sitk.Image, sitk.Image, tuple[np.ndarray, np.ndarray]]:
    """CT and labels cut to the lungs and a margin, and the masks of right and left lung there."""
    axes = PatientAxes.of(lungs)
    right, left = side_masks(lungs)
    box = bounding_box(right | left)
    room = [int(np.ceil((MARGIN_MM + 10) / s)) for s in axes.spacing_mm]
    box = tuple(
        slice(max(0, b.start - r), min(n, b.stop + r)) for b, r, n in zip(box, room, right.shape, strict=True)
    )
    cut = [axes.image_of_box(box)]
    for image in (ct, lungs):
        part = sitk.GetImageFromArray(np.ascontiguousarray(patient_array(image)[box]))
        part.CopyInformation(cut[0])
        cut.append(part)
    return cut[1], cut[2], (right[box], left[box])


def _core_grid(lungs: sitk.Image, spacing_mm: float) -> tuple[Grid, tuple[float, float, float]]:
    """Upright cubes over the lungs, and the chest frame's origin in LPS: mid-lung in x and y, base in z."""
    axes = PatientAxes.of(lungs)
    points = axes.points_mm(np.argwhere(patient_array(lungs) > 0)[::7].astype(float))
    low, high = points.min(axis=0), points.max(axis=0)
    offset = tuple(round(float(v), 1) for v in (0.5 * (low[0] + high[0]), 0.5 * (low[1] + high[1]), low[2]))
    count = np.ceil((high - low + 2 * MARGIN_MM) / spacing_mm).astype(int)
    origin = tuple(float(v) for v in low - MARGIN_MM - offset)
    return Grid(origin, (float(spacing_mm),) * 3, tuple(int(n) for n in count[::-1])), offset


def _image(mask: np.ndarray, like: sitk.Image) -> sitk.Image:
    return file_image(mask.astype(np.float32), like=like)


def _signed_distance(mask: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Distance to the border of a mask, mm, negative inside, half a voxel at the border's voxels, capped at 25."""
    if not mask.any():
        return np.full(mask.shape, 25, np.float32)
    inside, outside = (ndimage.distance_transform_edt(m, sampling=spacing_mm) for m in (mask, ~mask))
    signed = np.where(mask, 0.5 * spacing_mm - inside, outside - 0.5 * spacing_mm)
    return np.clip(signed, -25, 25).astype(np.float32)


def _thick(solid: np.ndarray, spacing_mm: float) -> np.ndarray:
    """The parts of solid lung that a ball of ``THICK_MM`` fits into, with their rim."""
    core = ndimage.distance_transform_edt(solid, sampling=spacing_mm) > THICK_MM
    if not core.any():
        return core
    return solid & (ndimage.distance_transform_edt(~core, sampling=spacing_mm) <= THICK_MM + spacing_mm)


def _between_vessels(density: np.ndarray, weigh: np.ndarray, lung: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Density averaged over the parenchyma nearby: vessels and the border's mixed voxels take their neighbours'."""
    result = np.full(density.shape, np.median(density[weigh]), np.float32)
    weights = weigh.astype(np.float32)
    for width in (4 * BETWEEN_MM, BETWEEN_MM):
        near = ndimage.gaussian_filter(weights, width / spacing_mm, truncate=3.0)
        mean = ndimage.gaussian_filter(weights * density, width / spacing_mm, truncate=3.0)
        enough = lung & (near > 0.1)
        result[enough] = mean[enough] / near[enough]
    return np.clip(result, 0.01, 1.1)


def _labelled_lobes(
    lungs: sitk.Image, frame: sitk.Image, lobe: np.ndarray, side: np.ndarray, lung_mm: np.ndarray
) -> list[int]:
    """Put the label map's lobes in place of the estimated ones, in place; returns the sides that have them."""
    labels = sitk.GetArrayFromImage(sitk.Resample(lungs, frame, sitk.Transform(), sitk.sitkNearestNeighbor))
    known = np.isin(labels, list(LOBES))
    seen = []
    for which, names in LOBES_OF_SIDE.items():
        mine = (side == which) & (lung_mm < 0)
        if not mine.any() or known[mine].mean() < 0.9:
            continue
        seen.append(which)
        source = known & np.isin(labels, names)
        nearest = ndimage.distance_transform_edt(~source, return_distances=False, return_indices=True)
        near = (side == which) & (lung_mm < 6)
        lobe[near] = labels[tuple(nearest[:, near])]
    return seen


def _hila(anatomy: Anatomy) -> dict[str, np.ndarray]:
    """Where the vessels enter each lung: the most solid place of its notch, near where hila usually are."""
    grid = anatomy.grid.part((slice(None, None, 2),) * 3)  # looked for in every second voxel
    grid = replace(grid, spacing_mm=tuple(2 * s for s in anatomy.grid.spacing_mm))
    z, y, x = grid.zyx
    solid = anatomy.surroundings_hu[::2, ::2, ::2] > VESSEL_HU
    lungs = {which: (anatomy.lung & (anatomy.side == which))[::2, ::2, ::2] for which in (RIGHT, LEFT)}
    centre = {which: float(np.average(x.ravel(), weights=mine.sum(axis=(0, 1)))) for which, mine in lungs.items()}
    found = {}
    for which, mine in lungs.items():
        heights = grid.axis(2)[np.nonzero(mine)[0]]
        low, high = np.percentile(heights, (0.5, 99.5))
        height = low + HILUM_HEIGHT * (high - low)
        level = np.abs(grid.axis(2) - height) < 0.08 * (high - low)
        back = float(np.average(y.ravel(), weights=mine[level].sum(axis=(0, 2)))) + HILUM_BACK_MM
        lateral = 0.5 * (centre[RIGHT] + centre[LEFT]) + HILUM_OUT * 0.5 * (centre[which] - centre[-which])
        usual = np.exp(-(((x - lateral) / 18) ** 2 + ((y - back) / 18) ** 2 + ((z - height) / 22) ** 2))
        many = ndimage.gaussian_filter((solid & _closed(mine, grid)).astype(np.float32), 8.0 / grid.spacing_mm[0])
        at = np.unravel_index(np.argmax((many + np.float32(0.01)) * usual), mine.shape)
        found[which] = np.array([grid.axis(a)[at[2 - a]] for a in range(3)], float)
    return {"right hilum": found[RIGHT], "left hilum": found[LEFT]}


def _closed(mask: np.ndarray, grid: Grid) -> np.ndarray:
    """A lung with its notch filled: closed by a ball of ``NOTCH_MM``."""
    spacing = grid.spacing_mm[0]
    grown = ndimage.distance_transform_edt(~mask, sampling=spacing) <= NOTCH_MM
    return ndimage.distance_transform_edt(grown, sampling=spacing) > NOTCH_MM
