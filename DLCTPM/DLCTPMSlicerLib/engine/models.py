"""Which models there are, read from their folders without the engine's heavy parts; the place for new ones."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import qt

INSTALLED = Path("DL-CTPM", "Models")
"""Folder beside Slicer's settings file, which outlives the extension and Slicer's next version."""
CHECKSUMS = "SHA256SUMS"
NETWORKS = {"unet": "U-Net", "arnn": "ARNN", "context": "ARNN with place and density"}
"""What readers call the networks."""


@dataclass(frozen=True)
class ModelChoice:
    """A model that can be chosen.

    Attributes:
        key: what the engine is told: a name it ships, or a path.
        label: name and version.
        about: kind of network, and what it was trained on.
        intendedUse: the one sentence of its metadata.
        card: its model card, Markdown.
    """

    key: str
    label: str
    about: str
    intendedUse: str
    card: str


def availableModels(extraFolder: str = "") -> list[ModelChoice]:
    """The shipped models, those trained here, then those in the user's own model folder; damaged ones are left out.

    The engine checks every file of the chosen one before it uses it.
    """
    from DLCTPMLib.common.errors import InputError
    from DLCTPMLib.common.resources import resource_folder

    folders = []
    with contextlib.suppress(InputError):  # said again by the engine when a prediction is asked for
        folders += [(path, path.name) for path in sorted((resource_folder() / "Models").iterdir())]
    for folder in dict.fromkeys((installedFolder(), *([Path(extraFolder)] if extraFolder else []))):
        if folder.is_dir():
            folders += [(path, str(path)) for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    choices = [choice for choice in (_choice(path, key) for path, key in folders) if choice is not None]
    labels = Counter(choice.label for choice in choices)
    return [_toldApart(choice, Path(choice.key).name) if labels[choice.label] > 1 else choice for choice in choices]


def _toldApart(choice: ModelChoice, folder: str) -> ModelChoice:
    return replace(choice, label=f"{choice.label} ({folder})")


def installedFolder() -> Path:
    """Where models that were trained on this computer lie; it may not be there yet."""
    return Path(qt.QSettings().fileName()).parent / INSTALLED


def installModel(bundle: Path) -> ModelChoice:
    """Copy a trained model to where every model list finds it; a model that is there already is not copied again.

    Another model of the same name and version gets a folder with a number, so that none is ever replaced.

    Args:
        bundle: the bundle's folder, for example ``RUN/model``.

    Raises:
        ValueError: it is no bundle.
        OSError: it cannot be copied.
    """
    choice = _choice(bundle, str(bundle))
    if choice is None:
        raise ValueError(f"{bundle} is not a trained model")
    place = installedFolder()
    place.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.-]+", "-", choice.label).strip(".-") or "model"
    target, number = place / name, 1
    while target.exists():
        if _sums(target) == _sums(bundle):
            return replace(choice, key=str(target))
        number += 1
        target = place / f"{name}-{number}"
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=place))
    try:
        shutil.copytree(bundle, partial / target.name)
        os.replace(partial / target.name, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return replace(choice, key=str(target))


def _sums(folder: Path) -> str | None:
    try:
        return (folder / CHECKSUMS).read_text(encoding="utf-8")
    except OSError:
        return None


def _choice(path: Path, key: str) -> ModelChoice | None:
    try:
        metadata = json.loads((path / "configs" / "metadata.json").read_text(encoding="utf-8"))
        card = (path / "docs" / "README.md").read_text(encoding="utf-8")
        label = f"{metadata['name']} {metadata['version']}"
    except (OSError, ValueError, KeyError, TypeError):
        return None
    about = " · ".join([*_network(metadata), *_trainedOn(metadata)])
    return ModelChoice(key, label, about, str(metadata.get("intended_use", "")), card)


def _network(metadata: dict) -> list[str]:
    members = metadata.get("members") or [metadata.get("network", {})]
    names = [NETWORKS.get(one.get("architecture"), one.get("architecture", "")) for one in members]
    if len(names) == 1:
        return names if names[0] else []
    kinds = [f"{names.count(kind)} {kind}" for kind in dict.fromkeys(names)]
    return [f"mean of {len(names)} networks ({', '.join(kinds)})"]


def _trainedOn(metadata: dict) -> list[str]:
    trainings = metadata.get("members_training") or [metadata.get("training", {})]
    counts = sorted({training.get("patients") or 0 for training in trainings})
    if not counts[0]:
        return []
    patients = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
    kind = f"{'simulated ' if metadata.get('simulated') else ''}patient{'s' if counts != [1] else ''}"
    return [f"{patients} {kind}{' each' if len(trainings) > 1 else ''}"]
