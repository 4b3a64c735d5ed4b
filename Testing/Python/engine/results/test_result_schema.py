"""``Resources/Schemas/result.schema.json`` against what the commands really write."""

import json
import random
from copy import deepcopy

import pytest
from jsonschema import Draft202012Validator
from small_chest import write_inputs

from DLCTPMLib.cli.main import DONE, main
from DLCTPMLib.common.resources import resource_folder
from DLCTPMLib.results.result_json import SCHEMA_VERSION
from DLCTPMLib.results.result_schema import fault_in

SCHEMA = json.loads((resource_folder() / "Schemas" / "result.schema.json").read_text(encoding="utf-8"))


def closed(schema: dict) -> dict:
    """The same schema for which no object may hold a key that it does not describe."""
    schema = deepcopy(schema)

    def close(value: dict) -> None:
        value["unevaluatedProperties"] = False
        close_inner(value)

    def close_inner(part: dict) -> None:
        inner = [*part.get("properties", {}).values(), part.get("items"), part.get("additionalProperties")]
        for value in inner:
            if isinstance(value, dict):
                close(value)
        for way in part.get("anyOf", []):
            close_inner(way)

    for definition in schema["$defs"].values():  # these are joined with others, so each stays open itself
        close_inner(definition)
    close(schema)
    return schema


FOLLOWS, DESCRIBES = Draft202012Validator(SCHEMA), Draft202012Validator(closed(SCHEMA))


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, dict]:
    """The results of a prediction alone, of one with its SPECT, and of evaluations."""
    files = write_inputs(tmp_path_factory.mktemp("inputs"))
    folder = tmp_path_factory.mktemp("results")
    predict = ["predict", files["ct"], "--model", files["model"], "--lungs", files["lungs"], "--device", "cpu"]
    evaluate = ["evaluate", "--prediction", str(folder / "alone" / "perfusion.nrrd"), "--lungs", files["lungs"]]
    evaluate += ["--spect", files["spect"]]
    operation = ["--fev1", "2", "--removed", "left"]
    commands = {
        "alone": predict,
        "with SPECT": [*predict, "--spect", files["spect"], "--hir-scope", "lung", *operation],
        "evaluation": evaluate,
        "evaluation with CT": [*evaluate, "--ct", files["ct"], "--model", files["model"]],
        "evaluation with result": [*evaluate, "--ct", files["ct"], "--result", str(folder / "alone/result.json")],
    }
    results = {}
    for name, command in commands.items():
        assert main([*command, "--out", str(folder / name), "--progress", "none"]) == DONE
        results[name] = json.loads((folder / name / "result.json").read_text(encoding="utf-8"))
    return results


KINDS = ("alone", "with SPECT", "evaluation", "evaluation with CT", "evaluation with result")


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_commands_write_follows_the_schema(written, kind):
    assert [error.message for error in FOLLOWS.iter_errors(written[kind])] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_described(written, kind):
    assert [error.message for error in DESCRIBES.iter_errors(written[kind])] == []


def test_the_schema_is_one_and_of_the_version_that_is_written():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"]["const"] == SCHEMA_VERSION


def changed(result: dict, *place: str, to: object = None) -> dict:
    """A copy with one value changed, or left out where nothing is given."""
    result = deepcopy(result)
    part = result
    for name in place[:-1]:
        part = part[name]
    if to is None:
        del part[place[-1]]
    else:
        part[place[-1]] = to
    return result


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("schema_version",), 1),
        (("software",), None),
        (("regions", "left lung"), None),
        (("regions", "right lung", "mean"), 1.2),
        (("regions", "right upper third", "volume_ml"), "12 ml"),
        (("quality", 0, "status"), "fine"),
        (("model", "sha256"), "abc"),
        (("timings_s", "network"), -1),
        (("simulated",), 1),
        (("input", "direction"), [1, 0, 0]),
        (("input", "spect", "spacing"), None),
        (("agreement",), None),  # a registration without it
        (("agreement", "lungs", "core", "kappa"), None),
        (("agreement", "left lung", "baselines", "geometry", "dsc_low"), 1.01),
        (("agreement", "lungs", "hir", "left lung"), "high"),
        (("agreement", "lungs", "other_hir_scope", "hir_scope"), "voxel"),
        (("settings", "agreement", "threshold"), 1.1),
    ],
)
def test_a_broken_result_is_told(written, place, value):
    assert not FOLLOWS.is_valid(changed(written["with SPECT"], *place, to=value))


def every_place(part, at=()):
    yield at
    for key, inner in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        yield from every_place(inner, (*at, key))


@pytest.mark.parametrize("kind", ["with SPECT", "evaluation with CT"])
def test_the_program_judges_a_result_as_jsonschema_does(written, kind):
    whole = written[kind]
    assert fault_in(whole) == ""
    draw = random.Random(3)
    places = list(every_place(whole))
    verdicts = {True: 0, False: 0}
    for _ in range(600):
        place = draw.choice(places[1:])
        value = draw.choice([None, True, 0, -1, 0.5, 7.0, 1e9, "", "text", [], [1, 2, 3], {}, {"a": 1}, "gone"])
        harmed = changed(whole, *place, to=None if value == "gone" else value)
        if value is None:
            harmed = changed(whole, *place, to=1)
            inner = harmed
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = None
        valid = FOLLOWS.is_valid(harmed)
        verdicts[valid] += 1
        assert (fault_in(harmed) == "") == valid, f"{place} {value!r}: {fault_in(harmed)}"
    assert min(verdicts.values()) > 100


def test_a_fault_is_told_with_its_place(written):
    harmed = changed(written["with SPECT"], "agreement", "lungs", "core", "kappa", to="much")
    assert fault_in(harmed).startswith("agreement.lungs.core.kappa is not as its schema says (type ")
    harmed = changed(written["alone"], "quality", 0, "status", to="fine")
    assert fault_in(harmed).startswith("quality[0].status")


def test_a_result_that_is_neither_of_a_prediction_nor_of_an_evaluation_is_told(written):
    assert not FOLLOWS.is_valid(changed(written["alone"], "regions"))


def test_keys_that_came_later_break_nothing_but_are_noticed(written):
    newer = changed(written["alone"], "uncertainty", to={"passes": 20})
    assert FOLLOWS.is_valid(newer)
    assert ["uncertainty" in error.message for error in DESCRIBES.iter_errors(newer)] == [True]


def test_every_key_has_a_description():
    def described(part: dict) -> bool:
        if "description" in part:
            return True
        return "$ref" in part and described(SCHEMA["$defs"][part["$ref"].removeprefix("#/$defs/")])

    def without(part, place: str) -> list[str]:
        if isinstance(part, list):
            return [found for one in part for found in without(one, place)]
        if not isinstance(part, dict):
            return []
        keys = part.get("properties", {})
        bare = [f"{place}/{key}" for key, value in keys.items() if not described(value)]
        return bare + [found for key, value in part.items() for found in without(value, f"{place}/{key}")]

    assert without(SCHEMA, "") == []
