"""What Slicer's Extensions Index asks of a description file and of the repository it names.

The rules and patterns of its scripts/check_description_files.py (2026), as far as they need no network: cloning, the
repository's topics, and fetching schema and pictures do.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DESCRIPTION = REPOSITORY / "Resources" / "DLCTPM.json"
CMAKE = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
RAW = "https://raw.githubusercontent.com/DL-CTPM/SlicerDLCTPM/main/"
"""Where the index fetches a file of the main branch."""
SCHEMA = {
    "$schema": str,
    "build_dependencies": list,
    "build_subdirectory": str,
    "category": str,
    "dicom_support_rule": str,
    "enabled": bool,
    "scm_revision": str,
    "scm_type": str,
    "scm_url": str,
    "tier": int,
}
"""Slicer's slicer-extension-catalog-entry-schema-v1.0.2.json: these keys and no others."""
LIMIT_BYTES = 100 * 1024 * 1024


@pytest.fixture
def entry():
    return json.loads(DESCRIPTION.read_text(encoding="utf-8"))


def addresses(pattern):
    (found,) = re.findall(pattern, CMAKE, re.IGNORECASE | re.MULTILINE)
    return found.split()


def test_the_description_follows_the_schema(entry):
    assert {"$schema", "category", "scm_url"} <= set(entry) <= set(SCHEMA)
    assert [key for key, value in entry.items() if not isinstance(value, SCHEMA[key])] == []
    assert entry["$schema"].endswith("/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert entry["scm_type"] in ("git", "local")
    assert 1 <= entry["tier"] <= 5


def test_the_file_is_written_as_the_index_writes_them(entry):
    """Unix line ends, keys in order, one dependency a line (its formatter's rule)."""
    assert DESCRIPTION.read_bytes().decode() == json.dumps(entry, indent=2, sort_keys=True) + "\n"


def test_names_and_address(entry):
    name = DESCRIPTION.stem
    assert not name.lower().startswith("slicer")
    assert re.findall(r"project\s*\(\s*([^\s\)\n\r]+)", CMAKE, re.IGNORECASE | re.MULTILINE)[0] == name
    assert entry["scm_url"].split("://")[0] in ("git", "https")
    assert Path(entry["scm_url"]).stem.startswith("Slicer")
    assert entry["category"] == "Chest Imaging Platform"  # one of the accepted ones
    assert re.search(r'EXTENSION_DEPENDS "(.*)"', CMAKE)[1].split() == entry["build_dependencies"]


def test_icon_and_screenshots_are_pictures_of_the_tree():
    found = addresses(r'set\s*\(EXTENSION_ICONURL\s*"([^"]+)"[ ]*\)')
    found += addresses(r'set\s*\(EXTENSION_SCREENSHOTURLS\s*"([^"]+)"\)')
    assert len(found) >= 3
    assert [one for one in found if not one.startswith(RAW)] == []
    signatures = {(REPOSITORY / one.removeprefix(RAW)).read_bytes()[:8] for one in found}
    assert signatures == {b"\x89PNG\r\n\x1a\n"}
    assert 100 < len(re.search(r'EXTENSION_DESCRIPTION "(.*)"', CMAKE)[1]) < 600


def test_licence_and_size():
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a clone of the repository")
    files = [REPOSITORY / name for name in listed.stdout.decode().split("\0") if name]
    assert sum(path.stat().st_size for path in files if path.is_file()) < LIMIT_BYTES / 2  # a clone has history too
