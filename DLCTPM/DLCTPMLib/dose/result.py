"""``dose.json``: the figures of dose and function of one prediction and one plan, in plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from DLCTPMLib.dose.analysis import DoseImages, LungDose
from DLCTPMLib.dose.limits import PUBLISHED
from DLCTPMLib.function.definitions import IN_USE, Definition
from DLCTPMLib.results.finished import scale_of
from DLCTPMLib.results.result_json import header, json_ready

DOSE_SCHEMA_VERSION = 1
"""Raised whenever a key of ``dose.json`` changes its place or meaning; new keys do not raise it."""

NO_INTERVALS = "the model has no calibration, so nothing is known of how far its figures are off"

DOSE_NOTES = {
    "dose": (
        "Dose is the plan's, as calculated; breathing, set-up and the difference between planned and delivered dose "
        "are not in it, and it is not corrected for fractionation."
    ),
    "limits": (
        "Published limits are quoted for orientation. They were found with other measures of function in other "
        "patients, do not carry over to this map, and are no advice."
    ),
}


def _each(definition: Definition, predicted: dict) -> list[Definition]:
    """The definition that was chosen and the others in use, on the map of a prediction."""
    scale = scale_of(predicted)
    return [definition, *(one.on_map(scale) for one in IN_USE if one.name != definition.name)]


def dose_result(
    predicted: dict,
    images: DoseImages,
    definition: Definition,
    structures: Mapping[str, dict],
    described: dict,
) -> dict:
    """The content of ``dose.json`` but for ``timings_s``.

    Args:
        predicted: the prediction's ``result.json``.
        images: map, lungs, dose, targets.
        definition: of high-functional lung.
        structures: dose of targets and organs by name (``structure_dose`` and ``role``).
        described: ``dose``, ``structures`` (None without) and ``transform`` (None without) for ``input``.

    Raises:
        InputError: as ``LungDose``.
    """
    lungs = LungDose(images)
    regions, curves = lungs.measured(definition)
    structures = {name: dict(one) for name, one in structures.items()}
    for name, ml in lungs.excluded_ml.items():
        structures[name]["in_lungs_ml"] = ml
    result = {
        **header(predicted["simulated"]),
        "schema_version": DOSE_SCHEMA_VERSION,
        "forced": predicted.get("forced", []),
        "notes": {"perfusion": predicted["notes"]["perfusion"], **DOSE_NOTES},
        "model": predicted["model"],
        "input": {"name": predicted["input"]["name"], "sha256": predicted["input"]["sha256"], **described},
        "function": {
            "definition": definition.name,
            "meaning": definition.words,
            "threshold": lungs.threshold(definition),
        },
        "regions": regions,
        "intervals": None,
        "definitions": lungs.by_definition(_each(definition, predicted)),
        "structures": structures,
        "outside_percent": lungs.outside_percent,
        "curves": curves,
        "limits": [
            {"name": one.name, "unit": one.unit, **asdict(one), "here": one.here(regions["lungs"]["high"])}
            for one in PUBLISHED
        ],
        "warnings": lungs.warnings,
        "undefined": {"intervals": NO_INTERVALS},
    }
    return json_ready(result)
