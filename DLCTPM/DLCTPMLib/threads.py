"""Work done in threads: NumPy leaves the interpreter free while it works on whole arrays."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

MOST_THREADS = 4
"""More do not help work that is limited by the memory's speed."""


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(work: Callable[[range], None], items: range) -> None:
    """Do ``work`` on pieces of a range, such as the layers of a volume, in threads."""
    threads = min(cores(), MOST_THREADS)
    size = -(-len(items) // (threads * 4)) or 1
    pieces = [items[start : start + size] for start in range(0, len(items), size)]
    if threads == 1 or len(pieces) < 2:
        for piece in pieces:
            work(piece)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, pieces))
