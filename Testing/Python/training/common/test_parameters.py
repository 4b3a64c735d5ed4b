"""The table of what virtual patients are made from is whole, sourced, and refused where a row is wrong."""

import re
from pathlib import Path

import numpy as np
import pytest

import DLCTPMTrainingLib
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.resources import resource_path
from DLCTPMTrainingLib.common.parameters import draw, parameters, read_parameters, value

TABLE = "Parameters/virtual_patient.csv"
SOURCE = r"\b(19|20)\d\d|PMID \d|PMC\d|rs-\d|the paper|Edition"


def test_every_parameter_of_the_table_is_used_somewhere():
    folder = Path(DLCTPMTrainingLib.__file__).parent
    text = "\n".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    used = set(re.findall(r"\"([a-z_.]+[a-z_ ]+)\"", text))
    families = {name for name in parameters() if re.search(rf'f"{re.escape(name.split(".")[0])}\.\{{', text)}
    lupus = {name for name in parameters() if name.startswith("lupus.")}
    assert set(parameters()) - used - families - lupus == set()


def test_every_source_can_be_looked_up():
    """By its year, by an identifier, or by its title."""
    for name, entry in parameters().items():
        if entry.source:
            assert re.search(SOURCE, entry.source), name
        else:
            assert entry.evidence != "literature", name


def test_the_table_holds_the_numbers_of_the_paper_and_of_a_source():
    """Ren et al. 2021, Table 1: 67 ± 14 years; Stein 2010: silent embolism in 1665 of 5233 with thrombosis."""
    age = parameters()["age.years"]
    assert (age.kind, age.low, age.high, age.evidence) == ("normal", 67.0, 14.0, "literature")
    assert value("dvt.silent_embolism_probability") == pytest.approx(1665 / 5233, abs=0.005)


def test_draws_stay_in_their_range():
    rng = np.random.default_rng(0)
    for name, entry in parameters().items():
        if entry.kind == "fixed":
            assert value(name) == entry.low
            continue
        drawn = np.array([draw(rng, name) for _ in range(50)])
        low, high = (
            (entry.low, entry.high)
            if entry.kind == "uniform"
            else (entry.low - 2 * entry.high, entry.low + 2 * entry.high)
        )
        assert drawn.min() >= low
        assert drawn.max() <= high


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("heart.size,uniform,0.92,1.06", "heart.size,uniform,1.06,0.92", "the range 1.06 to 0.92 is empty"),
        ("heart.size,uniform,0.92,1.06", "heart.size,uniform,0.92,", "a fixed value has one number"),
        ("heart.size,uniform,0.92", "heart.size,uniform,nan", "'nan' is no number"),
        ("heart.size,uniform,0.92", "heart.size,uniform,0;92", "'0;92' is no number"),
        ("heart.size,uniform", "heart.size,lognormal", "unknown distribution 'lognormal'"),
        ("heart.size,uniform", "aorta.size,uniform", "'aorta.size' stands in the table twice"),
        ("ct.offset_hu,normal,0,6", "ct.offset_hu,normal,0,0", "the SD 0 is not positive"),
        ("scar_probability,fixed,0.4", "scar_probability,fixed,1.4", "a probability lies between 0 and 1"),
        ("years,literature", "years,hearsay", "unknown kind 'hearsay'"),
        ('literature,"the paper, Table 1"', "literature,", "nothing of where it comes from"),
        ("cardiothoracic ratio below one half", "a, b", "10 cells instead of 9"),
        ("topic,name,distribution", "topic,name,law", "must name the columns topic, name, distribution"),
    ],
)
def test_a_wrong_row_is_refused_with_its_number(tmp_path, right, wrong, said):
    text = resource_path(TABLE).read_text(encoding="utf-8")
    assert right in text
    path = tmp_path / "table.csv"
    path.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(said)) as refused:
        read_parameters(path)
    line = next(number for number, line in enumerate(path.read_text().splitlines(), 1) if wrong in line)
    assert line == 1 or f"row {line}" in str(refused.value) or "twice" in said


def test_a_table_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(InputError, match="install DL-CTPM again"):
        read_parameters(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="install DL-CTPM again"):
        read_parameters(tmp_path / "binary.csv")
