"""Public names of a package that are imported when they are first asked for (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any


def lazily(package: str, **modules: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package's ``__init__`` needs to offer names of its modules without importing them.

    Args:
        package: its ``__name__``.
        modules: by module, relative to the package, its public names with spaces between them; a dot in a module's
            name is written as two underscores.

    Returns:
        ``__getattr__``, ``__dir__`` and ``__all__``.

    Example::

        __getattr__, __dir__, __all__ = lazily(__name__, reading="read_ct read_spect", dicom__series="find_series")
    """
    homes = {name: module.replace("__", ".") for module, names in modules.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)  # the next time it is there
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return find, names, sorted(homes)
