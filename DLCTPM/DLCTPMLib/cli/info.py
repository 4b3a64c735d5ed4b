"""``dlctpm info``: what is installed here: versions, devices, models, optional parts."""

from __future__ import annotations

import argparse
import json
import platform
from importlib import metadata, util

from DLCTPMLib import __version__
from DLCTPMLib.cli.shared.command import Command
from DLCTPMLib.common.console import print_out
from DLCTPMLib.common.progress import Progress

PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "SimpleITK",
    "scikit-image",
    "pydicom",
    "highdicom",
    "safetensors",
    "matplotlib",
    "jinja2",
)
OPTIONAL = {
    "TensorBoard, for logs of a training": "tensorboard",
    "pynetdicom, for listen": "pynetdicom",
    "Slicer around this Python": "slicer",
}
"""What may be there beside the required packages: in words, and the module that shows it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How it is said."""
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs and bug reports")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Look, and print."""
    found = information()
    print_out(json.dumps(found, indent=1) if options.json else in_words(found))


def information() -> dict:
    """Versions, devices, models with their identity, optional parts present; plain JSON values."""
    return {
        "software": {"name": "DL-CTPM", "version": __version__},
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "devices": _devices(),
        "models": _models(),
        "optional": {words: util.find_spec(module) is not None for words, module in OPTIONAL.items()},
    }


def in_words(found: dict) -> str:
    """The same for a reader."""
    from DLCTPMLib.results.methods import member_words

    lines = [f"DL-CTPM {found['software']['version']}, Python {found['python']}, {found['system']}", "Packages:"]
    lines += [f"  {name} {version or 'is missing'}" for name, version in found["packages"].items()]
    lines += ["Devices:", *(f"  {name}: {what}" for name, what in found["devices"].items()), "Models:"]
    for model in found["models"]:
        lines.append(f"  {model['name']} {model['version']}, SHA-256 {model['sha256']}")
        lines.append(f"    {model['intended_use']}")
        lines += [f"    {member_words(member)}" for member in model["members"]]
    lines.append("Optional parts:")
    return "\n".join(
        [*lines, *(f"  {what}: {'yes' if there else 'no'}" for what, there in found["optional"].items())]
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> dict[str, str]:
    """By the name that ``--device`` takes, what it is; nothing where PyTorch is missing."""
    try:
        import torch
    except (ImportError, OSError):  # a library of its that does not load is an OSError
        return {}
    found = {"cpu": f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"}
    if torch.cuda.is_available():
        found["cuda"] = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    if torch.backends.mps.is_available():
        found["mps"] = "Apple's graphics processor"
    return found


def _models() -> list[dict]:
    """Identity of every shipped model."""
    from DLCTPMLib.networks.bundle import list_bundles, load_bundle

    return [load_bundle(name).identity() for name in list_bundles()]


COMMAND = Command(
    "info",
    "What is installed: versions, devices, models, optional parts.",
    add_arguments,
    run,
    ("dlctpm info",),
)
