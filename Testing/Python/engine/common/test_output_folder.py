"""Results appear when all of them are whole, and never otherwise."""

import errno
import os
import time

import pytest

from DLCTPMLib.common.atomic_output import NO_ROOM, OutputFolder, whole_file, whole_folder
from DLCTPMLib.common.ending import temporary_files
from DLCTPMLib.common.errors import InputError

OWNED = ("perfusion.nrrd", "result.json", "spect_to_ct.tfm")


def everything_below(folder):
    return {str(p.relative_to(folder)): p.read_text() if p.is_file() else None for p in folder.rglob("*")}


def fill(folder, then=None, names=("result.json",)):
    """Write results into a folder; ``then`` happens before they are shown."""
    with OutputFolder(folder, OWNED) as out:
        for name in names:
            (out.work / name).write_text("new")
        if then is not None:
            then()


def fail(error):
    def then():
        raise error

    return then


@pytest.fixture(params=["new", "existing"])
def folder(tmp_path, request):
    """A results folder that is not there yet, or one with results of an earlier run and a file of the user's."""
    place = tmp_path / "results"
    if request.param == "existing":
        place.mkdir()
        (place / "result.json").write_text("old")
        (place / "spect_to_ct.tfm").write_text("old")
        (place / "notes.txt").write_text("mine")
    return place


def test_nothing_is_seen_before_the_end_and_all_of_it_after(folder):
    with OutputFolder(folder, OWNED) as out:
        (out.work / "result.json").write_text("new")
        (out.work / "perfusion.nrrd").write_text("new")
        assert not (folder / "perfusion.nrrd").exists()
    visible = {k: v for k, v in everything_below(folder).items() if k != "notes.txt"}
    assert visible == {"result.json": "new", "perfusion.nrrd": "new"}
    assert [p.name for p in folder.parent.iterdir()] == ["results"]


def test_results_of_an_earlier_run_are_not_mixed_in_and_files_of_others_stay(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    for name in ("spect_to_ct.tfm", "notes.txt"):
        (folder / name).write_text("old")
    fill(folder)
    assert everything_below(folder) == {"result.json": "new", "notes.txt": "old"}


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_a_failure_leaves_everything_as_it_was(folder, failure):
    before = everything_below(folder.parent)
    with pytest.raises(failure):
        fill(folder, fail(failure()))
    assert everything_below(folder.parent) == before


def test_a_failure_while_the_files_move_puts_the_old_ones_back(tmp_path, monkeypatch):
    folder = tmp_path / "results"
    folder.mkdir()
    for name in OWNED:
        (folder / name).write_text("old")
    moves = []
    real = os.replace

    def replace(source, target):
        moves.append(target)
        if len(moves) == 5:  # three old ones away, one new one placed, the next one fails
            raise OSError(errno.EACCES, "denied")
        real(source, target)

    before = everything_below(tmp_path)
    with pytest.raises(OSError, match="denied"):
        fill(folder, lambda: monkeypatch.setattr(os, "replace", replace), OWNED)
    assert everything_below(tmp_path) == before


def test_a_full_disk_is_a_sentence(folder):
    before = everything_below(folder.parent)
    with pytest.raises(InputError, match="disk is full"):
        fill(folder, fail(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    assert everything_below(folder.parent) == before


def test_parents_are_made_and_unmade(tmp_path):
    deep = tmp_path / "a" / "b" / "results"
    with pytest.raises(ValueError, match="no"):
        fill(deep, fail(ValueError("no")))
    assert list(tmp_path.iterdir()) == []
    fill(deep)
    assert (deep / "result.json").read_text() == "new"


def test_a_file_is_no_place_for_results(tmp_path):
    path = tmp_path / "results"
    path.write_text("mine")
    with pytest.raises(InputError, match=r"results: is a file.*--out"):
        fill(path)
    with pytest.raises(InputError, match="no results can be written there"):
        fill(path / "deeper")
    assert path.read_text() == "mine"


def test_leftovers_of_killed_runs_go_after_a_day(tmp_path):
    old, young = tmp_path / ".results.partial-old", tmp_path / ".results.partial-young"
    for leftover in (old, young):
        leftover.mkdir()
        (leftover / "result.json").write_text("half")
    os.utime(old, (time.time() - 100_000,) * 2)
    fill(tmp_path / "results")
    assert not old.exists()
    assert young.exists()


def test_a_whole_folder_replaces_the_one_before_and_everything_in_it(folder):
    with whole_folder(folder) as new:
        (new / "a").mkdir()
        (new / "a" / "b.txt").write_text("new")
        assert not (folder / "a").exists()
    assert everything_below(folder) == {"a": None, os.path.join("a", "b.txt"): "new"}
    assert [p.name for p in folder.parent.iterdir()] == ["results"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("x"), OSError(errno.ENOSPC, "full")])
def test_a_folder_that_does_not_become_whole_leaves_the_one_before(folder, error):
    before = everything_below(folder) if folder.exists() else None

    def interrupted():
        with whole_folder(folder) as new:
            (new / "b.txt").write_text("new")
            raise error

    with pytest.raises(InputError if isinstance(error, OSError) else type(error)):
        interrupted()
    assert (everything_below(folder) if folder.exists() else None) == before
    assert [p.name for p in folder.parent.iterdir()] == (["results"] if before else [])


def test_a_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.txt").write_text("old")
    rename = os.rename

    def interrupted(source, target):
        if source.name == "new":
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "results") as new:
        (new / "a.txt").write_text("new")
    assert everything_below(tmp_path) == {"results": None, os.path.join("results", "a.txt"): "old"}


def test_a_run_that_is_ended_at_once_removes_the_folder_it_was_filling(tmp_path):
    def ended():
        with whole_folder(tmp_path / "model") as new:
            (new / "a.txt").write_text("new")
            temporary_files.remove_all()  # as a second Ctrl-C does, from another thread
            assert list(tmp_path.iterdir()) == []

    with pytest.raises(InputError, match="model: cannot be written"):
        ended()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_place_that_takes_no_more_is_told_in_words(tmp_path, number):
    for write in (fill, _fill_whole, _fill_file):
        with pytest.raises(InputError, match=rf"results: {NO_ROOM[number]}".replace("(", r"\(").replace(")", r"\)")):
            write(tmp_path / "results", fail(OSError(number, "no")))
        assert list(tmp_path.iterdir()) == []


def _fill_whole(folder, then):
    with whole_folder(folder):
        then()


def _fill_file(path, then):
    with whole_file(path):
        then()
