"""The lungs of a CT as numbers: volumes, densities, texture, and what the model has learned from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from DLCTPMLib.labels.chest_regions import SIDES
from DLCTPMLib.quality.chest import FAIL, PASS, WARN, Check, ChestMeasurements

LEAST_ML = 100.0
"""Both lungs of a newborn hold more at rest (functional residual capacity about 30 ml/kg): less is no chest."""

USUAL_ML = 1500.0, 10_000.0

USUAL_RIGHT_PERCENT = 40.0, 68.0
"""The right lung's share of both; outside, one of them is small."""

HIGHEST_MEAN_HU = -300.0
"""Upper end of Eq. 1: of lungs that are denser on average the map shows nothing."""

DENSE_HU, SOLID_HU = -500.0, -300.0
MOST_DENSE_PERCENT, MOST_SOLID_PERCENT = 20.0, 10.0
"""Shares of the mask above −500 and −300 HU (virtual patients and real ones: 2 to 7 and 0 to 4)."""

LEAST_SD_HU = 5.0
"""Noise alone is more in any CT."""

FEW_SD_HU = 40.0
"""Vessels, border and noise together are more in lungs (virtual patients and real ones: 110 to 175)."""

MOST_OF_ONE_VALUE = 0.5
"""A larger share of the lungs with one and the same value is a filling."""

NO_LUNG = "There is no lung in the mask."


def lung_checks(chest: ChestMeasurements) -> Iterator[Check]:
    """Volume, balance, density, dense parts and texture of the lungs."""
    yield _volume(chest)
    yield _balance(chest)
    if not chest.total_ml:
        yield from ((name, FAIL, None, NO_LUNG) for name in ("mean lung density", "dense lung", "lung texture"))
        return
    yield _density(chest)
    yield _dense(chest)
    yield _texture(chest)


def _volume(chest: ChestMeasurements) -> Check:
    volume = chest.total_ml
    message = f"The lungs hold {volume / 1000:.1f} litres"
    if volume < LEAST_ML:
        return (
            "lung volume",
            FAIL,
            volume,
            f"{message}, less than a newborn's: this is no chest, or no mask of its lungs.",
        )
    low, high = USUAL_ML
    if volume < low:
        causes = (
            "a child, a lung that was taken out or is collapsed, effusion, or a mask or a CT of a part of the lungs"
        )
        return (
            "lung volume",
            WARN,
            volume,
            f"{message}; {low / 1000} to {high / 1000:.0f} are usual in adults: {causes}.",
        )
    if volume > high:
        return (
            "lung volume",
            WARN,
            volume,
            f"{message}; {low / 1000} to {high / 1000:.0f} are usual: look at the mask.",
        )
    return "lung volume", PASS, volume, f"{message}."


def _balance(chest: ChestMeasurements) -> Check:
    share = chest.right_percent
    if share is None:
        return "lung balance", FAIL, None, NO_LUNG
    message = f"The right lung has {share:.0f} % of the volume"
    if share in (0, 100):
        causes = "the other one was taken out (pneumonectomy), is collapsed or full of fluid, or is not in the mask"
        return "lung balance", WARN, share, f"{message}: the mask holds one lung only; {causes}."
    low, high = USUAL_RIGHT_PERCENT
    if not low <= share <= high:
        causes = "collapse, effusion, surgery, a hypoplastic lung, or an incomplete mask"
        return "lung balance", WARN, share, f"{message}; 50 to 58 % is usual: {causes}."
    return "lung balance", PASS, share, f"{message}."


def _density(chest: ChestMeasurements) -> Check:
    name, mean = "mean lung density", float(chest.lung_hu.mean(dtype=float))
    message = f"The lungs have {mean:.0f} HU on average"
    if not -1024 <= mean <= HIGHEST_MEAN_HU:
        return (
            name,
            FAIL,
            mean,
            f"{message}: this is not aerated lung, the mask lies elsewhere, or not Hounsfield units.",
        )
    if mean > -650:
        causes = "breathed out, consolidation, fluid or fibrosis, or vessels and chest wall in the mask"
        return name, WARN, mean, f"{message}; −650 or less is usual in a deep breath: {causes}."
    if mean < -920:
        return name, WARN, mean, f"{message}: strongly inflated or emphysematous."
    return name, PASS, mean, f"{message}."


def _dense(chest: ChestMeasurements) -> Check:
    """Eq. 1 takes all above −300 HU for the densest lung, which the model shows as well perfused."""
    over = [np.count_nonzero(chest.lung_hu > limit) for limit in (DENSE_HU, SOLID_HU)]
    dense, solid = (100 * count / len(chest.lung_hu) for count in over)
    dense_ml, solid_ml = (count * chest.axes.voxel_ml for count in over)
    message = (
        f"{dense:.0f} % of the mask ({dense_ml:.0f} ml) is denser than −500 HU, {solid:.0f} % ({solid_ml:.0f} ml) "
        "denser than −300 HU"
    )
    if dense > MOST_DENSE_PERCENT or solid > MOST_SOLID_PERCENT:
        return (
            "dense lung",
            WARN,
            dense,
            f"{message}; {MOST_DENSE_PERCENT:.0f} and {MOST_SOLID_PERCENT:.0f} % are the limits: consolidation, "
            "collapse, fluid, tumour, or soft tissue in the mask; such parts usually have little flow, and the map "
            "shows them as well perfused.",
        )
    return "dense lung", PASS, dense, f"{message}."


def _texture(chest: ChestMeasurements) -> Check:
    """Whether the lungs are lungs, with vessels and noise, and not a filling or what a filter left of them."""
    name, hu = "lung texture", chest.lung_hu
    sd = float(hu.std(dtype=float))
    some = hu[:: max(1, len(hu) // 100_000)]
    same = np.unique(some, return_counts=True)[1].max() / len(some)
    message = f"The lungs' values vary by {sd:.0f} HU (standard deviation)"
    if sd < LEAST_SD_HU or same > MOST_OF_ONE_VALUE:
        return (
            name,
            FAIL,
            sd,
            f"{message}, and {100 * same:.0f} % of them are one value: the lungs were filled, cut off at a value or "
            "made by a program; give the CT as it was reconstructed.",
        )
    if sd < FEW_SD_HU:
        return (
            name,
            WARN,
            sd,
            f"{message}; vessels and noise make it {FEW_SD_HU:.0f} or more in any lungs: a phantom, or a CT that was "
            "smoothed or coarsely sampled; give the CT as it was reconstructed.",
        )
    return name, PASS, sd, f"{message}."


def training_ranges(chest: ChestMeasurements, ranges: dict) -> Iterator[Check]:
    """Each lung against the lungs that the model has learned from."""
    for key, values, what, unit in (
        ("lung_volume_ml", chest.volume_ml, "volume", "ml"),
        ("lung_mean_hu", chest.mean_hu, "mean density", "HU"),
    ):
        if key not in ranges:
            continue
        low, high = ranges[key]
        for side in SIDES:
            value = values[side]
            if not chest.volume_ml[side]:
                continue
            inside = low <= value <= high
            yield (
                f"{side}: {what} in training",
                PASS if inside else WARN,
                value,
                f"The {side}'s {what} is {value:.0f} {unit}; the model learned from lungs of {low:.0f} to {high:.0f} "
                f"{unit}{'.' if inside else ', so it is outside what the model knows.'}",
            )
