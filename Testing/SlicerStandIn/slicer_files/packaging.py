"""``slicer.packaging``: says which requirements are met; installs nothing.

What a module asks to be installed is kept in ``asked_for``, and ``answer`` is the user's answer to the question.
"""

import importlib.metadata
from pathlib import Path

from packaging.requirements import Requirement

asked_for: list[str] = []
answer = True


def load_requirements(path):
    """The requirements of a file, one a line, comments left out."""
    lines = (line.split("#")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def pip_check(requirements):
    """Whether all are installed in a version that will do."""
    many = requirements if isinstance(requirements, (list, tuple)) else [requirements]
    return all(_met(Requirement(str(requirement))) for requirement in many)


def _met(requirement):
    try:
        return requirement.specifier.contains(importlib.metadata.version(requirement.name), prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        return False


def pip_ensure(requirements, requester=None, **_options):
    """Slicer asks the user and installs; here the question is noted and, if refused, answered with an error."""
    missing = [str(r) for r in requirements if not _met(Requirement(str(r)))]
    asked_for.extend(missing)
    if missing and not answer:
        raise RuntimeError(f"{requester} needs {', '.join(missing)}, and installing was declined")
