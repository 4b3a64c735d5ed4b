"""The regions that a table of function has, and the voxels of each (docs/regions.md defines them)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from DLCTPMLib.labels.chest_regions import (
    BOTH,
    LEFT,
    LEFT_THIRDS,
    LOBES,
    LUNG,
    RIGHT,
    RIGHT_THIRDS,
    SIDES,
    display_name,
)
from DLCTPMLib.lungs.upright import UprightLungs

THIRD_NAMES = tuple(display_name(region) for region in (*RIGHT_THIRDS, *LEFT_THIRDS))
"""Thirds of each lung from above downwards, the right lung's first: the six zones."""
VENTRAL_THIRD_NAMES = tuple(
    f"{side} {part} third" for side in ("right", "left") for part in ("ventral", "intermediate", "dorsal")
)
"""Thirds of each lung from front to back; "intermediate", since "right middle third" is one of height."""
LOBE_NAMES = tuple(display_name(region) for region in sorted(LOBES))
"""The right lung's lobes from above downwards, then the left lung's."""


@dataclass(frozen=True)
class Partition:
    """One way to divide the lungs.

    Attributes:
        labels: uint8 (z, y, x) in the box of the lungs; 0 is none of them.
        names: every region's name with the labels that it is made of, in the order of a table.
    """

    labels: np.ndarray
    names: dict[str, tuple[int, ...]]

    def there(self, counts: np.ndarray) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The regions with voxels; both lungs and each lung in any case.

        Args:
            counts: how many voxels have each label, (256,).
        """
        for name, labels in self.names.items():
            if name in (BOTH, *SIDES) or counts[list(labels)].any():
                yield name, labels


def lung_and_lobe_names(lungs: UprightLungs) -> set[str]:
    """The lungs and lobes that these have, by name."""
    part = _lungs_and_lobes(lungs)
    counts = np.bincount(part.labels.ravel(), minlength=256)
    return {name for name, labels in part.names.items() if counts[list(labels)].any()}


def partitions_of(lungs: UprightLungs) -> tuple[Partition, ...]:
    """Lungs and lobes, thirds from above downwards, thirds from front to back; every one covers all of the lungs
    (lobes where the mask has them).
    """
    thirds = (*RIGHT_THIRDS, *LEFT_THIRDS)
    return (
        _lungs_and_lobes(lungs),
        Partition(lungs.thirds(), {name: (int(label),) for name, label in zip(THIRD_NAMES, thirds, strict=True)}),
        Partition(lungs.ventral_thirds(), {name: (label,) for label, name in enumerate(VENTRAL_THIRD_NAMES, 1)}),
    )


def _lungs_and_lobes(lungs: UprightLungs) -> Partition:
    names = {BOTH: LUNG, SIDES[0]: RIGHT, SIDES[1]: LEFT}
    names |= {display_name(region): (region,) for region in sorted(LOBES)}
    return Partition(lungs.regions(), {name: tuple(map(int, labels)) for name, labels in names.items()})
