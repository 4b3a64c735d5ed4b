"""Where the files that travel with the program lie: models, templates of reports, parameters, schemas."""

from __future__ import annotations

from pathlib import Path

from DLCTPMLib.common.errors import InputError

_HERE = Path(__file__).resolve().parents[1]
_PLACES = (
    _HERE.parent.parent / "Resources",  # the source tree
    _HERE.parent / "Resources",  # beside the modules that Slicer's build installs
    _HERE.parent / "DLCTPMResources",  # a wheel
)


def resource_folder() -> Path:
    """The folder with the shipped models.

    Raises:
        InputError: if the installation has lost it.
    """
    for place in _PLACES:
        if (place / "Models").is_dir():
            return place
    raise InputError(f"{_HERE}: the folder Resources/Models is missing from this installation, install DL-CTPM again")


def resource_path(name: str) -> Path:
    """A file or folder that travels with the program, such as ``Templates/report.html.j2``.

    Raises:
        InputError: if the installation has lost it.
    """
    path = resource_folder() / name
    if not path.exists():
        raise InputError(f"{path}: is missing from this installation, install DL-CTPM again")
    return path
