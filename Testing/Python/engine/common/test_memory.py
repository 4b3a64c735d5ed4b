"""Memory that ran out is known by its error's type, and by words only where a library gives nothing else."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from DLCTPMLib.common.memory import is_out_of_memory


def numpy_asks_too_much():
    np.empty(2**60, np.uint8)


def torch_asks_too_much():
    torch.empty(2**60, dtype=torch.uint8)


def itk_asks_too_much():
    sitk.Image([2**20, 2**20, 2**20], sitk.sitkFloat64)


@pytest.mark.parametrize("ask", [numpy_asks_too_much, torch_asks_too_much, itk_asks_too_much])
def test_what_the_libraries_raise_when_memory_runs_out(ask):
    with pytest.raises((MemoryError, RuntimeError)) as raised:
        ask()
    assert is_out_of_memory(raised.value)


def test_a_gpus_full_memory_is_known_by_its_type():
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("whatever it says"))


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), ValueError("not enough memory"), OSError("bad_alloc")]
)
def test_other_errors_are_none(error):
    assert not is_out_of_memory(error)
