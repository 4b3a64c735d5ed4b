"""A model bundle damaged in any place is one sentence that names file and field, never a traceback."""

import copy
import hashlib
import itertools
import json
import math
import random
import shutil
from pathlib import Path

import pytest
from small_chest import chest_ct, lung_labels

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.resources import resource_folder
from DLCTPMLib.networks.bundle import METADATA, REQUIRED, SUMS, WEIGHTS, load_bundle
from DLCTPMLib.networks.metadata import check_metadata
from DLCTPMLib.networks.settings import ArnnSettings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.quality.checks import check_input
from DLCTPMLib.results.methods import training_sentence
from DLCTPMTrainingLib.training.settings import TrainingSettings

SHIPPED = resource_folder() / "Models" / "default"
WRONG = ([], [1], {}, {"a": [None]}, None, True, "", "text", 1.5, -1, 0, 10**30, math.nan, -math.inf)
READ = {"name", "version", "intended_use", "network", "preprocessing", "training_ranges", "bf16_max_error"}
"""Fields that decide a map and its checks; of the others only the report reads some."""


@pytest.fixture
def bundle(tmp_path):
    return Path(shutil.copytree(SHIPPED, tmp_path / "model"))


def replace(folder: Path, name: str, data: bytes) -> None:
    """Put another file in, with its right hash: damaged where it was made, not on its way."""
    old = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / name).write_bytes(data)
    sums = (folder / SUMS).read_text()
    (folder / SUMS).write_text(sums.replace(old, hashlib.sha256(data).hexdigest()))


def parts(value, at=()):
    """The place of every value in it, lists and dictionaries among them."""
    if at:
        yield at
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if type(value) is list else ():
        yield from parts(part, (*at, key))


def changed(metadata: dict, at: tuple, value) -> dict:
    metadata = copy.deepcopy(metadata)
    inner = metadata
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return metadata


def refusal(use) -> str:
    """The sentence by which something is refused, "" where it is not."""
    try:
        use()
    except InputError as error:
        return str(error)
    return ""


def test_every_field_with_every_wrong_value_is_used_or_refused_by_its_name(bundle):
    metadata, ct, lungs = json.loads((bundle / METADATA).read_text()), chest_ct(), lung_labels()

    def use() -> None:
        model = load_bundle(bundle)
        check_input(ct, lungs, model.metadata)
        if at[0] == "network":
            model.network()

    refused = 0
    for at, value in itertools.product(parts(metadata), WRONG):
        harmed = changed(metadata, at, value)
        if at[0] not in READ:
            if not refusal(lambda: check_metadata(harmed)):  # noqa: B023 (used at once)
                training_sentence(harmed, PreprocessingSettings())
            continue
        replace(bundle, METADATA, json.dumps(harmed).encode())
        if said := refusal(use):
            refused += 1
            assert said.startswith(f"{bundle}: "), said
            assert METADATA in said, said
            names = [key for key in at if isinstance(key, str)]
            assert any(name in said for name in names), f"{names}: {said}"
    assert refused > 200


@pytest.mark.parametrize("text", ["", "null", "[]", "7", '"text"', "{", "[" * 100_000, '{"name": "a"}'])
def test_metadata_that_are_no_list_of_fields(bundle, text):
    replace(bundle, METADATA, text.encode())
    with pytest.raises(InputError, match=METADATA) as refused:
        load_bundle(bundle)
    assert "\n" not in str(refused.value)


def test_a_damaged_header_of_the_weights(bundle):
    """The first 8 bytes are the header's length, then comes JSON with names, types, shapes and offsets."""
    data, rng = (bundle / WEIGHTS).read_bytes(), random.Random(5)
    length = int.from_bytes(data[:8], "little")
    harmed = [
        b"",
        data[:4],
        data[: 8 + length // 2],
        data[: 8 + length],
        data[:-1],
        bytes(8) + data[8:],
        b"\xff" * 64,
    ]
    for words in ((b"F16", b"F99"), (b"F16", b"I64"), (b"shape", b"shap2"), (b"encode1", b"encode9")):
        harmed.append(data.replace(words[0], words[1], 1))
    for _ in range(30):
        place = rng.randrange(8 + length)
        harmed.append(data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :])
    said = []
    for each in harmed:
        replace(bundle, WEIGHTS, each)
        said.append(refusal(lambda: load_bundle(bundle).network()))
    refused = [each for each in said if each]
    assert len(refused) > 30
    assert all(WEIGHTS in each and "\n" not in each for each in refused)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(InputError, match=name):
        load_bundle(bundle)


@pytest.mark.parametrize("sums", [b"", b"\xff\xfe\x00garbage", b"  \n  \n", b"a" * 10_000, b"\n".join([b"0  x"] * 9)])
def test_sums_that_are_none(bundle, sums):
    (bundle / SUMS).write_bytes(sums)
    with pytest.raises(InputError, match=SUMS):
        load_bundle(bundle)


def test_a_whole_number_serves_as_a_number_and_a_list_as_a_tuple():
    settings = PreprocessingSettings.from_dict(
        {"hir_percentile": 80, "grid_shape": [32, 16, 16], "inputs": ["enhanced"]}
    )
    assert settings == PreprocessingSettings(hir_percentile=80.0, grid_shape=(32, 16, 16))
    assert isinstance(settings.hir_percentile, float)
    assert TrainingSettings.from_dict(TrainingSettings(plateau=True).to_dict()) == TrainingSettings(plateau=True)


@pytest.mark.parametrize(
    ("settings", "name", "value", "said"),
    [
        (PreprocessingSettings, "hu_low", -1000.5, "hu_low must be a whole number, not -1000.5"),
        (PreprocessingSettings, "clip_at", "1", "clip_at must be a number, not '1'"),
        (PreprocessingSettings, "clip_at", math.nan, "clip_at must be a number, not nan"),
        (PreprocessingSettings, "grid_shape", [64, 32], "grid_shape must be a list of 3 whole numbers, not a list"),
        (PreprocessingSettings, "edges", ["zero"], "edges must be text, not a list"),
        (ArnnSettings, "channels", [8, 8, 8, 10**30], "channels must be a list of 4 whole numbers"),
        (ArnnSettings, "kernel", True, "kernel must be a whole number, not True"),
        (TrainingSettings, "plateau", 1, "plateau must be a truth value, not 1"),
        (TrainingSettings, "seed", 10**30, "seed must be a whole number, not so large a number"),
    ],
)
def test_a_value_of_the_wrong_type_is_said_in_words(settings, name, value, said):
    with pytest.raises(InputError) as refused:
        settings.from_dict({name: value})
    assert str(refused.value).startswith(f"{settings.WHAT}: {said}")
