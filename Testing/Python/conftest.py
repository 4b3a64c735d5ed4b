"""What every test may ask for."""

from pathlib import Path

import pytest

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real chest CT that may lie beside a checkout; the repository itself ships none."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real chest CT beside this checkout (shared/data)")
    return REAL_DATA
