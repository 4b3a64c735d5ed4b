"""The node's log: one line an event on standard error, by which nobody is named.

A line tells machines (application entity titles, addresses), keyed hashes of series, counts and reasons in words of
this program; never a text, number or UID of an object (docs/privacy.md).
"""

from __future__ import annotations

import contextlib
import datetime
import sys
import threading
from collections.abc import Callable

from DLCTPMLib.common.console import plain_line

Log = Callable[[str], None]
"""Called with one event in words."""

_one_at_a_time = threading.Lock()


def to_standard_error(event: str) -> None:
    """One line with the time; whoever read along may be gone."""
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    with _one_at_a_time, contextlib.suppress(OSError):
        print(f"{now} {plain_line(event)}", file=sys.stderr, flush=True)
