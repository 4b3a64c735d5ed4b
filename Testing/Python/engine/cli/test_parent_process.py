"""The engine ends with the program that started it, where that was asked for, and only there."""

import json
import os
import signal
import subprocess
import sys

import pytest

from DLCTPMLib.cli.parent_process import ENDS_WITH_INPUT, REMOVED_WITH_PARENT

WORKS = """
import signal, sys, time
from DLCTPMLib.cli.parent_process import exit_with_parent
signal.signal(signal.SIGINT, signal.default_int_handler)
exit_with_parent()
try:
    print("begun", flush=True)
    time.sleep({seconds})
    print("done", flush=True)
finally:
    print("tidied up", flush=True)
"""
WILL_NOT_STOP = """
import multiprocessing, signal, time
from DLCTPMLib.cli import parent_process
signal.signal(signal.SIGINT, signal.default_int_handler)
parent_process.GRACE_S = 0.3
parent_process.exit_with_parent()
worker = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
if __name__ == "__main__":
    worker.start()
    try:
        print("begun", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("goes on", flush=True)
    time.sleep(60)
"""
STARTS_ANOTHER = """
import os, subprocess, sys
from DLCTPMLib.cli.parent_process import ENDS_WITH_INPUT, exit_with_parent
exit_with_parent()
code = f"import os, sys; print(repr(sys.stdin.read()), {ENDS_WITH_INPUT!r} in os.environ)"
subprocess.run([sys.executable, "-c", code], check=True)
"""
ENGINE = """
import time
def run(options, progress):
    print("begun", flush=True)
    {work}
from DLCTPMLib.cli.shared.command import Command
from DLCTPMLib.cli.main import main
raise SystemExit(main(["work", "--progress", "json"], [Command("work", "", lambda parser: None, run)]))
"""
COUNTS = """
import itertools, time
def run(options, progress):
    for step in itertools.count():
        progress(f"Step {step}", 0.5)
        time.sleep(0.01)
from DLCTPMLib.cli.shared.command import Command
from DLCTPMLib.cli.main import main
raise SystemExit(main(["work", "--progress", "json"], [Command("work", "", lambda parser: None, run)]))
"""


def started(program, stdin=subprocess.PIPE, asked=True):
    environment = {**os.environ, **({ENDS_WITH_INPUT: "1"} if asked else {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", program], env=environment, stdin=stdin, text=True, **pipes)


def test_the_end_of_the_input_is_ctrl_c():
    child = started(WORKS.format(seconds=60))
    assert child.stdout.readline() == "begun\n"
    out, errors = child.communicate(timeout=30)  # closes the child's standard input
    assert out == "tidied up\n"
    assert errors.endswith("KeyboardInterrupt\n")


def engine_that(works: str, **started_with) -> subprocess.Popen:
    """The engine's own roof over some work of a command of its own."""
    return started(ENGINE.format(work=works), **started_with)


@pytest.mark.skipif(os.name == "nt", reason="Windows hands no ignored signals on")
def test_also_where_ctrl_c_is_ignored_as_by_what_a_script_starts_in_the_background():
    here = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by the child
    try:
        child = engine_that("time.sleep(60)")
    finally:
        signal.signal(signal.SIGINT, here)
    assert child.stdout.readline() == "begun\n"
    assert child.communicate(timeout=30)[1] == "interrupted\n"
    assert child.returncode == 130


def test_a_library_that_makes_an_error_of_the_interruption_does_not_hide_it():
    child = engine_that("""
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        raise RuntimeError("a thread pool was broken") from None""")
    assert child.stdout.readline() == "begun\n"
    assert child.communicate(timeout=30)[1] == "interrupted\n"
    assert child.returncode == 130


@pytest.mark.parametrize(
    ("end", "stays"), [("parent gone", False), ("done", True), ("cancelled", True), ("nobody reads", False)]
)
def test_the_parents_folder_is_removed_where_the_parent_has_ended_and_only_there(tmp_path, monkeypatch, end, stays):
    if end == "cancelled" and os.name == "nt":
        pytest.skip("Windows cannot interrupt one process")
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "ct.nrrd").write_text("a person's")
    monkeypatch.setenv(REMOVED_WITH_PARENT, str(folder))
    work = "[(progress('step', 0.1), time.sleep(0.01)) for _ in range(3000)]"
    child = engine_that("pass" if end == "done" else work)
    assert child.stdout.readline() == "begun\n"
    if end == "cancelled":
        child.send_signal(signal.SIGINT)
    if end in ("cancelled", "done"):
        child.wait(timeout=30)  # the parent is there, and holds the pipe, until the end
    if end == "nobody reads":
        child.stdout.close()
        child.stdin.close()
        child.wait(timeout=30)
    else:
        child.communicate(timeout=30)
    assert child.returncode == (0 if end == "done" else 130)
    assert folder.exists() == stays


@pytest.mark.parametrize("stdin", ["/dev/null", "closed pipe", "terminal"])
def test_on_a_command_line_standard_input_means_nothing(stdin):
    if stdin == "terminal":
        if os.name == "nt":
            pytest.skip("Windows has no pseudo-terminals of this kind")
        keyboard, child_end = os.openpty()
        os.write(keyboard, b"\x04")  # Ctrl-D: an empty line ends
    else:
        child_end = subprocess.DEVNULL if stdin == "/dev/null" else subprocess.PIPE
    child = started(WORKS.format(seconds=0.5), child_end, asked=False)
    assert child.communicate(timeout=30)[0] == "begun\ndone\ntidied up\n"
    assert child.returncode == 0


def test_what_will_not_stop_is_ended_with_its_workers(tmp_path):
    program = tmp_path / "program.py"  # a spawned worker imports the program from its file
    program.write_text(WILL_NOT_STOP)
    child = subprocess.Popen(
        [sys.executable, str(program)],
        env={**os.environ, ENDS_WITH_INPUT: "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "begun\n"
    assert child.communicate(timeout=30)[0] == "goes on\n"  # ends with the last that could still write: the worker
    assert child.returncode == 130


def test_what_the_engine_starts_gets_neither_pipe_nor_request():
    child = started(STARTS_ANOTHER)
    assert child.wait(timeout=60) == 0  # with the pipe, the other one would wait for its end
    assert child.stdout.read() == "'' False\n"


def test_when_nobody_reads_the_progress_any_more_the_engine_ends():
    child = started(COUNTS, stdin=subprocess.DEVNULL, asked=False)
    assert json.loads(child.stdout.readline())["stage"] == "Step 0"
    child.stdout.close()
    assert child.stderr.read().startswith("interrupted\n")
    child.wait(timeout=30)
