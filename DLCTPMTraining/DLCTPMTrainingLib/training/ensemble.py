"""From finished models to one bundle whose map is their mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.networks.bundle import load_bundle, save_bundle
from DLCTPMTrainingLib.training.model_card import model_card
from DLCTPMTrainingLib.training.packaging import LICENSE

LEAST_MEMBERS = 2


def combine(models: Sequence[Path | str], folder: Path, name: str, version: str) -> Path:
    """Write one bundle of several models.

    Args:
        models: bundles, trained with the same preprocessing; those of the folds of one cohort, or of several cohorts.
        folder: the new bundle's.
        name, version: of the new model.

    Returns:
        the folder.

    Raises:
        InputError: for fewer than two models, or if their preprocessing differs.
    """
    bundles = [load_bundle(model) for model in models]
    if len(bundles) < LEAST_MEMBERS:
        raise InputError("an ensemble needs two members at least: give --members MODEL MODEL …")
    first = bundles[0].metadata
    for bundle in bundles[1:]:
        if bundle.preprocessing != bundles[0].preprocessing:
            raise InputError(
                f"{bundle.path}: its preprocessing differs from that of {bundles[0].path}; give models that see the "
                "same images"
            )
    every = [bundle.metadata for bundle in bundles]
    known = [one["training_ranges"] for one in every]
    ranges = {key: [min(one[key][0] for one in known), max(one[key][1] for one in known)] for key in known[0]}
    errors = [one.get("bf16_max_error") for one in every]
    validated = [one["validation"] for one in every if one.get("validation")]
    metadata = {
        **{key: value for key, value in first.items() if key not in ("members", "test")},
        "name": name,
        "version": version,
        "training_ranges": ranges,
        "bf16_max_error": None if None in errors else max(errors),
        "simulated": any(one.get("simulated") for one in every),
        "validation": {key: round(float(np.mean([one[key] for one in validated])), 5) for key in validated[0]}
        if validated
        else None,
        "members_training": [one["training"] for one in every],
    }
    members = [member for bundle in bundles for member in bundle.members]
    networks = [network for bundle in bundles for network in bundle.networks()]
    return save_bundle(folder, networks, metadata, model_card(metadata | {"members": members}), LICENSE)
