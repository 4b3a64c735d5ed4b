"""Values from the text of a command line."""

from __future__ import annotations


def whole_numbers(text: str) -> tuple[int, ...]:
    """Numbers like 16-32-64-128 or 128x64x64; ValueError for anything else."""
    return tuple(int(part) for part in text.replace("x", "-").split("-"))


def words(text: str) -> tuple[str, ...]:
    """Words with commas between them."""
    return tuple(part.strip() for part in text.split(","))
