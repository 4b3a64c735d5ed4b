"""ITK's text transform files (.tfm, .txt), parsed here: ITK's own reader takes a cut-off file for the identity.

``Transform:`` names a type, ``Parameters:`` and ``FixedParameters:`` its numbers. Every number must be there and
finite; a matrix that cannot be inverted, or moves points by metres, is no registration.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError

_TYPES: dict[str, tuple[type, int, int]] = {
    # name → class, number of parameters, number of fixed parameters (the centre)
    "AffineTransform": (sitk.AffineTransform, 12, 3),
    "MatrixOffsetTransformBase": (sitk.AffineTransform, 12, 3),
    "Euler3DTransform": (sitk.Euler3DTransform, 6, 3),
    "VersorRigid3DTransform": (sitk.VersorRigid3DTransform, 6, 3),
    "VersorTransform": (sitk.VersorTransform, 3, 3),
    "Similarity3DTransform": (sitk.Similarity3DTransform, 7, 3),
    "ScaleVersor3DTransform": (sitk.ScaleVersor3DTransform, 9, 3),
    "ScaleSkewVersor3DTransform": (sitk.ScaleSkewVersor3DTransform, 15, 3),
    "ScaleTransform": (sitk.ScaleTransform, 3, 3),
    "TranslationTransform": (sitk.TranslationTransform, 3, 0),
    "IdentityTransform": (sitk.TranslationTransform, 0, 0),
}
_MAX_BYTES = 1 << 20
_HEADER = "#Insight Transform File"


def read_text_transform(path: Path) -> sitk.Transform:
    """The transform of an ITK text file; several in one file are composed as ITK composes them, last one first.

    Raises:
        InputError: no such file, cut off, numbers missing, spelled with a comma or not finite, or a type that is
            not linear in three dimensions.
    """
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    text = content.decode("latin-1")
    if not text.startswith(_HEADER) or len(content) > _MAX_BYTES:
        raise InputError(f"{path}: not an ITK transform file; export the transform as .tfm")
    parts = re.split(r"^Transform:", text, flags=re.MULTILINE)[1:]
    if not parts:
        raise InputError(f"{path}: holds no transform (cut off?); export it again")
    composed = parts[0].split()[:1] == ["CompositeTransform_double_3_3"]
    transforms = [_one(part, path) for part in (parts[1:] if composed else parts)]
    if not transforms or (len(transforms) > 1 and not composed):
        raise InputError(f"{path}: holds {len(transforms)} transforms where one is needed; export the one meant")
    return transforms[0] if len(transforms) == 1 else sitk.CompositeTransform(transforms)


def _one(part: str, path: Path) -> sitk.Transform:
    name, _, dimensions = part.split("\n")[0].strip().partition("_")
    if name not in _TYPES or dimensions not in ("double_3_3", "float_3_3"):
        raise InputError(
            f"{path}: the transform ({name[:60] or 'of no name'}) is not a rigid or affine transform in three "
            "dimensions: give one, or resample the SPECT onto the CT with it beforehand"
        )
    kind, count, fixed_count = _TYPES[name]
    parameters = _numbers(part, "Parameters", (count,), path)
    orders = (3, 4) if name == "Euler3DTransform" else (fixed_count,)  # the order of its angles may stand there too
    fixed = _numbers(part, "FixedParameters", orders, path)
    if name == "IdentityTransform":
        return sitk.TranslationTransform(3)
    transform = kind(3) if kind in (sitk.AffineTransform, sitk.ScaleTransform, sitk.TranslationTransform) else kind()
    try:
        if name == "Euler3DTransform":
            fixed = [*fixed, 0.0][:4]
        if fixed_count:
            transform.SetFixedParameters(fixed)
        transform.SetParameters(parameters)
    except RuntimeError as error:
        raise InputError(f"{path}: its parameters make no {name}; export it again") from error
    return transform


def _numbers(part: str, field: str, counts: tuple[int, ...], path: Path) -> list[float]:
    found = re.findall(rf"^{field}:(.*)$", part, flags=re.MULTILINE)
    words = found[0].split() if len(found) == 1 else []
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        why = "numbers with a decimal comma" if any("," in word for word in words) else "something else than numbers"
        raise InputError(f"{path}: its {field} are {why}; export the transform again, with decimal points") from error
    if len(numbers) not in counts:
        raise InputError(
            f"{path}: has {len(numbers)} {field}, where its type has {counts[0]} (cut off?); export it again"
        )
    if not all(map(math.isfinite, numbers)):
        raise InputError(f"{path}: its {field} are not all finite; register again or export the transform again")
    return numbers
