"""One generator for vessels, territories and flow: trees grown through the lobes by dividing their volume.

Each lobe is filled with points, each standing for a terminal unit of lung (``tree.terminal_ml``). A branch goes part
of the way to the centroid of its points and divides them in two across the direction in which they spread most as
seen from its tip, and so on to single points (after Tawhai 2000 and Kitaoka 1999). Divisions by direction make
territories that are wedges with their tip at the hilum. The points are ordered by the tree, so every branch feeds one
slice of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from DLCTPMTrainingLib.common.parameters import draw, value
from DLCTPMTrainingLib.patients.anatomy import Anatomy
from DLCTPMTrainingLib.patients.chest_shape import LEFT, RIGHT

LOBES_OF_SIDE = {RIGHT: (4, 5, 6), LEFT: (7, 8)}
"""CIP lobe values of each side."""


@dataclass
class VesselTree:
    """A forest of branches (one root for each lobe) over terminal units.

    Attributes:
        start, end: (branch, 3) mm, chest frame x y z.
        parent: index of the parent branch, −1 for a root.
        first, last: the slice of terminals that a branch feeds.
        radius_mm: (branch,).
        lobe_of_branch: CIP lobe value.
        terminals: (terminal, 3) mm; ``lobe`` their CIP lobe values.
    """

    start: np.ndarray
    end: np.ndarray
    parent: np.ndarray
    first: np.ndarray
    last: np.ndarray
    radius_mm: np.ndarray
    lobe_of_branch: np.ndarray
    terminals: np.ndarray
    lobe: np.ndarray

    @property
    def size(self) -> np.ndarray:
        """Number of terminals that each branch feeds."""
        return self.last - self.first

    def branches_feeding(self, share: tuple[float, float], lobes: tuple[int, ...] = ()) -> np.ndarray:
        """Branches that feed between two shares of all terminals, only in ``lobes`` if any are named."""
        part = self.size / len(self.terminals)
        chosen = (part >= share[0]) & (part <= share[1])
        if lobes:
            chosen &= np.isin(self.lobe_of_branch, lobes)
        return np.flatnonzero(chosen)


WEDGE_ABOVE = 30
"""Terminals (about 50 ml, a subsegment) above which a branch's territory is divided by direction."""


def terminal_points(anatomy: Anatomy, unit_ml: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Jittered lattice points inside the lungs, ``unit_ml`` apart by volume, and their lobes."""
    grid = anatomy.grid
    step = (unit_ml * 1000) ** (1 / 3)
    inside = anatomy.lung
    spans = [np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    axes = [
        np.arange(grid.axis(2 - axis)[span[0]], grid.axis(2 - axis)[span[-1]] + step, step)
        for axis, span in enumerate(spans)
    ]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    lattice += rng.uniform(-0.45, 0.45, lattice.shape) * step
    index = np.round((lattice[:, ::-1] - grid.origin_mm) / grid.spacing_mm).astype(int)[:, ::-1]
    keep = np.all((index >= 0) & (index < grid.shape), axis=1)
    index, lattice = index[keep], lattice[keep]
    keep = anatomy.lung_mm[tuple(index.T)] < -1.5
    return lattice[keep][:, ::-1], anatomy.lobe[tuple(index[keep].T)]


def grow(
    anatomy: Anatomy,
    roots_mm: dict[int, np.ndarray],
    unit_ml: float,
    root_radius_mm: float,
    rng: np.random.Generator,
) -> VesselTree:
    """Grow a tree through every lobe from the point of its side (``roots_mm`` by ``RIGHT``/``LEFT``)."""
    points, lobes = terminal_points(anatomy, unit_ml, rng)
    advance, share_sd = value("tree.advance"), value("tree.split_sd")
    order_parts, rows = [], []
    offset = 0
    for side, names in LOBES_OF_SIDE.items():
        side_total = int(np.isin(lobes, names).sum())
        for lobe in names:
            mine = np.flatnonzero(lobes == lobe)
            if len(mine) == 0:
                continue
            start = np.asarray(roots_mm[side], float)
            order = _divide(points, mine, start, advance, share_sd, rng, rows, offset, lobe, side_total)
            order_parts.append(order)
            offset += len(order)
    order = np.concatenate(order_parts)
    table = np.array([row[:11] for row in rows])
    exponent = value("artery.radius_exponent")
    radius = root_radius_mm * ((table[:, 8] - table[:, 7]) / table[:, 10]) ** exponent
    return VesselTree(
        start=table[:, 0:3],
        end=table[:, 3:6],
        parent=table[:, 6].astype(int),
        first=table[:, 7].astype(int),
        last=table[:, 8].astype(int),
        radius_mm=radius,
        lobe_of_branch=table[:, 9].astype(int),
        terminals=points[order],
        lobe=lobes[order],
    )


def _divide(points, members, start, advance, share_sd, rng, rows, offset, lobe, side_total) -> np.ndarray:
    """Grow one lobe's tree into ``rows``; returns its points in tree order."""
    order = members.copy()
    stack = [(0, len(order), start, -1, 0)]
    while stack:
        low, high, begin, parent, depth = stack.pop()
        mine = points[order[low:high]]
        count = high - low
        way = mine.mean(axis=0) - begin
        end = begin + (0.85 if count == 1 else advance * (0.75 if depth == 0 else 1.0)) * way
        rows.append((*begin, *end, parent, offset + low, offset + high, lobe, side_total))
        if count == 1:
            continue
        me = len(rows) - 1
        # large branches divide by direction from where they begin, so territories are wedges; small ones by place
        seen = mine - (begin if count > WEDGE_ABOVE else end)
        distance = np.sqrt((seen * seen).sum(axis=1, keepdims=True))
        direction = seen / (distance + 1.0) ** (1.0 if count > WEDGE_ABOVE else 0.5)
        direction -= direction.mean(axis=0)
        along = _spread_along(direction)
        share = np.clip(0.5 + share_sd * rng.standard_normal(), 0.25, 0.75)
        cut = min(max(round(count * share), 1), count - 1)
        order[low:high] = order[low:high][np.argpartition(along, cut - 1)]
        stack.append((low + cut, high, end, me, depth + 1))
        stack.append((low, low + cut, end, me, depth + 1))
    return order


def _spread_along(points: np.ndarray) -> np.ndarray:
    """Coordinates of centred points along the axis in which they spread most."""
    if len(points) == 2:
        return np.array([0.0, 1.0])
    return points @ np.linalg.eigh(points.T @ points)[1][:, 2]


def arteries_and_veins(anatomy: Anatomy, rng: np.random.Generator) -> tuple[VesselTree, VesselTree]:
    """The arterial tree, from the hila, and a coarser venous one, towards the left atrium between the arteries."""
    radius = draw(rng, "artery.main_radius_mm") * anatomy.shape.scale
    hila = {RIGHT: anatomy.points["right hilum"], LEFT: anatomy.points["left hilum"]}
    arteries = grow(anatomy, hila, value("tree.terminal_ml"), radius, rng)
    drop = np.array([0.0, -12.0, -14.0]) * anatomy.shape.scale
    inward = {side: 0.8 * hila[side] + 0.2 * anatomy.points["left atrium"] + drop for side in hila}
    veins = grow(anatomy, inward, 2.6 * value("tree.terminal_ml"), value("vein.radius_factor") * radius, rng)
    return arteries, veins


def territories(anatomy: Anatomy, tree: VesselTree) -> np.ndarray:
    """The terminal that feeds each core voxel of the lungs (int32, −1 outside): the nearest in the same lobe."""
    grid = anatomy.grid
    near = anatomy.lung_mm < 3
    result = np.full(grid.shape, -1, np.int32)
    for lobe in np.unique(tree.lobe):
        mine = np.flatnonzero(tree.lobe == lobe)
        index = np.nonzero(near & (anatomy.lobe == lobe))
        where = np.stack([grid.axis(2 - a)[index[a]] for a in (2, 1, 0)], axis=-1)
        _, nearest = cKDTree(tree.terminals[mine]).query(where)
        result[index] = mine[nearest]
    return result


def branching_noise(shown: np.ndarray, hidden: np.random.Generator, correlation: float) -> np.ndarray:
    """Standard normal noise of each branch, correlated by ``correlation`` with what the CT shows as blood volume."""
    return correlation * shown + np.sqrt(1 - correlation**2) * hidden.standard_normal(len(shown))


def fractal_flow(tree: VesselTree, cv: float, noise: np.ndarray) -> np.ndarray:
    """Relative flow of each terminal, mean 1, from an uneven division of flow at every branching.

    The spread of the division grows towards the periphery so that the coefficient of variation follows
    CV ∝ volume^(1 − D) (Glenny & Robertson 1990) and reaches ``cv`` between terminals. ``noise`` is standard normal,
    one number a branch.
    """
    dimension = value("flow.fractal_dimension")
    logarithm = np.zeros(len(tree.parent))
    power = 2 * (dimension - 1)
    variance = cv**2 * np.maximum(tree.size, 1.0) ** -power
    for branch in range(len(tree.parent)):  # parents come before their children
        parent = tree.parent[branch]
        before = variance[branch] if parent < 0 else variance[parent]  # lobes differ by gravity and disease only
        step = np.sqrt(max(variance[branch] - before, 0.0))
        logarithm[branch] = (logarithm[parent] if parent >= 0 else 0.0) + step * noise[branch]
    flow = np.empty(len(tree.terminals))
    leaves = tree.size == 1
    flow[tree.first[leaves]] = np.exp(logarithm[leaves])
    return flow / flow.mean()
