"""What reaches a terminal is plain text, whatever file it comes from."""

import ast
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK
import small_chest

from DLCTPMLib.cli.main import BAD_INPUT, main
from DLCTPMLib.common.console import plain_line


@pytest.mark.parametrize("bad", ["\x1b[2J", "\x07", "\u202e", "\x9b31m", "\udcff", "\x00", "\u200b"])
def test_characters_that_act_do_not_reach_the_terminal(bad):
    line = plain_line(f"error: a{bad}b")
    assert not set(bad) & set("\x1b\x07\u202e\x9b\udcff\x00\u200b") & set(line)
    assert line.encode("utf-8").startswith(b"error: a")


def test_many_lines_become_one_and_long_values_are_cut():
    line = plain_line("error: first\n second\r\nthird " + "x" * 100_000)
    assert line.startswith("error: first second third xxx")
    assert len(line) < 400
    assert len(plain_line("word " * 10_000)) < 3100
    assert plain_line("Lungen: über 2 Lappen – gut") == "Lungen: über 2 Lappen – gut"


def test_a_file_name_cannot_drive_the_terminal(tmp_path, capsys):
    path = tmp_path / "ct\x1b[31m.nrrd"
    path.write_text("x")
    assert main(["predict", str(path), "--out", str(tmp_path / "out")]) == BAD_INPUT
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "\x1b" not in error


def run(shell: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run the program by a shell that has its streams closed or led elsewhere."""
    command = shlex.join([sys.executable, "-m", "DLCTPMLib", *arguments])
    packages = os.pathsep.join(sys.path)
    return subprocess.run(
        ["/bin/sh", "-c", shell.format(command)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": packages},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell closes the streams")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error_and_no_file_takes_their_place(tmp_path, closed):
    ct = tmp_path / "ct.nrrd"
    SimpleITK.WriteImage(small_chest.chest_ct(), str(ct))
    out = tmp_path / "lungs.nrrd"
    assert run(f"{{}} {closed}", "segment", str(ct), "--out", str(out), "--progress", "json").returncode == 0
    assert SimpleITK.ReadImage(str(out)).GetSize() == small_chest.SIZE
    assert sorted(tmp_path.iterdir()) == [ct, out]
    assert run(f"{{}} {closed}", "segment", "none.nrrd", "--out", str(out)).returncode == BAD_INPUT


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is always full")
@pytest.mark.parametrize("command", [["info"], ["info", "--json"]])
def test_an_output_that_takes_nothing_is_one_sentence(command):
    said = run("{} > /dev/full", *command)
    assert (said.returncode, said.stderr.count("\n")) == (BAD_INPUT, 1)
    assert said.stderr.startswith("error: the standard output cannot be written (No space left on device)")


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
def test_nobody_reads_any_more(tmp_path):
    assert run("{} | true", "info").stderr == ""


def test_no_program_flashes_a_console_window_on_windows():
    """Each function that starts a program says so to Windows."""
    starts = []
    repository = Path(__file__).resolve().parents[4]
    for path in [*repository.glob("DLCTPM/**/*.py"), *repository.glob("DLCTPMTraining/**/*.py")]:
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "subprocess." in text else ():
            body = ast.get_source_segment(text, node) if isinstance(node, ast.FunctionDef) else ""
            if any(f"subprocess.{call}(" in body for call in ("run", "Popen", "check_output", "call", "check_call")):
                starts.append((path.name, node.name, "NO_WINDOW" in body))
    assert len(starts) >= 4
    assert [(name, function) for name, function, told in starts if not told] == []
