"""What surrounds the lungs, in HU: skin, fat, muscle, bones, mediastinum, upper abdomen and the couch.

Materials are laid over one another on the core grid, from the outside inwards, then softened by half a voxel.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from DLCTPMTrainingLib.common.grid import Grid, RandomField
from DLCTPMTrainingLib.patients.chest_shape import LEFT, RIGHT, ChestShape, ellipsoid


def surroundings_hu(
    shape: ChestShape,
    grid: Grid,
    between: dict[str, np.ndarray],
    cages: dict[int, np.ndarray],
    domes: dict[int, np.ndarray],
    skin: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """HU (float32, (z, y, x)) of everything that is not lung, continued as soft tissue beneath the lungs.

    Args:
        shape: the chest.
        grid: core grid, real millimetres.
        between: ``mediastinum``'s distances on it.
        cages: distance to the rib cage's inner surface by side.
        domes: height of the diaphragm by side, at the reference size.
        skin: distance to the skin.
        rng: for the streaks of fat and muscle.
    """
    z, y, x = (axis / np.float32(shape.scale) for axis in grid.zyx)
    full = np.broadcast_shapes(z.shape, y.shape, x.shape)
    texture = RandomField(rng, 14.0).on(grid)
    hu = np.full(full, -1000, np.float32)
    inside = skin < 0
    hu[inside] = -100
    hu[inside & (skin > -2.2)] = 30
    muscle = (skin < -shape.fat) & (texture < 1.1)
    hu[muscle] = 48
    wall = np.minimum(cages[RIGHT], cages[LEFT])
    hu[(wall < 14) & inside & (wall > -2)] = 45  # intercostal muscles
    below = z < np.where(x < 0, domes[RIGHT], domes[LEFT])
    cavity = (wall < 2) & below
    hu[cavity] = -92  # omental and retroperitoneal fat
    _abdomen(shape, hu, cavity, z, y, x, domes)
    soft = (between["all"] < 0) & ~cavity & inside
    hu[soft] = -70  # mediastinal fat
    xs = x - shape.mediastinal_shift
    hu[(between["heart"] < 0) & ~cavity] = 40
    hu[(between["vessels"] < 0) & inside] = 42
    hu[(between["hila"] < 1) & ~cavity] = 40
    oesophagus = np.sqrt((xs - 4) ** 2 + (y - shape.spine_y(z) + 30) ** 2) < 8
    hu[np.broadcast_to(oesophagus, full) & inside] = 35
    hu[~cavity & (wall < 3) & ~soft] = 42  # what shows beneath a lung that a disease has pushed away
    _bones(shape, hu, wall, z, y, x, inside)
    _table(shape, hu, skin, z, y, x)
    return ndimage.gaussian_filter(hu, 0.5, truncate=3.0)


def _abdomen(shape, hu, cavity, z, y, x, domes) -> None:
    """Liver, spleen and a stomach with its gas, beneath the diaphragm."""
    depth = np.where(x < 0, domes[RIGHT], domes[LEFT]) - z  # below the diaphragm, mm
    liver = cavity & (depth > 3) & (x < 34 - 0.5 * np.clip(y + 20, 0, None)) & (y < 58 - 0.25 * (x + 60))
    hu[liver] = 56
    spleen = ellipsoid(z, y, x, (92, 44, shape.dome[1] - 52), (32, 44, 48)) < 0
    hu[cavity & (depth > 3) & spleen] = 48
    stomach = ellipsoid(z, y, x, (58, -22, shape.dome[1] - 42), (46, 46, 42)) < 0
    hu[cavity & (depth > 3) & stomach] = 25
    rx, ry, gap = shape.stomach_gas
    gas = ellipsoid(z, y, x, (60, -34, shape.dome[1] - gap - 18), (rx, ry, 17)) < 0
    hu[cavity & (depth > gap * 0.35 + 2) & gas] = -960


def _bones(shape, hu, wall, z, y, x, inside) -> None:
    """Slanted ribs with cartilage in front, vertebrae with discs, breastbone, shoulder blades."""
    slant = z + 0.52 * y + 0.06 * np.abs(x) + shape.rib_phase
    offset = np.abs(np.mod(slant, 25.0) - 12.5)
    rib = (offset < 5.2) & (wall > 3.5) & (wall < 11.5) & inside & (np.abs(x) > 24)
    cartilage = rib & (y < -0.62 * shape.half_depth) & (np.abs(x) < 78)
    hu[rib & (np.abs(wall - 7.5) > 1.8)] = 420
    hu[rib & (np.abs(wall - 7.5) <= 1.8)] = 210
    hu[cartilage] = 110
    spine_y = shape.spine_y(z)
    vertebra = np.sqrt((x / 1.15) ** 2 + (y - spine_y) ** 2)
    disc = np.mod(z + shape.rib_phase, 25.0) < 4.5
    hu[(vertebra < 17) & ~disc] = 190
    hu[(vertebra < 17) & (vertebra > 15) & ~disc] = 420
    hu[(vertebra < 17) & disc] = 85
    hu[(np.abs(x) < 13) & (y > spine_y + 14) & (y < spine_y + 34)] = 260  # laminae
    hu[np.broadcast_to((x**2 + (y - spine_y - 24) ** 2) < 64, hu.shape)] = 35  # canal
    hu[(np.abs(x) < 4) & (y > spine_y + 34) & (y < spine_y + 56) & (np.mod(z, 25.0) < 15) & inside] = 300
    middle_wall = np.maximum(np.minimum(wall, 40), 0)
    front = -(shape.half_depth - 2) + 46 * np.clip((z / shape.height - 0.3) / 0.7, 0, None) ** 1.5
    breastbone = (np.abs(x) < 17) & (np.abs(y - front) < 6.5) & (z > 0.36 * shape.height) & (z < 0.86 * shape.height)
    hu[breastbone & (middle_wall > 0)] = 180
    blade = (wall > 17) & (wall < 23) & (y > 28) & (np.abs(x) > 58) & (np.abs(x) < 138) & (z > 0.5 * shape.height)
    hu[blade & inside] = 330


def _table(shape, hu, skin, z, y, x) -> None:
    """A curved couch under the patient: a thin shell over foam."""
    back = shape.half_depth + 0.9 * shape.wall + shape.table_gap
    depth = y - (back - (x / 210.0) ** 2 * 16)
    couch = (depth > 0) & (depth < 20) & (np.abs(x) < 215) & (skin > 1)
    hu[couch] = -880
    hu[couch & ((depth < 2.4) | (depth > 17.6))] = -420
