"""What the name of a file says: an image or not, a CT or a label map, and whose."""

from __future__ import annotations

import re

from DLCTPMLib.volumes import formats

IMAGE_ENDINGS = (*formats.IMAGE_ENDINGS, ".zip")
"""Endings of files that are taken for images; others are asked whether they are DICOM."""
OTHER_ENDINGS = (".txt", ".md", ".csv", ".tsv", ".json", ".pdf", ".xlsx", ".html", ".xml", ".png", ".jpg", ".raw")
"""Endings of files that are passed over."""
CT_WORDS = {"ct"}
LABEL_WORDS = {
    *("label", "labels", "labelmap", "lm", "lobe", "lobes", "lung", "lungs", "lungmask", "mask", "seg"),
    *("segmentation", "wholelung"),
}
"""Words of a label map's name."""


def is_image(name: str) -> bool:
    """Whether a file's ending is that of an image, or of a zip of one."""
    return name.lower().endswith(IMAGE_ENDINGS)


def without_ending(name: str) -> str:
    """A file's name without an image's ending."""
    ending = next((e for e in IMAGE_ENDINGS if name.lower().endswith(e)), "")
    return name[: len(name) - len(ending)]


def words_of(name: str) -> list[str]:
    """The words of a file's name in small letters, its ending left out."""
    return re.split(r"[-_. ]+", without_ending(name).lower())


def label_words(name: str) -> int:
    """How many words of a file's name speak of labels."""
    return sum(word in LABEL_WORDS for word in words_of(name)) + name.lower().endswith(".seg.nrrd")


def subject(name: str) -> tuple[str, ...]:
    """A file's name without what tells CT from label map."""
    return tuple(word for word in words_of(name) if word not in LABEL_WORDS | CT_WORDS)
