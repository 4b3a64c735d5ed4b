"""What a command tells the person at the terminal."""

from __future__ import annotations

import argparse
import sys


def say(options: argparse.Namespace, text: str) -> None:
    """Print what was done for the user, unless a program reads standard output."""
    if options.progress != "json":
        encoding = sys.stdout.encoding or "utf-8"  # a Windows console may lack a minus or a dash
        print(text.encode(encoding, "replace").decode(encoding))
