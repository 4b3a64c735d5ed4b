"""``dlctpm changes``: differences of two maps are those that were made, and no claim is made of them."""

import base64
import io
import json
import re
from copy import deepcopy

import numpy as np
import pytest
import SimpleITK as sitk
from finished_samples import write_finished
from html_tags import Tags
from jsonschema import Draft202012Validator
from matplotlib import colormaps
from matplotlib import image as matplotlib_image

from DLCTPMLib.cli.main import BAD_INPUT, DONE, main
from DLCTPMLib.common.resources import resource_path
from DLCTPMLib.volumes.reading import read_image, write_image

SCHEMA = json.loads(resource_path("Schemas/changes.schema.json").read_text(encoding="utf-8"))
BEFORE, AFTER = {2: 0.5, 3: 0.5}, {2: 0.25, 3: 0.75}
"""Relative perfusion of the right (2) and the left lung (3), which are equally large."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two finished predictions of one patient, scanned supine and feet first, with known maps."""
    folder = tmp_path_factory.mktemp("made")
    found = []
    for name, position, values in (("before", "supine", BEFORE), ("after", "feet first", AFTER)):
        (folder / name).mkdir()
        result = write_finished(folder / name, position).result
        lungs = read_image(result / "lungs.nrrd")
        known = sum(sitk.Cast(lungs == value, sitk.sitkFloat32) * level for value, level in values.items())
        write_image(known, result / "perfusion.nrrd")
        found.append(result)
    return found


@pytest.fixture
def pair(made, tmp_path):
    """Copies whose ``result.json`` a test may change: gives a function of the changes of each."""

    def changed(*changes):
        folders = []
        for name, source, change in zip(("before", "after"), made, changes, strict=True):
            folder = tmp_path / name
            folder.mkdir()
            for file in ("lungs.nrrd", "perfusion.nrrd"):
                (folder / file).symlink_to(source / file)
            result = json.loads((source / "result.json").read_text(encoding="utf-8"))
            change(result)
            (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
            folders.append(str(folder))
        return folders

    return changed


def as_it_is(result):
    """No change."""


def examined(**values):
    return lambda result: result["input"].update(examination={"meaning": "hashes", **values})


def compare(folders, out, *options):
    return main(["changes", *map(str, folders), *options, "--out", str(out), "--progress", "none"])


@pytest.fixture(scope="module")
def written(made, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    assert compare(made, out, "--function", "fixed:0.4") == DONE
    return json.loads((out / "changes.json").read_text(encoding="utf-8")), (out / "changes.html").read_text("utf-8")


def test_differences_are_those_of_the_maps(written):
    regions = written[0]["regions"]
    assert {name: one["change"] for name, one in regions["lungs"].items()} == pytest.approx(
        {**dict.fromkeys(regions["lungs"], 0.0), **expected_of_the_lungs(regions)}, abs=1e-6
    )
    for name, share, mean in (("right lung", -25, -0.25), ("left lung", 25, 0.25)):
        assert regions[name]["perfusion_percent"]["change"] == pytest.approx(share)
        assert regions[name]["mean"]["change"] == pytest.approx(mean)
    right = regions["right lung"]["high_ml"]
    assert (right["after"], right["change"]) == (0, -regions["right lung"]["volume_ml"]["before"])


def expected_of_the_lungs(regions):
    """Half of the lungs falls below 0.4, and below 60 % of the mean; SD is 0.25, quartiles lie 0.5 apart."""
    half = regions["right lung"]["volume_ml"]["before"]
    return {"high_ml": -half, "low_ml": half, "defect_percent": 50, "cv": 0.25 / 0.5, "heterogeneity": 0.5 / 0.5}


def test_no_change_is_claimed_without_intervals(written):
    result, html = written
    assert result["intervals"] is None
    assert "calibration" in result["undefined"]["intervals"]
    for said in (html, result["notes"]["claim"]):
        assert "no change of the patient is claimed" in said
    assert "increased" not in html
    assert "decreased" not in html


def test_what_is_written_follows_the_schema_and_every_key_is_described(written):
    Draft202012Validator(SCHEMA).validate(written[0])
    closed = deepcopy(SCHEMA)
    for part in [closed, *closed["$defs"].values()]:
        if "properties" in part:
            part["additionalProperties"] = False
    Draft202012Validator(closed).validate(written[0])


def test_both_maps_are_drawn_in_one_scale_of_colours_patient_right_on_the_left(written):
    """Of the coronal strip: the lungs' colours in the row above are those of 0.5, below of 0.25 and 0.75."""
    pictures = [base64.b64decode(one) for one in re.findall(r"data:image/png;base64,([^\"]+)", written[1])]
    strip = matplotlib_image.imread(io.BytesIO(pictures[0]), format="png")[..., :3]
    place = {}
    for value in (0.5, 0.25, 0.75):
        colour = np.array(colormaps["inferno"](value)[:3])
        above_the_bar = strip[: -strip.shape[0] // 4]
        place[value] = np.argwhere(np.abs(above_the_bar - colour).max(axis=-1) < 0.01)
        assert len(place[value]) > 1000
    assert place[0.5][:, 0].max() < min(place[0.25][:, 0].min(), place[0.75][:, 0].min())  # before above after
    width = strip.shape[1]
    first = [places[places[:, 1] < 0.19 * width][:, 1].mean() for places in (place[0.25], place[0.75])]
    assert first[0] < first[1]  # the patient's right lung, 0.25, on the left of the first slice


def test_text_from_files_is_shown_and_never_run(pair, tmp_path):
    evil = "<b onclick=alert(1)>x<script>\u202e"
    folders = pair(lambda result: result["input"].update(name=evil), as_it_is)
    assert compare(folders, tmp_path / "out") == DONE
    html = (tmp_path / "out" / "changes.html").read_text("utf-8")
    assert not Tags(html).runs_something()
    assert "&lt;b onclick=alert(1)&gt;x&lt;script&gt;" in html


def test_lobes_of_one_mask_are_named_not_compared(made, tmp_path):
    folder = tmp_path / "lobes"
    folder.mkdir()
    for file in ("result.json", "perfusion.nrrd"):
        (folder / file).symlink_to(made[1] / file)
    lungs = read_image(made[1] / "lungs.nrrd")
    write_image(sitk.Cast((lungs == 2) * 4 + (lungs == 3) * 7, sitk.sitkUInt16), folder / "lungs.nrrd")
    assert compare([made[0], folder], tmp_path / "out") == DONE
    result = json.loads((tmp_path / "out" / "changes.json").read_text(encoding="utf-8"))
    assert result["only_after"] == ["right upper lobe", "left upper lobe"]


def renamed_model(result):
    result["model"].update(name="another", sha256="cd" * 32)


@pytest.mark.parametrize(
    ("changes", "options", "sentence"),
    [
        ((as_it_is, renamed_model), (), "are of two models"),
        ((as_it_is, as_it_is), ("--function", "max:0.5"), "cuts high-functional lung at 0.25"),
        (
            (as_it_is, lambda result: result["settings"]["functional_regions"].update(definition="fixed:0.3")),
            (),
            "is p75:0.66 in one and fixed:0.3 in the other",
        ),
        ((as_it_is, lambda result: result.update(simulated=True)), (), "one is of a virtual patient"),
        ((examined(patient="a" * 16), examined(patient="b" * 16)), (), "hashes of their patients' IDs differ"),
        ((examined(date="2026-02-01"), examined(date="2026-01-31")), (), "give the earlier result first"),
        ((as_it_is, as_it_is), ("--same-patient",), "does nothing"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(pair, tmp_path, capsys, changes, options, sentence):
    assert compare(pair(*changes), tmp_path / "out", *options) == BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("error:") == 1
    assert sentence in said
    assert not (tmp_path / "out").exists()


def test_two_results_of_one_ct_are_no_comparison_over_time(made, tmp_path, capsys):
    assert compare([made[0], made[0]], tmp_path / "out") == BAD_INPUT
    assert "is of the very CT of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("hashes", "options", "sentence"),
    [
        (("a", "a"), (), "Both are of one patient by the hash"),
        (("a", "b"), ("--same-patient",), "the user said that they are one patient"),
        ((None, "b"), (), "Nothing in the two results says"),
    ],
)
def test_what_is_known_of_the_patient_is_said(pair, tmp_path, hashes, options, sentence):
    known = [examined(**({"patient": one * 16} if one else {})) for one in hashes]
    assert compare(pair(*known), tmp_path / "out", *options) == DONE
    assert sentence in (tmp_path / "out" / "changes.html").read_text("utf-8")


def test_how_the_scans_differ_is_said(pair, tmp_path):
    kernels = [lambda result, one=one: result["input"].update(dicom={"ConvolutionKernel": one}) for one in "AB"]
    assert compare(pair(*kernels), tmp_path / "out") == DONE
    result = json.loads((tmp_path / "out" / "changes.json").read_text(encoding="utf-8"))
    assert result["warnings"] == [
        "A difference of the maps may come from this alone: ConvolutionKernel A before, B after."
    ]
