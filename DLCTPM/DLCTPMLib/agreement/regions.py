"""The SPECT's own share of every region beside the map's, and their limits of agreement (Bland and Altman)."""

from __future__ import annotations

import math

import numpy as np

from DLCTPMLib.agreement.spect_grid import SpectGrid
from DLCTPMLib.function.partitions import LOBE_NAMES, THIRD_NAMES, VENTRAL_THIRD_NAMES, partitions_of
from DLCTPMLib.labels.chest_regions import BOTH
from DLCTPMLib.lungs.upright import UprightLungs

DIVISIONS = {"lobes": LOBE_NAMES, "six zones": THIRD_NAMES, "thirds from front to back": VENTRAL_THIRD_NAMES}
"""What limits of agreement are taken over: regions that share the lungs out between them."""
_LIMITS = 1.96
"""Standard deviations to either side that hold 95 % of normally distributed differences."""


def spect_shares(grid: SpectGrid, spect: np.ndarray, lungs: UprightLungs) -> dict[str, float | None]:
    """Every region's share of what the SPECT holds in both lungs, in percent.

    A SPECT voxel on a border counts in each region with the part of its volume that lies there. Nothing is
    normalised, and scatter, blur and attenuation are the SPECT's own.

    Args:
        grid: the lungs on the SPECT's grid.
        spect: its voxels, (z, y, x) along the patient's axes, any unit.
        lungs: that the grid was made of.

    Returns:
        by region name; None everywhere if the SPECT holds nothing in the lungs.
    """
    shares: dict[str, float | None] = {}
    for part in partitions_of(lungs):
        voxels, fractions = grid.parts(part.labels)
        counts = np.maximum(spect.ravel()[voxels].astype(float), 0) @ fractions
        sums = np.bincount(np.arange(len(counts)), counts, 256)
        there = np.bincount(part.labels.ravel(), minlength=256)
        whole = sums[1:].sum()
        for name, labels in part.there(there):
            shares[name] = 100 * float(sums[list(labels)].sum()) / whole if whole > 0 else None
    return shares


def regional_agreement(regions: dict[str, dict], spect: dict[str, float | None]) -> dict:
    """``regional_agreement`` of ``result.json``.

    Args:
        regions: the map's region table.
        spect: as ``spect_shares`` gives it.

    Returns:
        ``regions``: by name ``map_percent``, ``spect_percent`` and ``difference`` (map less SPECT, in percentage
        points), None where one has no share. ``limits``: by division (``DIVISIONS``) with shares ``regions``, their
        number, ``mean``, ``sd`` (n − 1), ``lower`` and ``upper`` (mean ∓ 1.96 SD) of the differences. Shares add up
        to 100 in map and SPECT, so the mean is 0 by construction; the limits are what counts.
    """
    rows = {}
    for name, values in regions.items():
        if name != BOTH:
            pair = values["perfusion_percent"], spect.get(name)
            difference = None if None in pair else pair[0] - pair[1]
            rows[name] = {"map_percent": pair[0], "spect_percent": pair[1], "difference": difference}
    limits = {}
    for division, names in DIVISIONS.items():
        found = [rows[name]["difference"] for name in names if name in rows]
        if len(found) > 2 and None not in found:
            mean, sd = math.fsum(found) / len(found), float(np.std(found, ddof=1))
            limits[division] = {
                "regions": len(found),
                "mean": mean,
                "sd": sd,
                "lower": mean - _LIMITS * sd,
                "upper": mean + _LIMITS * sd,
            }
    return {"regions": rows, "limits": limits}
