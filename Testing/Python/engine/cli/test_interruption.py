"""A signal ends every run, whatever moment it comes at, and leaves nothing behind."""

import os
import random
import signal
import stat
import subprocess
import sys
import time

import pytest
import SimpleITK as sitk
from interrupted_runs import interrupted_run, is_tidy
from small_chest import chest_ct

from DLCTPMLib.common.ending import interruption, temporary_files
from DLCTPMLib.common.ending.temporary_files import make_private_folder, private_folder, remove

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals of this kind")

PROGRAM = """
import os, sys, time
from DLCTPMLib.common.ending import interruption
from DLCTPMLib.common.ending.temporary_files import private_folder
interruption.own_process()
interruption.GRACE_S = {grace}
from DLCTPMLib.cli.shared.command import Command
from DLCTPMLib.cli.main import main, run_program
def run(options, progress):
    progress("at work", 0.1)
    with private_folder() as folder:
        (folder / "ct.dcm").write_text("a person's")
        try:
            print(folder, flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            pass  # as a callback, a destructor or a library written in C lose it
        {then}
run_program(lambda: main(["work"], [Command("work", "", lambda parser: None, run)]))
"""


def program(then: str, grace: float = 20.0) -> subprocess.Popen:
    """A program of ours in mid-work that has lost the exception of a first signal, and goes on as ``then`` says."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", PROGRAM.format(then=then, grace=grace)], text=True, **pipes)


def ended(child: subprocess.Popen, number: int = signal.SIGINT) -> float:
    """Seconds until the child has ended as interrupted and without its private folder."""
    start = time.monotonic()
    out, errors = child.communicate(timeout=50)
    assert (child.returncode, errors) == (128 + number, "interrupted\n")
    assert not os.path.exists(out.strip())
    return time.monotonic() - start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_lost_interruption_is_raised_again_by_the_next_report_of_progress(number):
    child = program("[(progress('goes on', 0.2), time.sleep(0.01)) for _ in range(6000)]")
    folder = child.stdout.readline().strip()
    child.send_signal(number)
    assert ended(child, number) < 20
    assert not os.path.exists(folder)


def test_what_never_reports_is_ended_when_its_time_to_tidy_up_is_over():
    child = program("time.sleep(60)", grace=0.5)
    folder = child.stdout.readline().strip()
    child.send_signal(signal.SIGINT)
    assert ended(child) < 20
    assert not os.path.exists(folder)


def test_a_second_signal_ends_at_once():
    child = program("print('deaf', flush=True); time.sleep(60)")
    folder = child.stdout.readline().strip()
    child.send_signal(signal.SIGINT)
    assert child.stdout.readline() == "deaf\n"
    time.sleep(interruption.SAME_S + 0.1)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    assert ended(child) < 10
    assert not os.path.exists(folder)


def test_nohup_is_respected():
    here = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited by the child
    try:
        child = program("pass")
    finally:
        signal.signal(signal.SIGHUP, here)
    child.stdout.readline()
    child.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert child.poll() is None
    child.send_signal(signal.SIGTERM)
    ended(child, signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_at_random_moments_of_predict_are_not_lost(tmp_path, number):
    """`Testing/helpers/interrupted_runs.py 500` is the same at length."""
    ct = tmp_path / "ct.nrrd"
    sitk.WriteImage(chest_ct(), str(ct))
    moments = random.Random(number)
    for moment in (moments.uniform(0, 3), moments.uniform(0, 3)):
        folder = tmp_path / f"{moment}"
        folder.mkdir()
        run = interrupted_run(["predict", str(ct)], folder, moment, number)
        assert is_tidy(run, number), run


def test_a_wrong_path_is_answered_before_anything_heavy_is_loaded(tmp_path):
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-m", "DLCTPMLib", "predict", str(tmp_path / "no.nrrd")], capture_output=True, text=True
    )
    after = os.times()
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'no.nrrd'}: there is no such file or folder; check the path\n"
    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert used < 0.5


def test_an_error_while_a_module_is_imported_in_the_background_brings_the_prompt_back(tmp_path):
    (tmp_path / "slow_module.py").write_text("import time\ntime.sleep(30)\n")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from DLCTPMLib.cli.shared.command import Command
from DLCTPMLib.cli.main import main, run_program
from DLCTPMLib.common.background import preload
from DLCTPMLib.common.errors import InputError
def run(options, progress):
    preload("slow_module")
    raise InputError("a wrong file")
run_program(lambda: main(["work"], [Command("work", "", lambda parser: None, run)]))
"""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "error: a wrong file\n")
    assert time.monotonic() - start < 20


def test_a_private_folder_is_the_users_alone_and_goes_in_any_case(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with private_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "ct.dcm").touch()
    assert list(tmp_path.iterdir()) == []
    with private_folder() as folder:
        temporary_files.remove_all()  # as an interrupted run does
        assert not folder.exists()


def test_what_a_killed_run_left_goes_with_the_next_run_and_what_lives_stays(monkeypatch, tmp_path):
    monkeypatch.setattr(temporary_files, "JUST_MADE_S", 0)
    code = (
        "import pathlib, time; from DLCTPMLib.common.ending.temporary_files import make_private_folder;"
        f"print(make_private_folder(pathlib.Path({str(tmp_path)!r}), 'x-'), flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    lives = other.stdout.readline().strip()
    remove(make_private_folder(tmp_path, "x-"))
    assert os.path.isdir(lives)
    other.kill()
    other.communicate()
    remove(make_private_folder(tmp_path, "x-"))
    assert list(tmp_path.iterdir()) == []
