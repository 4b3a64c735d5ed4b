"""The house's order: packages without circles, no arrow from the engine to training, rooms that fit in a head."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LIBRARIES = {
    "DLCTPMLib": REPOSITORY / "DLCTPM",
    "DLCTPMTrainingLib": REPOSITORY / "DLCTPMTraining",
    "DLCTPMSlicerLib": REPOSITORY / "DLCTPM",
    "DLCTPMTrainingSlicerLib": REPOSITORY / "DLCTPMTraining",
}
MAY_USE = {
    "DLCTPMLib": {"DLCTPMLib"},
    "DLCTPMTrainingLib": {"DLCTPMTrainingLib", "DLCTPMLib"},
    "DLCTPMSlicerLib": {"DLCTPMSlicerLib", "DLCTPMLib"},
    "DLCTPMTrainingSlicerLib": set(LIBRARIES) - {"DLCTPMTrainingLib"},
}
"""Which library may import which; a window onto training never imports it."""
STARTED = {"DLCTPMSlicerLib.engine.command": "DLCTPMTrainingLib"}
"""Where a window names training in a string: ``python -m DLCTPMTrainingLib``, a program that it starts."""
MOST_LINES, MOST_MODULES, DEEPEST = 500, 15, 2


def modules(library: str) -> dict[str, Path]:
    """Every module of a library by its dotted name; a package by its ``__init__``."""
    root = LIBRARIES[library]
    paths = sorted((root / library).rglob("*.py"))
    return {".".join(p.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}


def names_used(path: Path) -> set[str]:
    """Dotted names of our libraries that a file imports or names in a string that is no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    used = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            used |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            used |= {word for word in node.value.replace(":", ".").split() if word.split(".")[0] in LIBRARIES}
    return {name for name in used if name.split(".")[0] in LIBRARIES}


def package_of(name: str, library: str) -> str:
    """The package below the library that a name belongs to: ``DLCTPMLib.volumes.dicom.series`` → volumes."""
    parts = name.split(".")
    is_package = len(parts) > 1 and (LIBRARIES[library] / library / parts[1]).is_dir()
    return parts[1] if is_package else "(front door)"


def arrows(library: str) -> dict[str, set[str]]:
    """For each package of a library the packages of the same library that it uses."""
    found: dict[str, set[str]] = {}
    for name, path in modules(library).items():
        own = found.setdefault(package_of(name, library), set())
        own |= {package_of(used, library) for used in names_used(path) if used.split(".")[0] == library}
    return {package: used - {package, "(front door)"} for package, used in found.items() if package != "(front door)"}


@pytest.mark.parametrize("library", LIBRARIES)
def test_packages_have_no_circle(library):
    try:
        TopologicalSorter(arrows(library)).prepare()
    except CycleError as circle:
        pytest.fail(f"{library}: circle {' → '.join(circle.args[1])}")


@pytest.mark.parametrize("library", LIBRARIES)
def test_rooms_fit_in_a_head(library):
    found = modules(library)
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in found.items()}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}
    rooms: dict[str, int] = {}
    for path in found.values():
        if path.name != "__init__.py":
            rooms[str(path.parent)] = rooms.get(str(path.parent), 0) + 1
    assert {folder: count for folder, count in rooms.items() if count > MOST_MODULES} == {}
    assert [name for name in found if name.count(".") > DEEPEST + 1] == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_library_reaches_up(library):
    wrong = {
        f"{name} uses {used}"
        for name, path in modules(library).items()
        for used in names_used(path)
        if used.split(".")[0] not in MAY_USE[library] and STARTED.get(name) != used
    }
    assert wrong == set()
