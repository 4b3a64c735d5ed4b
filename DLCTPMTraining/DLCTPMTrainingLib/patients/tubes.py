"""Vessels and airways as straight tubes, drawn into a grid of any spacing with partial volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DLCTPMTrainingLib.common.grid import Grid

COVER = 250
"""Full cover of a voxel by a tube, as stored in 8 bits."""


@dataclass
class Tubes:
    """Straight tubes: ``start``, ``end`` (n, 3) mm and ``radius`` (n,) mm."""

    start: np.ndarray
    end: np.ndarray
    radius: np.ndarray

    @classmethod
    def of(cls, rows: list[tuple[np.ndarray, np.ndarray, float]]) -> Tubes:
        """From (start, end, radius) rows."""
        return cls(
            np.array([row[0] for row in rows], float).reshape(-1, 3),
            np.array([row[1] for row in rows], float).reshape(-1, 3),
            np.array([row[2] for row in rows], float),
        )

    def join(self, other: Tubes) -> Tubes:
        """Both sets."""
        return Tubes(
            np.concatenate([self.start, other.start]),
            np.concatenate([self.end, other.end]),
            np.concatenate([self.radius, other.radius]),
        )


def cover_of(tubes: Tubes, grid: Grid, thicken_mm: float = 0.0) -> np.ndarray:
    """The share of each voxel that tubes fill (uint8, 0…``COVER``); thin tubes fill little of a voxel."""
    cover = np.zeros(grid.shape, np.uint8)
    voxel = float(np.prod(grid.spacing_mm)) ** (1 / 3)
    radii = tubes.radius + thicken_mm
    strength = COVER * np.minimum(1.0, (radii / (0.62 * voxel)) ** 2)
    reach = radii + 0.6 * voxel
    low = np.minimum(tubes.start, tubes.end) - reach[:, None]
    high = np.maximum(tubes.start, tubes.end) + reach[:, None]
    origin, spacing = np.array(grid.origin_mm), np.array(grid.spacing_mm)
    first = np.clip(np.ceil((low - origin) / spacing), 0, None).astype(int)
    last = np.minimum(np.floor((high - origin) / spacing).astype(int) + 1, grid.shape[::-1])
    x, y, z = (grid.axis(i) for i in range(3))
    axis = (tubes.end - tubes.start).astype(np.float32)
    squared = np.maximum((axis * axis).sum(axis=1), 1e-6)
    for i in np.flatnonzero((last > first).all(axis=1)):
        (x0, y0, z0), (x1, y1, z1) = first[i], last[i]
        dx, dy, dz = x[x0:x1] - tubes.start[i, 0], y[y0:y1] - tubes.start[i, 1], z[z0:z1] - tubes.start[i, 2]
        ax, ay, az = axis[i]
        along = ((dz * az)[:, None, None] + (dy * ay)[None, :, None] + (dx * ax)[None, None, :]) / squared[i]
        np.clip(along, 0, 1, out=along)
        distance = (dz[:, None, None] - along * az) ** 2
        distance += (dy[None, :, None] - along * ay) ** 2
        distance += (dx[None, None, :] - along * ax) ** 2
        np.sqrt(distance, out=distance)
        filled = np.clip((radii[i] - distance) * (1 / voxel) + 0.5, 0, 1) * strength[i]
        part = cover[z0:z1, y0:y1, x0:x1]
        np.maximum(part, filled.astype(np.uint8), out=part)
    return cover
