"""Says at the end of a test run how much memory its processes took: the peak of each test process and of what they
started, and the files with the highest peaks (Linux). Between two files the heap gives its free pages back."""

import ctypes
import sys
from pathlib import Path

import pytest

PEAK = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")
LISTED = 3

_peaks = {}
_of_workers = []


def _peak_mb():
    """Highest resident memory of this process since the last reset (MB)."""
    line = next(line for line in PEAK.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _figures():
    if not _peaks:
        return None
    import resource  # Windows has none

    return {"files": _peaks, "children": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    if not sys.platform.startswith("linux"):
        return (yield)
    name = item.nodeid.partition("::")[0]
    if name not in _peaks:
        ctypes.CDLL(None).malloc_trim(0)  # what a file leaves in glibc's heap adds up over hundreds of them
    RESET.write_text("5")  # sets the peak back to what is resident now
    try:
        return (yield)
    finally:
        _peaks[name] = max(_peaks.get(name, 0.0), _peak_mb())


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["memory"] = _figures()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    _of_workers.append(getattr(node, "workeroutput", {}).get("memory"))


def pytest_terminal_summary(terminalreporter):
    figures = [found for found in _of_workers or [_figures()] if found]
    if not figures:
        return
    peaks = {}
    for found in figures:
        peaks |= found["files"]
    highest = sorted(peaks.items(), key=lambda item: -item[1])[:LISTED]
    terminalreporter.section("memory")
    terminalreporter.write_line(
        f"peak of a test process {highest[0][1]:.0f} MB, of a process started by a test "
        f"{max(found['children'] for found in figures):.0f} MB"
    )
    for name, peak in highest:
        terminalreporter.write_line(f"  {peak:5.0f} MB  {name}")
