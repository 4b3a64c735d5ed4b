"""``changes.json``: what differs between two predictions of one patient, in plain JSON values."""

from __future__ import annotations

from DLCTPMLib.changes.pair import Pair
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.results.finished import FinishedResult
from DLCTPMLib.results.result_json import header, json_ready, notes_for

CHANGES_SCHEMA_VERSION = 1
"""Raised whenever a key of ``changes.json`` changes its place or meaning; new keys do not raise it."""

MEASURED = (
    "volume_ml",
    "mean",
    "perfusion_percent",
    "volume_percent",
    "high_ml",
    "low_ml",
    "cv",
    "heterogeneity",
    "defect_percent",
)
"""What is told of a region: as in ``regions`` of ``result.json``, and its share of the lungs' volume."""

NO_INTERVALS = "the model has no calibration, so nothing is known of how far its figures are off"

CHANGES_NOTES = {
    "claim": (
        "No interval is known for the figures of either prediction, so it is not known whether a difference is more "
        "than breathing, position, scan and chance: what follows are differences of two maps, and no change of the "
        "patient is claimed."
    ),
    "breathing": (
        "Volumes and densities of lungs change with the depth of the breath that is held, and the map with them; the "
        "two CTs are not registered to each other, so regions are those of each CT, not the same tissue."
    ),
}


def changes_result(pair: Pair) -> dict:
    """The content of ``changes.json``."""
    before, after = (_with_volume_shares(function.table()) for function in pair.functions)
    earlier, later = pair.before.result, pair.after.result
    preprocessing = PreprocessingSettings.from_dict(earlier["settings"]["preprocessing"])
    return json_ready(
        {
            **header(earlier["simulated"]),
            "schema_version": CHANGES_SCHEMA_VERSION,
            "forced": [*earlier.get("forced", []), *later.get("forced", [])],
            "notes": {
                **notes_for(preprocessing.hir_percentile, preprocessing.clip_at),
                "patient": pair.patient,
                **CHANGES_NOTES,
            },
            "model": earlier["model"],
            "input": {"before": _described(pair.before), "after": _described(pair.after)},
            "function": {
                "definition": pair.definition.name,
                "meaning": pair.definition.words,
                "threshold": pair.functions[0].high_above,
            },
            "regions": {name: _changed(before[name], after[name]) for name in before if name in after},
            "only_before": [name for name in before if name not in after],
            "only_after": [name for name in after if name not in before],
            "intervals": None,
            "warnings": pair.doubts(),
            "undefined": {"intervals": NO_INTERVALS},
        }
    )


def _described(one: FinishedResult) -> dict:
    """Which CT a prediction is of."""
    described = one.result["input"]
    kept = ("name", "sha256", "spacing", "size", "examination")
    return {key: described[key] for key in kept if key in described} | {"lungs": described["lungs"]["source"]}


def _with_volume_shares(regions: dict[str, dict]) -> dict[str, dict]:
    whole = regions["lungs"]["volume_ml"]
    return {name: {**one, "volume_percent": 100 * one["volume_ml"] / whole} for name, one in regions.items()}


def _changed(before: dict, after: dict) -> dict:
    """By what is measured: before, after, and after less before (None where one of them has no value)."""
    return {
        key: {
            "before": before[key],
            "after": after[key],
            "change": None if before[key] is None or after[key] is None else after[key] - before[key],
        }
        for key in MEASURED
    }
