"""Training samples: one lung each, on the network's grid, in 8 bits. Read and written with NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from DLCTPMLib.common.atomic_output import whole_file

FULL_SCALE = 255
"""The byte that stands for 1."""


@dataclass(frozen=True)
class Samples:
    """Lungs to train on or to validate with.

    Attributes:
        patient: patient id of each lung, (n,) strings.
        side: "right lung" or "left lung", (n,) strings.
        enhanced: what the network gets, enhanced CT (Eq. 1) in the first channel, 0…255 for 0…1,
            uint8 (n, channels, z, y, x).
        target: Eq. 2, 0…255 for 0…1, uint8 (n, z, y, x); 11 levels lie within 1/510 of their values.
        mask: lung cells, bool (n, z, y, x).
        volume_ml: the lung's volume on the CT's grid, (n,).
        mean_hu: its mean density in HU, (n,).
    """

    patient: np.ndarray
    side: np.ndarray
    enhanced: np.ndarray
    target: np.ndarray
    mask: np.ndarray
    volume_ml: np.ndarray
    mean_hu: np.ndarray

    def __len__(self) -> int:
        return len(self.patient)

    def of_patients(self, patients: Sequence[str]) -> Samples:
        """The lungs of some patients, in the order they are kept here."""
        chosen = np.isin(self.patient, list(patients))
        return Samples(*(values[chosen] for values in self.arrays().values()))

    def save(self, path: Path) -> None:
        """Write them to one compressed file, which appears whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            np.savez_compressed(partial, **self.arrays())

    @classmethod
    def load(cls, path: Path) -> Samples:
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**arrays)

    @classmethod
    def joined(cls, parts: Sequence[Samples]) -> Samples:
        """Several sets as one."""
        return cls(*(np.concatenate(values) for values in zip(*(p.arrays().values() for p in parts), strict=True)))

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
