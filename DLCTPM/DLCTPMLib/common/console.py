"""What a command tells the person at the terminal."""

from __future__ import annotations

import argparse
import errno
import os
import subprocess
import sys
import unicodedata

from DLCTPMLib.common.errors import InputError

NOBODY_READS = (errno.EPIPE, errno.EINVAL)
"""Errors of a pipe that nobody reads any more; Windows says EINVAL."""

NO_WINDOW = {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {}
"""Arguments of ``subprocess`` for a program that must not flash a console window on Windows."""

LONGEST_WORD = 300
"""A word that is longer (a cell of a damaged table, say) is cut in its middle."""

LONGEST_LINE = 3000
"""A line that is longer is cut at its end."""


def say(options: argparse.Namespace, text: str) -> None:
    """Print what was done for the user, unless a program reads standard output."""
    if options.progress != "json":
        encoding = sys.stdout.encoding or "utf-8"  # a Windows console may lack a minus or a dash
        plain = "\n".join(without_control(line) for line in text.split("\n"))
        print_out(plain.encode(encoding, "replace").decode(encoding))


def print_out(text: str) -> None:
    """Print to standard output, now; whoever read it may be gone.

    Raises:
        InputError: it takes nothing more (a file on a full disk).
    """
    try:
        print(text, flush=True)
    except OSError as error:
        if error.errno not in NOBODY_READS:
            raise InputError(cannot_be_written(error)) from error


def cannot_be_written(error: OSError) -> str:
    """The sentence for a standard output that takes nothing more."""
    return f"the standard output cannot be written ({error.strerror}); lead it to a place with room"


def open_standard_streams() -> None:
    """Lead standard streams nowhere that were closed when the program was started.

    Else the next file that is opened, a result perhaps, would take the number of one and get what is printed to it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))


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
