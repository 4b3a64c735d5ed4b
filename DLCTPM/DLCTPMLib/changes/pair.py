"""Two predictions of one patient, opened and held against each other: what forbids a comparison, what weakens it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.templates import name_text, value_text
from DLCTPMLib.function.definitions import Definition, parse_definition
from DLCTPMLib.function.regions import FunctionalLung
from DLCTPMLib.results.finished import FinishedResult, open_result

SAME_PATIENT = "same_patient"
"""The option that says so where hashes say otherwise."""

OF_THE_SCAN = (
    "Manufacturer",
    "ManufacturerModelName",
    "ConvolutionKernel",
    "SliceThickness",
    "KVP",
    "PatientPosition",
    "contrast_agent_stated",
)
"""How a CT was made (``input.dicom`` of ``result.json``): what changes a map though the patient stays the same."""


@dataclass(frozen=True)
class Pair:
    """Two predictions that may be compared. Make it with ``open_pair``.

    Attributes:
        before, after: as predicted.
        functions: of each, the lungs as one definition divides them.
        patient: what is known of whether both are of one patient, as a sentence.
    """

    before: FinishedResult
    after: FinishedResult
    functions: tuple[FunctionalLung, FunctionalLung]
    patient: str

    @property
    def definition(self) -> Definition:
        """Of high-functional lung, in both."""
        return self.functions[0].definition

    def doubts(self) -> list[str]:
        """What differs between the two beside the patient, and what the checks of each input said, as sentences."""
        differ = _scans_differ(self.before.result, self.after.result)
        told = [f"A difference of the maps may come from this alone: {'; '.join(differ)}."] if differ else []
        for when, one in (("Before", self.before), ("After", self.after)):
            told += [
                f"{when}: {check['status']}: {check['message']}"
                for check in one.result["quality"]
                if check["status"] != "PASS"
            ]
        return told


def open_pair(
    before: str | os.PathLike, after: str | os.PathLike, function: str | None = None, same_patient: bool = False
) -> Pair:
    """Open both and refuse what cannot be compared.

    Args:
        before, after: folders that ``predict`` wrote.
        function: definition of high-functional lung; None for the predictions' own.
        same_patient: the user knows that both are of one patient, whatever the hashes say.

    Raises:
        InputError: a folder is no prediction; the two are of one CT, of two patients, in the wrong order, of two
            models, or high-functional lung is not cut at one value of the map.
    """
    pair = open_result(before), open_result(after)
    _check_time(*pair)
    patient = _patient(*pair, same_patient)
    _check_model(*pair)
    definition = _definition(*pair, function)
    functions = tuple(FunctionalLung.of(one.perfusion, one.lungs, definition) for one in pair)
    cuts = [one.high_above for one in functions]
    if cuts[0] != cuts[1]:
        raise InputError(
            f"{definition.name} cuts high-functional lung at {cuts[0]:.4g} of the map before and at {cuts[1]:.4g} "
            "after, so its volumes cannot be compared; give --function p75:0.66 or fixed:0.5"
        )
    return Pair(*pair, functions, patient)


def _check_time(before: FinishedResult, after: FinishedResult) -> None:
    keys = {one.result["input"].get("voxels_sha256", one.result["input"]["sha256"]) for one in (before, after)}
    if len(keys) == 1:
        raise InputError(f"{after.folder}: is of the very CT of {before.folder}; give the result of a later CT")
    dates = [one.result["input"].get("examination", {}).get("date") for one in (before, after)]
    if all(dates) and dates[1] < dates[0]:
        raise InputError(
            f"{after.folder}: its CT ({dates[1]}) is older than that of {before.folder} ({dates[0]}); give the "
            "earlier result first"
        )


def _patient(before: FinishedResult, after: FinishedResult, same_patient: bool) -> str:
    """What is known of whether both are of one patient."""
    simulated = [one.result["simulated"] for one in (before, after)]
    if simulated[0] != simulated[1]:
        raise InputError(
            f"{before.folder} and {after.folder}: one is of a virtual patient and one is not; give two results of "
            "one patient"
        )
    hashes = [one.result["input"].get("examination", {}).get("patient") for one in (before, after)]
    if not all(hashes):
        if same_patient:
            raise InputError(
                "--same-patient: does nothing, since not both results have a hash of their patient; leave it out"
            )
        return (
            "Nothing in the two results says that they are of one patient (predict with --examination-salt names "
            "the patient of a DICOM CT by a hash): see to it yourself."
        )
    if hashes[0] == hashes[1]:
        return "Both are of one patient by the hash of the patient's ID."
    if not same_patient:
        raise InputError(
            f"{before.folder} and {after.folder}: the hashes of their patients' IDs differ, so they are of two "
            "patients or were made with two salts; give two results of one patient, or --same-patient if you know "
            "that they are"
        )
    return "The hashes of the two patients' IDs differ; the user said that they are one patient (--same-patient)."


def _check_model(before: FinishedResult, after: FinishedResult) -> None:
    used = [(one.result["model"]["sha256"], one.result.get("scale")) for one in (before, after)]
    if used[0] != used[1]:
        names = ["{name} {version}, SHA-256 {sha256:.8}…".format(**one.result["model"]) for one in (before, after)]
        raise InputError(
            f"{before.folder} and {after.folder}: are of two models, or scales of one ({names[0]}; {names[1]}), so "
            "a difference may be theirs; predict both with one model"
        )


def _definition(before: FinishedResult, after: FinishedResult, function: str | None) -> Definition:
    if function is not None:
        return parse_definition(function).on_map(before.scale)
    own = before.definition, after.definition
    if own[0].name != own[1].name:
        raise InputError(
            f"{before.folder} and {after.folder}: high-functional lung is {own[0].name} in one and {own[1].name} in "
            "the other; give one for both with --function"
        )
    return own[0]


def _scans_differ(before: dict, after: dict) -> list[str]:
    """What of the scans, the lungs and the program differs, each with both values."""
    first, second = before["input"], after["input"]
    made = [one.get("dicom") for one in (first, second)]
    if all(made):
        pairs = [(name_text(name), made[0].get(name), made[1].get(name)) for name in OF_THE_SCAN]
    else:
        pairs = [("how the CT was made", *("known" if one else "not known" for one in made))] if any(made) else []
    pairs += [
        ("voxels (mm)", *(" × ".join(f"{mm:.3g}" for mm in one["spacing"]) for one in (first, second))),
        ("source of the lungs", first["lungs"]["source"], second["lungs"]["source"]),
        ("version of the program", before["software"]["version"], after["software"]["version"]),
    ]
    return [f"{name} {_text(one)} before, {_text(other)} after" for name, one, other in pairs if one != other]


def _text(value: object) -> str:
    return "not known" if value is None else value_text("", value)
