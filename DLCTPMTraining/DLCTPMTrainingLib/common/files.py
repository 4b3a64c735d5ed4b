"""Small files of a study: written by rename, so that a killed study never leaves half of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMLib.common.errors import InputError


def write_json(path: Path, value: Any) -> None:
    """Write plain values, readable for people; folders are made."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """What ``write_json`` wrote.

    Raises:
        InputError: if the file is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is damaged; remove it and run again, and it is made anew") from error


def write_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
