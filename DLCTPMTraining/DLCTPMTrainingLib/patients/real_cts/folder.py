"""Which real CTs a folder holds, and which label map belongs to each.

One entry of the folder is one CT: an image file, a zip of a DICOM series, or a folder of its own with an image or a
DICOM series in it. A label map is told by its name: that of the CT with a word like "lungs" or "labels"
(``patient7.nrrd`` and ``patient7_lungs.nrrd``; in a folder of its own ``ct.nrrd`` and ``lungs.nrrd``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from DLCTPMLib.batch.file_names import CT_WORDS, OTHER_ENDINGS, is_image, label_words, subject, words_of
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.dicom.header import read_header


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
    files = [entry for entry in entries if entry.is_file() and is_image(entry.name)]
    loose = [entry for entry in entries if entry.is_file() and entry not in files and _is_slice(entry)]
    if loose:
        raise InputError(
            f"{folder} holds single DICOM slices ({loose[0].name}); put each CT's slices into a folder of its own"
        )
    found = [ct for entry in entries if entry.is_dir() for ct in _in_own_folder(entry)]
    of_folder = {subject(ct.path.name): ct for ct in found if ct.path.parent == folder}
    groups: dict[tuple[str, ...], list[Path]] = {}
    for file in files:
        groups.setdefault(subject(file.name), []).append(file)
    for whose, group in groups.items():
        if whose in of_folder and all(label_words(file.name) for file in group):
            of_folder[whose].labels.extend(group)  # patient7/ holds the slices, patient7_lungs.nrrd lies beside it
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
    images = [f for f in files if is_image(f.name)]
    others = [f for f in files if f not in images and not f.name.lower().endswith(OTHER_ENDINGS)]
    if not images and not others:
        return []
    if others and all(label_words(f.name) for f in images):
        return [RealCt(folder.name, folder, images)]
    named = [f for f in images if CT_WORDS & set(words_of(f.name)) and not label_words(f.name)]
    cts, labels = _divided(images)
    if named:
        cts, labels = named, [f for f in images if label_words(f.name)]
    if len(cts) != 1:
        raise InputError(
            f"{folder} holds {len(cts)} images ({', '.join(f.name for f in cts[:4])}), of which one must be the CT; "
            "name it ct.nrrd, or leave it alone there"
        )
    return [RealCt(cts[0].relative_to(folder.parent).as_posix(), cts[0], labels)]


def _divided(images: list[Path]) -> tuple[list[Path], list[Path]]:
    """CTs and label maps of one subject: CTs are those with the fewest label words in their names."""
    fewest = min(label_words(f.name) for f in images)
    return [f for f in images if label_words(f.name) == fewest], [f for f in images if label_words(f.name) > fewest]


def _is_slice(path: Path) -> bool:
    return not path.name.lower().endswith(OTHER_ENDINGS) and read_header(path) is not None
