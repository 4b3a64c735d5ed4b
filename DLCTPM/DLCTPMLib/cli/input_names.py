"""What a result calls its inputs: by the file's own name, or by a pseudonym; never by a path (docs/privacy.md)."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from DLCTPMLib.common.errors import InputError

LONGEST = 64
"""Characters of a pseudonym."""


def add_pseudonym(parser: argparse.ArgumentParser) -> None:
    """``--pseudonym``."""
    parser.add_argument(
        "--pseudonym",
        metavar="NAME",
        help="stands in the results instead of the names of files and folders, which may be the patient's",
    )


@dataclass(frozen=True)
class InputNames:
    """The inputs of one command and what they are called.

    Attributes:
        paths: the path of each input (``CT``, ``SPECT``, ``lungs`` …) as it was given; None where there is none.
        pseudonym: stands for every name; None where the files' own are to be used.
    """

    paths: dict[str, str | None]
    pseudonym: str | None = None

    def __post_init__(self) -> None:
        name = self.pseudonym
        if name is None:
            return
        if not name.strip() or len(name) > LONGEST or not name.isprintable() or any(one in name for one in "/\\"):
            raise InputError(
                f"--pseudonym {name!r}: is no name; give at most {LONGEST} printable characters without / and \\"
            )

    def __getitem__(self, what: str) -> str:
        """What the input is called."""
        if self.pseudonym is not None:
            return f"{self.pseudonym} ({what})"
        return Path(self.paths[what]).resolve().name

    def described(self, description: dict, what: str) -> dict:
        """A description with the input's name."""
        return {**description, "name": self[what]}

    def told(self, sentences: Iterable[str]) -> list[str]:
        """Sentences for a result, without a path and, under a pseudonym, without a file's name."""
        return [self._told(sentence) for sentence in sentences]

    def _told(self, sentence: str) -> str:
        given = {what: path for what, path in self.paths.items() if path is not None}
        longest_first = sorted(given.items(), key=lambda item: -len(item[1]))
        for what, path in longest_first:
            ways = {path, str(Path(path)), str(Path(path).resolve())}
            if self.pseudonym is not None:
                ways.add(Path(path).resolve().name)
            for way in sorted(ways - {"", "."}, key=len, reverse=True):
                sentence = sentence.replace(way, self[what])
        return sentence
