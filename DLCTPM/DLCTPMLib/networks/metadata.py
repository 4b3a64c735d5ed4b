"""What a model bundle's ``configs/metadata.json`` must say for the engine to use it, and of what type it is."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.settings import StageSettings, of_type
from DLCTPMLib.networks.balance import LungBalance
from DLCTPMLib.networks.scale import LearnedScale
from DLCTPMLib.networks.settings import check_inputs, network_settings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings

AGAIN = "download the model again"
REQUIRED = ("name", "version", "intended_use", "network", "preprocessing")
LONGEST_NAME = 200
MOST_MEMBERS = 64
RANGES = ("lung_volume_ml", "lung_mean_hu")
"""Names in ``training_ranges``, each a [lowest, highest] of the lungs trained on."""


def check_metadata(metadata: Any) -> None:
    """See that the engine can use every field of it that it reads.

    ``members``, ``members_training``, ``training``, ``training_ranges``, ``scale``, ``balance``, ``simulated`` and
    ``bf16_max_error`` may be missing; fields that the engine does not read may say anything.

    Raises:
        InputError: naming the field.
    """
    if not isinstance(metadata, dict):
        raise InputError(f"is no list of fields with their values, {AGAIN}")
    for name in REQUIRED:
        if name not in metadata:
            raise InputError(f"says nothing of {name!r}, {AGAIN}")
    for name in ("name", "version", "intended_use"):
        _text(name, metadata[name])
    members = metadata.get("members", [metadata["network"]])
    if not isinstance(members, list) or not 1 <= len(members) <= MOST_MEMBERS or members[0] != metadata["network"]:
        raise InputError(
            f"'members' must be a list of up to {MOST_MEMBERS} networks, the first as 'network', {AGAIN}"
        )
    for member in members:
        check_inputs(network_settings(member), PreprocessingSettings.from_dict(metadata["preprocessing"]))
    _typed("bf16_max_error", metadata.get("bf16_max_error"), float | None)
    _typed("simulated", metadata.get("simulated", False), bool)
    for name, kind in (("scale", LearnedScale), ("balance", LungBalance)):
        if metadata.get(name) is not None:
            _whole(name, metadata[name], kind)
    if metadata.get("balance") is not None and PreprocessingSettings.from_dict(metadata["preprocessing"]).cell_mm:
        raise InputError(f"'balance' is of lungs on a grid each, and this model has both on one, {AGAIN}")
    training, ranges = (_fields(name, metadata.get(name, {})) for name in ("training", "training_ranges"))
    of_members = metadata.get("members_training", [])
    if not isinstance(of_members, list):
        raise InputError(f"'members_training' must be a list, {AGAIN}")
    _training("training", training)
    for number, told in enumerate(of_members):
        _training(f"members_training[{number}]", _fields(f"members_training[{number}]", told))
    for name in RANGES:
        if name in ranges:
            _range(f"training_ranges.{name}", ranges[name])


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{name!r} must be a text, {AGAIN}")
    if name != "intended_use" and (len(value) > LONGEST_NAME or not value.isprintable()):
        raise InputError(f"{name!r} must be one short line, {AGAIN}")


def _fields(name: str, value: Any) -> dict:
    if not isinstance(value, dict):
        raise InputError(f"{name!r} must be names with their values, {AGAIN}")
    return value


def _typed(name: str, value: Any, kind: Any) -> Any:
    try:
        return of_type(value, kind)
    except TypeError as error:
        raise InputError(f"{name!r} must be {error}, {AGAIN}") from None


def _training(what: str, told: dict) -> None:
    for name in ("patients", "lungs", "epochs_done"):
        _typed(f"{what}.{name}", told.get(name), int | None)
    if told.get("fold") is not None:
        _typed(f"{what}.fold", told["fold"], tuple[int, int])
    if told.get("origin") is not None:
        for name, count in _fields(f"{what}.origin", told["origin"]).items():
            _typed(f"{what}.origin.{name}", count, int)


def _whole(what: str, value: Any, kind: type[StageSettings]) -> None:
    """All fields of a stage's settings are there, and right."""
    missing = [name for name in (each.name for each in fields(kind)) if name not in _fields(what, value)]
    if missing:
        raise InputError(f"{what!r} says nothing of {missing[0]!r}, {AGAIN}")
    kind.from_dict(value)


def _range(name: str, value: Any) -> None:
    low, high = _typed(name, value, tuple[float, float])
    if low > high:
        raise InputError(f"{name!r} must be the lowest and then the highest value, {AGAIN}")
