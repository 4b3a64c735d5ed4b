"""Which structures are gross or internal target volumes, by their names; nothing heavy is imported."""

from __future__ import annotations

import re

_TARGET = re.compile(r"i?gtv|itv", re.IGNORECASE)


def is_target(name: str) -> bool:
    """Whether a structure is called a gross or internal target volume: so its name begins; "Lungs-GTV" is none."""
    return _TARGET.match(name) is not None
