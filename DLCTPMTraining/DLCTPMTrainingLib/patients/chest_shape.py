"""The shape of a virtual chest as implicit surfaces: rib cage, diaphragm, heart, great vessels, mediastinum, skin.

A lung is what the chest leaves it: inside the rib cage, above the diaphragm, outside heart, mediastinum and spine.
The flat mediastinal face, the cardiac notch, the concave base, the costophrenic recesses and the paravertebral
gutters follow from that. Every function takes chest-frame coordinates in millimetres at the reference size
(``ChestShape.scale`` = 1) and is negative inside.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from DLCTPMTrainingLib.common.grid import Grid
from DLCTPMTrainingLib.common.parameters import draw, value

RIGHT, LEFT = -1, 1
"""Sides by the sign of LPS x."""


@dataclass(frozen=True)
class ChestShape:
    """The sampled measures of one chest (mm at the reference size unless said otherwise).

    Pairs are (right, left). ``seed`` makes what is individual beyond the measures: uneven surfaces, textures.
    ``lost_lobe`` (CIP value, 0 none) has shrunk or is gone, ``lost_by`` "collapse", "scar" or "resection"; the lung
    that is left on each side takes ``stretch`` times its former space (see ``volume_loss``).
    """

    scale: float = 1.0
    height: float = 245.0
    half_width: float = 132.0
    half_depth: float = 92.0
    dome: tuple[float, float] = (74.0, 62.0)
    dome_drop: float = 72.0
    width_of_side: tuple[float, float] = (1.015, 0.975)
    mediastinal_shift: float = 0.0
    heart: float = 1.0
    aorta: float = 1.0
    pulmonary_trunk: float = 1.0
    wall: float = 32.0
    fat: float = 12.0
    breast: float = 0.0
    rib_phase: float = 0.0
    stomach_gas: tuple[float, float, float] = (34.0, 26.0, 12.0)
    table_gap: float = 4.0
    lobe_shares: dict[str, float] = field(default_factory=dict)
    lost_lobe: int = 0
    lost_by: str = ""
    stretch: tuple[float, float] = (1.0, 1.0)
    seed: tuple[int, ...] = (0,)

    def u(self, z: np.ndarray) -> np.ndarray:
        """How far up the tapering part of the chest a height is: 0 below, 1 at the apex."""
        return np.clip((z / self.height - 0.3) / 0.7, 0, 1)

    def spine_y(self, z: np.ndarray) -> np.ndarray:
        """Centre of the vertebral bodies: the thoracic kyphosis."""
        t = z / self.height
        back = self.half_depth - 92
        return (
            back + 72 - 36 * np.clip((t - 0.35) / 0.65, 0, None) ** 1.8 - 6 * np.clip((0.35 - t) / 0.35, 0, None) ** 2
        )


def cage(shape: ChestShape, side: int, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Inner surface of one half of the rib cage: horizontal distance (mm), negative inside."""
    u = shape.u(z)
    lateral = side * x
    widen = shape.width_of_side[0 if side == RIGHT else 1]
    centre_x = (62 - 14 * u) * widen
    lower = 1 - 0.05 * np.clip((0.25 - z / shape.height) / 0.25, 0, None) ** 2
    half_x = (shape.half_width * widen * lower - 62 * widen) * np.sqrt(np.maximum(1 - u**2.6, 2e-3))
    centre_y = -2 + 24 * u**1.3
    half_y = shape.half_depth * np.sqrt(np.maximum(1 - u**2.1, 2e-3))
    dx, dy = (lateral - centre_x), (y - centre_y)
    medial = dx < 0
    ax = np.abs(dx) / np.where(medial, np.maximum(half_x, 4) * 1.12, np.maximum(half_x, 4))
    ay = np.abs(dy) / np.maximum(half_y, 4)
    rho_lateral = (ax**2.15 + ay**2.15) ** (1 / 2.15)
    rho_medial = (ax**3.4 + ay**3.4) ** (1 / 3.4)
    rho = np.where(medial, rho_medial, rho_lateral)
    radius = np.sqrt(dx**2 + dy**2)
    in_plane = radius * (1 - 1 / np.maximum(rho, 1e-3))
    in_plane = np.where(rho < 0.05, -np.minimum(half_x, half_y), in_plane)
    return np.maximum(in_plane, z - shape.height)


def diaphragm_height(shape: ChestShape, side: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Height z (mm) of one half of the diaphragm: a dome, deepest at the back, shallow in front."""
    dome = shape.dome[0 if side == RIGHT else 1]
    dx, dy = side * x - 64, y + 12
    a = np.where(dx > 0, dx / 70, dx / 90) ** 2
    b = np.where(dy > 0, dy / 92, dy / 98) ** 2
    lateral = np.where(dx > 0, 0.95 * shape.dome_drop, 0.3 * shape.dome_drop)
    sagittal = np.where(dy > 0, 1.12 * shape.dome_drop, 0.5 * shape.dome_drop)
    return dome - (lateral * a + sagittal * b) * np.sqrt(a + b)


def ellipsoid(z, y, x, centre, radii, turn=None) -> np.ndarray:
    """Distance (first order, mm, negative inside) to an ellipsoid; ``turn`` has its axes (x, y, z) as rows."""
    dx, dy, dz = x - float(centre[0]), y - float(centre[1]), z - float(centre[2])
    if turn is not None:
        dx, dy, dz = (row[0] * dx + row[1] * dy + row[2] * dz for row in turn)
    ax, ay, az = ((d / float(r)) ** 2 for d, r in zip((dx, dy, dz), radii, strict=True))
    k0 = ax + ay + az
    k1 = ax / float(radii[0]) ** 2 + ay / float(radii[1]) ** 2 + az / float(radii[2]) ** 2
    return (k0 - np.sqrt(k0)) / np.sqrt(np.maximum(k1, 1e-9))


def capsule(z, y, x, start, end, radius) -> np.ndarray:
    """Signed distance (mm) to a straight tube with round ends from ``start`` to ``end`` (x, y, z)."""
    axis = np.subtract(end, start, dtype=np.float32)
    dx, dy, dz = x - float(start[0]), y - float(start[1]), z - float(start[2])
    along = np.clip((dx * axis[0] + dy * axis[1] + dz * axis[2]) / np.float32(axis @ axis), 0, 1)
    square = (dx - along * axis[0]) ** 2 + (dy - along * axis[1]) ** 2 + (dz - along * axis[2]) ** 2
    return np.sqrt(square) - float(radius)


def smooth_min(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    """The union of two distances with its crease rounded over ``k`` mm."""
    h = np.clip(k - np.abs(a - b), 0, None)
    return np.minimum(a, b) - h * h / (4 * k)


_HEART_AXES = ((0.80, -0.42, -0.43), (0.46, 0.89, 0.0), (0.38, -0.20, 0.90))


def heart(shape: ChestShape, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The four chambers: ventricles to the left, front and below; right atrium; left atrium behind."""
    s, base = shape.heart, 0.5 * (shape.dome[0] + shape.dome[1]) - 68
    z = np.where(z < 100 + base, 100 + base - 0.6 * (100 + base - z), z)  # it rests on the diaphragm
    left = float(np.clip(s - 1, 0, None)) * 22
    ventricles = ellipsoid(z, y, x, (33 + left, -36, 100 + base), (61 * s, 46 * s, 47 * s), _HEART_AXES)
    right_atrium = ellipsoid(z, y, x, (-10, -26, 108 + base), (39 * s, 42 * s, 48 * s))
    left_atrium = ellipsoid(z, y, x, (5, 12, 124 + base), (40 * s, 25 * s, 29 * s))
    return smooth_min(smooth_min(ventricles, right_atrium, 14), left_atrium, 10)


def landmarks(shape: ChestShape) -> dict[str, np.ndarray]:
    """Points (x, y, z) the airways and vessels start from (mm at the reference size)."""
    carina_z = 0.635 * shape.height
    spine = float(shape.spine_y(np.float32(carina_z)))
    shift = shape.mediastinal_shift
    return {
        "carina": np.array([shift, spine - 44, carina_z]),
        "larynx": np.array(
            [0.4 * shift, float(shape.spine_y(np.float32(1.1 * shape.height))) - 36, 1.15 * shape.height]
        ),
        "right hilum": np.array([shift - 42, spine - 44, carina_z - 24]),
        "left hilum": np.array([shift + 43, spine - 40, carina_z - 17]),
        "left atrium": np.array([shift + 4, 8, 122 + 0.5 * sum(shape.dome) - 68]),
    }


def great_vessels(shape: ChestShape, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Aorta with arch, pulmonary trunk and superior caval vein (shared coordinates, mediastinal shift applied)."""
    top = 0.735 * shape.height
    root = 0.5 * sum(shape.dome) + 62
    r_asc, r_desc = 17 * shape.aorta, 13 * shape.aorta
    spine_top = float(shape.spine_y(np.float32(top)))
    spine_low = float(shape.spine_y(np.float32(0)))
    tubes = [
        ((-8, -22, root), (-12, -24, top - 6), r_asc),
        ((-12, -24, top - 6), (4, -4, top + 2), 0.5 * (r_asc + r_desc)),
        ((4, -4, top + 2), (22, spine_top - 30, top - 6), 0.5 * (r_asc + r_desc)),
        ((22, spine_top - 30, top - 6), (21, spine_top - 22, 0.5 * shape.height), r_desc),
        ((21, spine_top - 22, 0.5 * shape.height), (6, spine_low - 32, -60), r_desc),
        ((16, -34, root - 4), (16, -4, 0.66 * shape.height), 14 * shape.pulmonary_trunk),
        ((-26, -16, root + 10), (-24, -8, 0.9 * shape.height), 9.5),
    ]
    distance = None
    for start, end, radius in tubes:
        tube = capsule(z, y, x, start, end, radius)
        distance = tube if distance is None else np.minimum(distance, tube)
    return distance


def mediastinum(shape: ChestShape, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> dict[str, np.ndarray]:
    """Everything between the lungs: "heart", "vessels", "hila", and "all" with partition and spine."""
    xs = x - shape.mediastinal_shift
    carina_z = 0.635 * shape.height
    spine_y = shape.spine_y(z)
    middle = 5 + 17 * np.exp(-(((y - spine_y + 42) / 30) ** 2)) * (0.8 + 0.2 * np.exp(-(((z - carina_z) / 45) ** 2)))
    middle = middle + 20 * np.clip((z / shape.height - 0.74) / 0.26, 0, 1) ** 1.5
    partition = np.abs(xs - 3) - middle
    vertebra = np.sqrt((x / 1.15) ** 2 + (y - spine_y) ** 2) - 20
    behind = np.maximum(np.abs(x) - 21, spine_y - y)
    points = landmarks(shape)
    hila = None
    for name, side in (("right hilum", -1), ("left hilum", 1)):
        centre = points[name] - [shape.mediastinal_shift + side * 8, 0, -2]
        bulge = ellipsoid(z, y, xs, centre, (15 * shape.pulmonary_trunk, 15, 22))
        hila = bulge if hila is None else np.minimum(hila, bulge)
    parts = {"heart": heart(shape, z, y, xs), "vessels": great_vessels(shape, z, y, xs), "hila": hila}
    soft = smooth_min(partition, parts["heart"] - 3, 12)
    soft = smooth_min(soft, parts["vessels"] - 2.5, 8)
    soft = smooth_min(soft, np.minimum(vertebra, behind), 8)
    parts["all"] = smooth_min(soft, hila, 6)
    return parts


def lung(
    shape: ChestShape,
    side: int,
    z: np.ndarray,
    cage_mm: np.ndarray,
    dome_z: np.ndarray,
    middle: np.ndarray,
    x: np.ndarray,
) -> np.ndarray:
    """One lung (mm, negative inside): in its half of the cage, above its dome, outside and not across the middle."""
    across = side * (shape.mediastinal_shift - x)
    return np.maximum(np.maximum(cage_mm, 0.75 * (dome_z - z)), np.maximum(-middle, across))


def body(shape: ChestShape, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The skin: an oval trunk with shoulders and, in women, breasts (mm, negative inside)."""
    t = z / shape.height
    half_x = shape.half_width + shape.wall + 22 * np.clip((t - 0.72) / 0.28, 0, 1) ** 1.5
    front = -(shape.half_depth + 0.75 * shape.wall) + 46 * np.clip((t - 0.3) / 0.7, 0, None) ** 1.5
    back = shape.half_depth + 0.9 * shape.wall - 10 * t**2
    centre, half_y = 0.5 * (front + back), 0.5 * (back - front)
    ax, ay = np.abs(x) / half_x, np.abs(y - centre) / half_y
    rho = (ax**2.5 + ay**2.5) ** 0.4
    radius = np.sqrt(x**2 + (y - centre) ** 2)
    trunk = radius * (1 - 1 / np.maximum(rho, 0.05))
    if shape.breast > 0:
        for side in (RIGHT, LEFT):
            centre_b = (side * 78, -shape.half_depth - 12, 0.36 * shape.height)
            mound = ellipsoid(z, y, x, centre_b, (62, 22 + shape.breast, 52))
            trunk = smooth_min(trunk, mound, 25)
    return trunk


def coarse_lungs(shape: ChestShape, step_mm: float = 6.0) -> tuple[Grid, dict[int, np.ndarray]]:
    """The lungs by side as masks of a coarse grid at the reference size, for their volume and extent."""
    lowest = min(shape.dome) - 2.5 * shape.dome_drop
    low = np.array([-shape.half_width - 20, -shape.half_depth - 20, lowest])
    count = np.ceil((np.array([shape.half_width + 20, shape.half_depth + 20, shape.height]) - low) / step_mm)
    grid = Grid(tuple(float(v) for v in low), (step_mm,) * 3, tuple(int(n) for n in count[::-1]))
    z, y, x = grid.zyx
    middle = mediastinum(shape, z, y, x)["all"]
    masks = {}
    for side in (RIGHT, LEFT):
        cage_mm, dome_z = cage(shape, side, z, y, x), diaphragm_height(shape, side, y, x)
        masks[side] = lung(shape, side, z, cage_mm, dome_z, middle, x) < 0
    return grid, masks


def lung_volumes_ml(shape: ChestShape) -> tuple[float, float]:
    """Volumes (right, left), by counting points."""
    grid, masks = coarse_lungs(shape)
    return tuple(np.count_nonzero(masks[side]) * grid.voxel_ml * shape.scale**3 for side in (RIGHT, LEFT))


def chest_grid(shape: ChestShape, spacing_mm: tuple[float, float, float], margin_mm: tuple[float, float]) -> Grid:
    """A grid over the chest: body and table across, the lungs and a margin (below, above) along z."""
    s = shape.scale
    half = s * (shape.half_width + shape.wall + 34)
    low_y = -s * (shape.half_depth + 0.75 * shape.wall + 30 + shape.breast)
    high_y = s * (shape.half_depth + shape.wall + 8) + 42
    coarse, masks = coarse_lungs(shape)
    lowest = coarse.axis(2)[(masks[RIGHT] | masks[LEFT]).any(axis=(1, 2)).argmax()] - coarse.spacing_mm[2]
    low_z, high_z = s * float(lowest) - margin_mm[0], s * shape.height + margin_mm[1]
    low, high = np.array([-half, low_y, low_z]), np.array([half, high_y, high_z])
    count = np.ceil((high - low) / spacing_mm).astype(int)
    return Grid(tuple(float(v) for v in low), tuple(float(v) for v in spacing_mm), tuple(int(n) for n in count[::-1]))


def sample_shape(rng: np.random.Generator, sex: str, age: int) -> ChestShape:
    """Draw a chest for a person: the total lung volume at the scan from height, sex, age and inspiration.

    Predicted total lung capacity is the ECSC equation (Quanjer 1993); its share at the scan is the inspiration level.
    """
    height_m = draw(rng, "height_m.male" if sex == "M" else "height_m.female")
    capacity = 7.99 * height_m - 7.08 if sex == "M" else 6.60 * height_m - 5.79
    inspiration = draw(rng, "inspiration_fraction")
    depth = draw(rng, "chest.depth_to_width")
    half_width = 132 * draw(rng, "chest.width_factor")
    raised = 60 * (0.85 - inspiration)  # a diaphragm held lower in a deeper breath
    dome_right = draw(rng, "diaphragm.dome_mm") + raised
    shape = ChestShape(
        half_width=half_width,
        half_depth=132 * depth,
        dome=(dome_right, dome_right - draw(rng, "diaphragm.right_above_left_mm")),
        dome_drop=draw(rng, "diaphragm.drop_mm"),
        heart=draw(rng, "heart.size") * (1 + value("heart.per_year") * (age - 60)),
        aorta=draw(rng, "aorta.size") * (1 + value("aorta.per_year") * (age - 60)),
        wall=draw(rng, "body.wall_mm"),
        fat=draw(rng, "body.fat_mm") * (1.25 if sex == "F" else 1.0),
        breast=draw(rng, "body.breast_mm") if sex == "F" else 0.0,
        rib_phase=float(rng.uniform(0, 26)),
        stomach_gas=tuple(float(v) for v in rng.uniform((18, 16, 6), (44, 34, 18))),
        table_gap=float(rng.uniform(1, 8)),
        lobe_shares={name: draw(rng, f"lobe_share.{name}") for name in ("right lower", "right middle", "left lower")},
        seed=tuple(int(v) for v in rng.integers(0, 2**31, 4)),
    )
    target_ml = 1000 * capacity * inspiration
    return replace(shape, scale=float((target_ml / sum(lung_volumes_ml(shape))) ** (1 / 3)))
