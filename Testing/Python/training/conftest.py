"""What the tests of training and of studies share."""

import pytest

TINY_NETWORKS = ("training", "study", "common", "study_report")
"""Folders whose networks gain nothing by a second thread and lose much by waiting for it on a busy machine."""


@pytest.fixture(scope="module", autouse=True)
def one_thread_for_tiny_networks(request):
    """One thread for PyTorch, and as many as before afterwards."""
    if request.path.parent.name not in TINY_NETWORKS:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
