"""The balance of right and left lung (``networks.balance``), applied to the lungs' maps on the network's grid."""

from __future__ import annotations

import numpy as np

from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMLib.networks.balance import LungBalance, LungLevel
from DLCTPMLib.preprocessing.grid import LungGrid

AERATED_UP_TO_HU = -300
"""Denser cells are vessels, walls and dense lung, and say little of how much blood the aerated lung holds."""


def lung_level(grid: LungGrid, voxel_ml: float, hu: np.ndarray, cells: np.ndarray) -> LungLevel | None:
    """What the balance sees of one lung.

    Args:
        grid: the lung's.
        voxel_ml: volume of a voxel of the CT.
        hu: mean HU of every cell.
        cells: relative perfusion of every cell.

    Returns:
        None for a lung without aerated cells or without perfusion: it has no level to compare.
    """
    aerated = hu[grid.mask & (hu <= AERATED_UP_TO_HU)]
    mean = float(cells[grid.mask].mean()) if grid.mask.any() else 0.0
    if not len(aerated) or mean <= 0:
        return None
    return LungLevel(np.count_nonzero(grid.inside) * voxel_ml, float(aerated.mean(dtype=float)), mean)


def balance_lungs(
    levels: dict[str, LungLevel | None], balance: LungBalance, top: float, *maps: dict[str, np.ndarray]
) -> None:
    """Multiply each lung's cells, in place, by what brings the two lungs to the ratio that the CT suggests.

    One lung alone has nothing to be balanced with and stays.

    Args:
        levels: of the lungs by their sides.
        balance: of the model.
        top: the highest value that a map may take.
        maps: cells of each lung by its side, first the map, then what is on its scale, as the members' spread.
    """
    right, left = (levels.get(side) for side in SIDES)
    if right is None or left is None:
        return
    for side, factor in zip(SIDES, balance.factors(right, left), strict=True):
        for cells in maps:
            if side in cells:
                cells[side] = np.minimum(cells[side] * np.float32(factor), np.float32(top))
