"""What a command tells the person at the terminal."""

from __future__ import annotations

import argparse
import sys
import unicodedata

LONGEST_WORD = 300
"""A word that is longer (a cell of a damaged table, say) is cut in its middle."""

LONGEST_LINE = 3000
"""A line that is longer is cut at its end."""


def say(options: argparse.Namespace, text: str) -> None:
    """Print what was done for the user, unless a program reads standard output."""
    if options.progress != "json":
        encoding = sys.stdout.encoding or "utf-8"  # a Windows console may lack a minus or a dash
        plain = "\n".join(without_control(line) for line in text.split("\n"))
        print(plain.encode(encoding, "replace").decode(encoding))


def plain_line(text: str) -> str:
    """Text of any origin as one line that does nothing to a terminal: no control characters, long values cut."""
    words = (_cut(word) for word in without_control(" ".join(text.split())).split(" "))
    line = " ".join(words)
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} …"


def without_control(line: str) -> str:
    """A line without characters that act instead of showing: escape sequences, reversed writing, half characters."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(one)[0] == "C" else one for one in line)


def _cut(word: str) -> str:
    return word if len(word) <= LONGEST_WORD else f"{word[: LONGEST_WORD // 2]}…{word[-LONGEST_WORD // 2 :]}"
