"""What a result calls its inputs: by the file's own name, or by a pseudonym; never by a path (docs/privacy.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from DLCTPMLib.common.console import without_control
from DLCTPMLib.common.errors import InputError

if TYPE_CHECKING:
    from DLCTPMLib.volumes.reading import Scan

LONGEST = 64
"""Characters of a pseudonym."""


@dataclass(frozen=True)
class InputNames:
    """The inputs of one command and what they are called.

    Attributes:
        paths: the path of each input (``CT``, ``SPECT``, ``lungs`` …) as it was given; None where there is none.
        pseudonym: stands for every name; None where the files' own are to be used.
        salt: key of the hashes that name an examination; None for the program's own.
        with_date: whether the examination's date is told.
    """

    paths: dict[str, str | None]
    pseudonym: str | None = None
    salt: str | None = None
    with_date: bool = False

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
        return without_control(Path(self.paths[what]).resolve().name)

    def described(self, description: dict, what: str) -> dict:
        """A description with the input's name."""
        return {**description, "name": self[what]}

    def scan(self, scan: Scan, what: str) -> Scan:
        """The same scan with a description and warnings for results: its name, its examination's pseudonym."""
        description, warnings = self.described(scan.description, what), self.told(scan.warnings)
        named = scan.examination.pseudonym(self.salt, self.with_date) if scan.examination else {}
        if named:
            description["examination"] = named
        if self.with_date and "date" not in named:
            warnings.append(f"the date of the {what}'s examination is not known")
        return replace(scan, description=description, warnings=warnings)

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
