"""Which real CTs a folder holds, and which label map belongs to each.

One entry of the folder is one CT: an image file, a zip of a DICOM series, or a folder of its own with an image or a
DICOM series in it. A label map is told by its name: that of the CT with a word like "lungs" or "labels"
(``patient7.nrrd`` and ``patient7_lungs.nrrd``; in a folder of its own ``ct.nrrd`` and ``lungs.nrrd``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.series import read_header

IMAGE_ENDINGS = (".seg.nrrd", ".nrrd", ".nhdr", ".nii.gz", ".nii", ".mha", ".mhd", ".zip")
"""Endings of files that are taken for images; others are asked whether they are DICOM."""
OTHER_ENDINGS = (".txt", ".md", ".csv", ".tsv", ".json", ".pdf", ".xlsx", ".html", ".xml", ".png", ".jpg", ".raw")
"""Endings of files that are passed over."""
CT_WORDS = {"ct"}
LABEL_WORDS = {
    *("label", "labels", "labelmap", "lm", "lobe", "lobes", "lung", "lungs", "lungmask", "mask", "seg"),
    *("segmentation", "wholelung"),
}
"""Words of a label map's name."""


@dataclass(frozen=True)
class RealCt:
    """A CT of the folder.

    Attributes:
        name: its path below the folder, as "patient7.nrrd": all that is kept of where it came from.
        path: what ``read_ct`` reads.
        labels: label maps beside it, none if the lungs are to be found in the CT.
    """

    name: str
    path: Path
    labels: list[Path] = field(default_factory=list)


def find_real_cts(folder: Path | str) -> list[RealCt]:
    """The CTs of a folder by name; nothing is read but names and DICOM headers.

    Raises:
        InputError: no such folder, no CT in it, or an entry that is not one CT.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the folder that holds the CTs")
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if entry.is_file() and _is_image(entry)]
    loose = [entry for entry in entries if entry.is_file() and entry not in files and _is_slice(entry)]
    if loose:
        raise InputError(
            f"{folder} holds single DICOM slices ({loose[0].name}); put each CT's slices into a folder of its own"
        )
    found = [ct for entry in entries if entry.is_dir() for ct in _in_own_folder(entry)]
    of_folder = {_subject(ct.path.name): ct for ct in found if ct.path.parent == folder}
    groups: dict[tuple[str, ...], list[Path]] = {}
    for file in files:
        groups.setdefault(_subject(file.name), []).append(file)
    for subject, group in groups.items():
        if subject in of_folder and all(_label_words(file) for file in group):
            of_folder[subject].labels.extend(group)  # patient7/ holds the slices, patient7_lungs.nrrd lies beside it
            continue
        cts, labels = _divided(group)
        found += [RealCt(ct.name, ct, list(labels)) for ct in cts]
    if not found:
        raise InputError(
            f"{folder} holds no CT; put each CT into it as NRRD, NIfTI, zip, or a folder of its DICOM slices"
        )
    return sorted(found, key=lambda ct: ct.name)


def _in_own_folder(folder: Path) -> list[RealCt]:
    """The one CT of a subfolder, as a list; empty where the subfolder holds nothing that could be an image."""
    files = [f for f in sorted(folder.rglob("*")) if f.is_file() and not f.name.startswith(".")]
    images = [f for f in files if _is_image(f)]
    others = [f for f in files if f not in images and not f.name.lower().endswith(OTHER_ENDINGS)]
    if not images and not others:
        return []
    if others and all(_label_words(f) for f in images):
        return [RealCt(folder.name, folder, images)]
    named = [f for f in images if CT_WORDS & set(_words(f.name)) and not _label_words(f)]
    cts, labels = _divided(images)
    if named:
        cts, labels = named, [f for f in images if _label_words(f)]
    if len(cts) != 1:
        raise InputError(
            f"{folder} holds {len(cts)} images ({', '.join(f.name for f in cts[:4])}), of which one must be the CT; "
            "name it ct.nrrd, or leave it alone there"
        )
    return [RealCt(cts[0].relative_to(folder.parent).as_posix(), cts[0], labels)]


def _divided(images: list[Path]) -> tuple[list[Path], list[Path]]:
    """CTs and label maps of one subject: CTs are those with the fewest label words in their names."""
    fewest = min(map(_label_words, images))
    return [f for f in images if _label_words(f) == fewest], [f for f in images if _label_words(f) > fewest]


def _is_image(path: Path) -> bool:
    return path.name.lower().endswith(IMAGE_ENDINGS)


def _is_slice(path: Path) -> bool:
    return not path.name.lower().endswith(OTHER_ENDINGS) and read_header(path) is not None


def _words(name: str) -> list[str]:
    """The words of a file's name in small letters, its ending left out."""
    name = name.lower()
    ending = next((e for e in IMAGE_ENDINGS if name.endswith(e)), "")
    return re.split(r"[-_. ]+", name.removesuffix(ending))


def _label_words(path: Path) -> int:
    """How many words of a file's name speak of labels."""
    return sum(word in LABEL_WORDS for word in _words(path.name)) + path.name.lower().endswith(".seg.nrrd")


def _subject(name: str) -> tuple[str, ...]:
    """A file's name without what tells CT from label map."""
    return tuple(word for word in _words(name) if word not in LABEL_WORDS | CT_WORDS)
