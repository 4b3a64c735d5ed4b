"""What every test may ask for."""

import json
from pathlib import Path

import pytest

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


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
