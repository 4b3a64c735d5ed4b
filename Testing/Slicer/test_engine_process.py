"""The engine's child process: progress, errors, cancel, and everything it started goes with it."""

import os
import sys
import time

import pytest

REPORTS = """
import json, time
for step in range(5):
    print(json.dumps({"stage": f"Step {step}", "fraction": step / 5}), flush=True)
"""
SLEEPS = 'print(\'{"stage": "Sleeping", "fraction": 0.5}\', flush=True); import time; time.sleep(60)'
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPS
WITH_CHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("CHILD", child.pid, flush=True)
{SLEEPS}
"""


@pytest.fixture
def run(slicer_app):
    """Start a Python program; its progress and result are collected."""
    from DLCTPMSlicerLib.engine.process import EngineProcess

    processes = []

    def start(program, command=None):
        process = EngineProcess(command or [sys.executable, "-c", program])
        process.stages, process.results = [], []
        process.onProgress = lambda progress: process.stages.append((progress.stage, progress.fraction))
        process.onFinished = process.results.append
        processes.append(process)
        process.start()
        return process

    yield start
    for process in processes:
        process.kill()


def until_ended(process, seconds=30):
    from stand_in.probes import wait_until

    wait_until(lambda: process.result is not None, seconds, "the process to end")
    return process.result.outcome.value


def until_running(process):
    from stand_in.probes import wait_until

    wait_until(lambda: process.stages, 30, "the first progress report")


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"


def test_reports_arrive_in_order(run):
    process = run(REPORTS)
    assert until_ended(process) == "done"
    assert process.stages == [(f"Step {n}", n / 5) for n in range(5)]
    assert len(process.results) == 1


def test_the_event_loop_keeps_running(run):
    import qt

    ticks = []
    timer = qt.QTimer()
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start(10)
    assert until_ended(run("import time; time.sleep(0.5)")) == "done"
    timer.stop()
    assert len(ticks) > 10


def test_an_error_shows_the_engines_own_sentence(run):
    program = (
        "import sys; print('noise'); print('error: ct.nrrd: not a CT; give a CT.', file=sys.stderr); sys.exit(2)"
    )
    process = run(program)
    assert until_ended(process) == "failed"
    assert process.result.message == "ct.nrrd: not a CT; give a CT."
    assert "noise" in process.result.details


def test_a_defect_shows_the_last_lines(run):
    process = run("raise ZeroDivisionError('by design')")
    assert until_ended(process) == "failed"
    assert "exit status 1" in process.result.message
    assert "ZeroDivisionError: by design" in process.result.details


def test_a_program_that_is_not_there_fails_with_a_sentence(run):
    process = run("", command=["/no/such/python"])
    assert process.result.outcome.value == "failed"
    assert process.result.message.startswith("/no/such/python cannot be started")


def test_cancel_ends_the_process(run):
    process = run(SLEEPS)
    until_running(process)
    process.cancel()
    assert until_ended(process, 10) == "cancelled"
    assert len(process.results) == 1


def test_a_process_that_will_not_end_is_killed(run, monkeypatch):
    from DLCTPMSlicerLib.engine import process as engine_process

    monkeypatch.setattr(engine_process, "KILL_AFTER_S", 0.3)
    process = run(STUBBORN)
    until_running(process)
    process.cancel()
    assert until_ended(process, 10) == "cancelled"


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for the child in /proc")
def test_children_go_with_the_process(run):
    process = run(WITH_CHILD)
    until_running(process)
    child = int(next(line for line in process._output.lines if line.startswith("CHILD")).split()[1])
    assert is_alive(child)
    process.cancel()
    assert until_ended(process, 10) == "cancelled"
    time.sleep(0.1)
    assert not is_alive(child)


def test_kill_reports_nothing(run):
    process = run(SLEEPS)
    until_running(process)
    process.kill()
    assert process.results == []
    assert not process.running


def test_wait_needs_no_event_loop(run):
    process = run(REPORTS)
    assert process.wait().outcome.value == "done"
    assert len(process.stages) == 5


def test_time_left_is_told_once_it_can_be_known(slicer_app):
    from DLCTPMSlicerLib.engine.process import EngineProcess

    process = EngineProcess([])
    process._started = time.monotonic() - 10
    assert process._seconds_left(0.01) is None
    assert process._seconds_left(0.25) == pytest.approx(30, rel=0.01)


def test_a_half_written_report_line_is_kept_as_text(run):
    process = run('print(\'{"stage": "Half\')')
    assert until_ended(process) == "done"
    assert process.stages == []
    assert "Half" in process.result.details
