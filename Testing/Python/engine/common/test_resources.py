"""What travels with the program is found, and a broken installation says what to do."""

import pytest

from DLCTPMLib.common import resources
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.resources import resource_path


@pytest.mark.parametrize(
    "name", ["Templates/report.html.j2", "Templates/base.css", "Parameters/virtual_patient.csv", "Models/default"]
)
def test_everything_shipped_is_found(name):
    assert resource_path(name).exists()


def test_an_installation_that_lost_a_file_says_to_install_again(tmp_path, monkeypatch):
    (tmp_path / "Models").mkdir()
    monkeypatch.setattr(resources, "_PLACES", (tmp_path,))
    with pytest.raises(InputError, match=r"Templates/report\.html\.j2: is missing.*install DL-CTPM again"):
        resource_path("Templates/report.html.j2")
