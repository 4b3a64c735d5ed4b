"""Memory that is got while other work is done."""

import mmap
import resource
import sys

import numpy as np
import pytest

from DLCTPMLib.mapping.fast.prefault import prefaulted_zeros, sparse_zeros


def test_sparse_zeros_are_zeros_that_can_be_written():
    array = sparse_zeros((3, 4, 5))
    assert array.dtype == np.float32
    assert not array.any()
    array[1, 2:, 3] = 2.5
    assert array.sum() == 5
    assert sparse_zeros((0, 4)).shape == (0, 4)


def faults_of_writing(array: np.ndarray, box: tuple) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    array[box] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts Linux's page faults")
@pytest.mark.parametrize("width", [64, 700, 3000])  # rows that share a page, straddle two, and fill several
def test_writing_into_prefaulted_boxes_meets_no_page_that_is_not_there(width):
    shape, box = (40, 60, width), (slice(3, 38), slice(5, 50), slice(7, width - 9))
    pages = 35 * 45 * width * 4 // mmap.PAGESIZE
    array = prefaulted_zeros(shape, [box])
    assert not array.any()
    assert faults_of_writing(array, box) < 0.1 * pages + 4
    assert faults_of_writing(sparse_zeros(shape), box) > 0.5 * pages
