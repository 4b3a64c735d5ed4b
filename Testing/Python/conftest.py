"""What every test may ask for."""

import ctypes
import json
import sys
from pathlib import Path

import pytest

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

LARGE = 1 << 20
"""Bytes of an array that gets memory of its own."""


def pytest_configure():
    """Large arrays give their memory back when they end, whatever lies beside them.

    Arrays of up to 32 MB share glibc's heap otherwise, and as PyTorch asks for them aligned, a freed one is not found
    for the next of its size: projecting 60 views then holds 2 GB that nobody uses, for the rest of the process.
    """
    if sys.platform == "linux":
        m_mmap_threshold = -3
        ctypes.CDLL(None).mallopt(m_mmap_threshold, LARGE)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real chest CT that may lie beside a checkout; the repository itself ships none."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real chest CT beside this checkout (shared/data)")
    return REAL_DATA


@pytest.fixture(scope="module")
def out(results) -> Path:
    """The folder of tables, figures and report of ``results``, the study that a test file has run."""
    return results.plan.out / "results"


@pytest.fixture(scope="module")
def numbers(out) -> dict:
    """The numbers of that study as its file has them."""
    return json.loads((out / "numbers.json").read_text(encoding="utf-8"))
