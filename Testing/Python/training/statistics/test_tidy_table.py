"""A study's results as one tidy table: what is selected, joined and left out."""

import numpy as np
import pytest

from DLCTPMTrainingLib.statistics.table import TidyTable

LINES = [
    ("P1", "healthy", "right lung", "whole", "model", "ssim", 0.7),
    ("P1", "healthy", "left lung", "whole", "model", "ssim", None),
    ("P2", "", "right lung", "whole", "model", "ssim", 0.5),
    ("P2", "", "right lung", "core", "geometry", "r_spearman", 0.25),
]


@pytest.fixture
def table() -> TidyTable:
    return TidyTable.of(LINES)


def test_keywords_select_lines_and_keep_their_order(table):
    found = table.select(metric="ssim", scope=("left lung", "right lung"))
    assert found.patient.tolist() == ["P1", "P1", "P2"]
    assert table.select(patient="P2", prediction="model").value.tolist() == [0.5]
    assert table.select(diagnosis="").patient.tolist() == ["P2", "P2"]
    assert len(table.select(metric=[])) == len(table.select(metric="kappa")) == 0


def test_a_line_without_a_value_is_not_known(table):
    assert np.isnan(table.value[1])
    assert table.known().value.tolist() == [0.7, 0.5, 0.25]


def test_names_stand_once_in_the_order_of_the_lines(table):
    assert table.names("prediction") == ["model", "geometry"]


def test_joined_tables_are_one_after_the_other_and_equal_the_whole(table):
    parts = TidyTable.of(LINES[:2]), TidyTable.of([]), TidyTable.of(LINES[2:])
    assert TidyTable.joined(parts) == table
    assert TidyTable.joined([]) == TidyTable.of([])
    assert TidyTable.joined(parts[::-1]) != table
