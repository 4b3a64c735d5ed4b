"""Keeps the lists of Python files (CMakeLists.txt) and packages (pyproject.toml): what is not listed is
missing after installation.

python Testing/CMakeStandIn/python_lists.py           say what is missing or gone; exit 1 if anything is
python Testing/CMakeStandIn/python_lists.py --write   bring the lists up to date
"""

import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = ("DLCTPM", "DLCTPMTraining")
LIBRARIES = {"DLCTPM": "DLCTPMLib", "DLCTPMTraining": "DLCTPMTrainingLib"}
LIST = re.compile(r"set\(MODULE_PYTHON_SCRIPTS\n(.*?)  \)\n", re.DOTALL)
PACKAGES = re.compile(r"^packages = \[\n(.*?)\]\n", re.DOTALL | re.MULTILINE)


def listed(module: str) -> list[str]:
    """The files named in the module's CMakeLists.txt, relative to its folder."""
    text = (REPOSITORY / module / "CMakeLists.txt").read_text(encoding="utf-8")
    return [line.strip().replace("${MODULE_NAME}", module) for line in LIST.search(text)[1].splitlines()]


def present(module: str) -> list[str]:
    """The Python files that are there, relative to the module's folder, the module's own file first."""
    folder = REPOSITORY / module
    files = [path.relative_to(folder) for path in folder.rglob("*.py") if "__pycache__" not in path.parts]
    return [path.as_posix() for path in sorted(files, key=lambda path: (len(path.parts), path.as_posix()))]


def listed_packages() -> list[str]:
    """The packages of the distribution, as pyproject.toml names them."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    return [line.strip(' ",') for line in PACKAGES.search(text)[1].splitlines()]


def present_packages() -> list[str]:
    """The packages that are there, dotted, and the shared resources."""
    found = ["DLCTPMResources"]
    for module, library in LIBRARIES.items():
        folders = [
            path.parent.relative_to(REPOSITORY / module)
            for path in (REPOSITORY / module / library).rglob("__init__.py")
        ]
        found += [".".join(folder.parts) for folder in folders]
    return sorted(found)


def differences() -> list[str]:
    """One sentence for every file or package that is listed and gone, or there and not listed."""
    found = []
    packages, folders = listed_packages(), present_packages()
    found += [f"pyproject.toml does not list the package {name}" for name in folders if name not in packages]
    found += [f"pyproject.toml lists the package {name}, which is gone" for name in packages if name not in folders]
    for module in MODULES:
        names, files = listed(module), present(module)
        found += [f"{module}/CMakeLists.txt does not list {name}" for name in files if name not in names]
        found += [f"{module}/CMakeLists.txt lists {name}, which is gone" for name in names if name not in files]
    return found


def write() -> None:
    """Bring all lists up to date."""
    project = REPOSITORY / "pyproject.toml"
    block = "packages = [\n" + "".join(f'    "{name}",\n' for name in present_packages()) + "]\n"
    project.write_text(PACKAGES.sub(lambda _: block, project.read_text(encoding="utf-8"), count=1), encoding="utf-8")
    for module in MODULES:
        path = REPOSITORY / module / "CMakeLists.txt"
        lines = [name.replace(f"{module}.py", "${MODULE_NAME}.py") for name in present(module)]
        block = "set(MODULE_PYTHON_SCRIPTS\n" + "".join(f"  {line}\n" for line in lines) + "  )\n"
        text = path.read_text(encoding="utf-8")
        path.write_text(LIST.sub(lambda _, block=block: block, text, count=1), encoding="utf-8")


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write()
    messages = differences()
    print("\n".join(messages) or "The lists name every Python file and package.")
    sys.exit(bool(messages))
