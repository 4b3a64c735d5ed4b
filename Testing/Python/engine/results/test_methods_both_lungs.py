"""The methods paragraph tells how a model of both lungs on one grid prepares them."""

from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.results.methods import mapping_sentences

NETWORK = {"architecture": "unet", "channels": [8, 16, 32, 64], "kernel": 3}


def test_both_lungs_on_one_grid_are_told_without_eq_1():
    told = " ".join(
        mapping_sentences([NETWORK], PreprocessingSettings(cell_mm=6.0, inputs=("aerated", "dense", "lung")))
    )
    assert "cells of 6 mm" in told
    assert "both lungs together" in told
    assert "Eq. 1" not in told


def test_each_lung_by_itself_is_told_with_eq_1():
    told = " ".join(mapping_sentences([NETWORK], PreprocessingSettings()))
    assert "Eq. 1" in told
    assert "each lung by itself" in told
