"""Training samples: one lung each, on the network's grid, in 8 bits. Read and written with NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.labels.chest_regions import BOTH, SIDES

FULL_SCALE = 255
"""The byte that stands for 1."""
GRIDS = ("enhanced", "target", "mask")
"""The arrays on the network's grid."""


@dataclass(frozen=True)
class Samples:
    """Lungs to train on or to validate with: a sample is one lung, or both where they lie on one grid.

    Attributes:
        patient: patient id of each lung, (n,) strings.
        side: "right lung", "left lung" or "lungs", (n,) strings.
        enhanced: what the network gets, enhanced CT (Eq. 1) in the first channel, 0…255 for 0…1,
            uint8 (n, channels, z, y, x).
        target: Eq. 2, 0…255 for 0…1, uint8 (n, z, y, x); 11 levels lie within 1/510 of their values.
        mask: lung cells, bool (n, z, y, x).
        volume_ml: the lung's volume on the CT's grid, (n,); of both lungs on one grid (n, 2), right and left.
        mean_hu: its mean density in HU, of the same shape.
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
        """Read what ``save`` wrote.

        Raises:
            InputError: if the file is damaged.
        """
        return cls.of_arrays(read_arrays(path), path)

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray], path: Path) -> Samples:
        """Arrays out of a file, if they are lungs: all there, of the types and shapes above, and nothing else.

        Raises:
            InputError: if they are not, naming the file and the array.
        """
        names = [field.name for field in fields(cls)]
        if sorted(arrays) != sorted(names):
            raise InputError(
                f"{path}: holds {', '.join(sorted(arrays)) or 'nothing'}, not samples; make the file again"
            )
        made = cls(**arrays)
        count, cells = made.mask.shape[:1], made.mask.shape[1:]
        fits = {
            "mask": made.mask.dtype == bool and made.mask.ndim == 4 and min(cells) > 0,
            "enhanced": made.enhanced.dtype == np.uint8
            and made.enhanced.ndim == 5
            and made.enhanced.shape[:1] + made.enhanced.shape[2:] == count + cells,
            "target": made.target.dtype == np.uint8 and made.target.shape == count + cells,
            "patient": made.patient.dtype.kind == "U" and made.patient.shape == count,
            "side": made.side.dtype.kind == "U" and made.side.shape == count and set(made.side) <= {*SIDES, BOTH},
        }
        for name in ("volume_ml", "mean_hu"):
            values = getattr(made, name)
            known = np.isfinite(values).all() if values.ndim == 1 else np.isfinite(values).any(axis=-1).all()
            fits[name] = values.dtype.kind == "f" and values.shape in (count, (*count, len(SIDES))) and bool(known)
        for name, right in fits.items():
            if not right:
                raise InputError(f"{path}: its array {name} is none of samples; make the file again")
        return made

    @classmethod
    def joined(cls, parts: Sequence[Samples]) -> Samples:
        """Several sets as one; grids of different sizes, as those in millimetres, are filled up with background."""
        size = np.max([part.mask.shape[1:] for part in parts], axis=0)
        filled = [part.arrays() | {name: _filled(part.arrays()[name], size) for name in GRIDS} for part in parts]
        return cls(*(np.concatenate(values) for values in zip(*(part.values() for part in filled), strict=True)))

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a NumPy archive by their names; nothing in it is run.

    Raises:
        InputError: if there is no such file, or it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            named = {name: arrays[name] for name in arrays.files}
        if not all(isinstance(array, np.ndarray) for array in named.values()):  # bytes: an entry of another kind
            raise ValueError("an entry is no array")
        return named
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; make it again") from None
    except MemoryError:
        raise
    except Exception as error:  # a damaged archive makes NumPy raise whatever its parts raise
        raise InputError(f"{path}: is damaged or no archive of NumPy arrays; make it again") from error


def _filled(array: np.ndarray, size: np.ndarray) -> np.ndarray:
    """An array (…, z, y, x) with background behind its end up to some size."""
    more = size - array.shape[-3:]
    return np.pad(array, [(0, 0)] * (array.ndim - 3) + [(0, int(n)) for n in more]) if more.any() else array
