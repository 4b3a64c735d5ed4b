"""What reaches a terminal is plain text, whatever file it comes from."""

import pytest

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
