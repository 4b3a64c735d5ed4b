"""Which models there are, read from their folders without the engine's heavy parts."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ModelChoice:
    """A model that can be chosen.

    Attributes:
        key: what the engine is told: a name it ships, or a path.
        label: name and version.
        intendedUse: the one sentence of its metadata.
        card: its model card, Markdown.
    """

    key: str
    label: str
    intendedUse: str
    card: str


def availableModels(extraFolder: str = "") -> list[ModelChoice]:
    """The shipped models, then those in the user's own model folder; damaged ones are left out.

    The engine checks every file of the chosen one before it uses it.
    """
    from DLCTPMLib.errors import InputError
    from DLCTPMLib.resources import resource_folder

    folders = []
    with contextlib.suppress(InputError):  # said again by the engine when a prediction is asked for
        folders += [(path, path.name) for path in sorted((resource_folder() / "Models").iterdir())]
    if extraFolder and Path(extraFolder).is_dir():
        folders += [(path, str(path)) for path in sorted(Path(extraFolder).iterdir())]
    choices = [_choice(path, key) for path, key in folders]
    return [choice for choice in choices if choice is not None]


def _choice(path: Path, key: str) -> ModelChoice | None:
    try:
        metadata = json.loads((path / "configs" / "metadata.json").read_text(encoding="utf-8"))
        card = (path / "docs" / "README.md").read_text(encoding="utf-8")
        label = f"{metadata['name']} {metadata['version']}"
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return ModelChoice(key, label, str(metadata.get("intended_use", "")), card)
