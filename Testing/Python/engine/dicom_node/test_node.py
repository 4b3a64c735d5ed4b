"""A node takes CT series from any number of callers, has each mapped once, and delivers; pynetdicom on both sides."""

import contextlib
import copy
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed (pip install 'dlctpm[node]')")

import dicom_peers
from dicom_peers import (
    FEW,
    HERE,
    QuickMapping,
    a_node,
    an_archive,
    another_patient,
    association,
    ct_series,
    enhanced,
    send,
    until,
)
from dicom_samples import PATIENT, PATIENT_ID, compress, hu_volume, write_ct_series

from DLCTPMLib.common.errors import FailedChecksError, InputError
from DLCTPMLib.dicom_node.settings import Caller


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    return ct_series(tmp_path_factory.mktemp("series"))


@pytest.fixture
def archive():
    with an_archive() as opened:
        yield opened


def arrived(archive, studies=1, objects=2):
    """Everything of so many studies, each object once."""
    return until(lambda: len(archive.taken) >= studies and all(len(one) >= objects for one in archive.taken.values()))


def once(archive):
    return all(set(counts.values()) == {1} and len(counts) == 2 for counts in archive.taken.values())


def test_a_series_comes_back_as_objects_and_nothing_of_it_stays(tmp_path, archive, series):
    with a_node(tmp_path / "queue", archive.port) as node:
        assert send(node.port, series) == [0] * len(series)
        node.quiet()
        assert arrived(archive)
        assert until(lambda: not node.left())
    assert list(archive.taken) == [series[0].StudyInstanceUID]
    assert once(archive)
    assert node.mapping.images == [len(series)]
    rest = [path for path in (tmp_path / "queue").rglob("*") if path.is_file()]
    assert {path.parent.name for path in rest} == {"queue", "done"}  # the key, and hashes of what was done
    log = "\n".join(node.log)
    for secret in (PATIENT, PATIENT_ID, series[0].StudyInstanceUID, series[0].SeriesInstanceUID):
        assert secret not in log
        assert all(secret not in str(path) and secret.encode() not in path.read_bytes() for path in rest)


def test_the_queue_is_its_owners_only(tmp_path, archive, series):
    mapping = QuickMapping(goes_on=threading.Event())
    with a_node(tmp_path / "queue", archive.port, mapping) as node:
        send(node.port, series)
        node.quiet()
        assert mapping.began.wait(60)
        everything = [tmp_path / "queue", *(tmp_path / "queue").rglob("*")]
        assert len(everything) > len(series)
        assert not [path for path in everything if stat.S_IMODE(path.stat().st_mode) & 0o077]
        mapping.goes_on.set()


def test_ten_series_at_once_and_two_interleaved_are_each_mapped_once(tmp_path, archive, series):
    cases = [another_patient(series) for _ in range(12)]
    mixed = [one for pair in zip(*cases[:2], strict=True) for one in pair]
    with a_node(tmp_path / "queue", archive.port) as node:
        senders = [threading.Thread(target=send, args=(node.port, case)) for case in (mixed, *cases[2:])]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        assert node.said("taken", 11)
        node.quiet()
        assert arrived(archive, 12)
    assert set(archive.taken) == {case[0].StudyInstanceUID for case in cases}
    assert once(archive)
    taken = sorted(line.partition(": ")[2] for line in node.log if "taken" in line)
    assert taken == ["4 objects of 1 series taken, 0 refused"] * 10 + ["8 objects of 2 series taken, 0 refused"]


def test_objects_sent_twice_count_once_and_a_delivered_series_is_not_mapped_again(tmp_path, archive, series):
    with a_node(tmp_path / "queue", archive.port) as node:
        assert send(node.port, [*series, *series]) == [0] * 2 * len(series)
        node.quiet()
        assert arrived(archive)
        assert send(node.port, series) == [0] * len(series)
        node.quiet()
        assert node.said("not computed again")
        assert until(lambda: not node.left())
    assert node.mapping.images == [len(series)]


def test_images_that_come_while_a_series_is_mapped_belong_to_it(tmp_path, archive, series):
    mapping = QuickMapping(goes_on=threading.Event())
    with a_node(tmp_path / "queue", archive.port, mapping) as node:
        send(node.port, series[:2])
        node.quiet()
        assert mapping.began.wait(60)
        send(node.port, series[2:])
        mapping.goes_on.set()
        assert node.said("waits for the rest")
        node.quiet()
        assert arrived(archive)
    assert mapping.images == [2, len(series)]
    assert once(archive)


def break_off(opened):
    """The sender dies: its connection ends without a word."""
    opened.dul.socket.socket.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("cut", [lambda opened: opened.abort(), break_off], ids=["aborted", "died"])
def test_a_transfer_that_was_cut_off_waits_for_the_rest(tmp_path, archive, series, cut):
    with a_node(tmp_path / "queue", archive.port) as node:
        with association(node.port) as opened:
            for one in series[:2]:
                opened.send_c_store(one)
            cut(opened)
        assert node.said("taken, 0 refused, cut off")
        other = another_patient(series)
        send(node.port, other)
        node.quiet()
        assert arrived(archive)  # so the quiet time is over
        assert list(archive.taken) == [other[0].StudyInstanceUID]
        send(node.port, series)
        assert node.said("taken", 3)
        node.quiet()
        assert arrived(archive, 2)
    assert node.mapping.images == [len(series)] * 2


def test_who_is_not_allowed_is_refused(tmp_path, archive, series):
    callers = (Caller.parse("PACS@127.0.0.0/8"), Caller.parse("OTHER@10.1.2.3"))
    with a_node(tmp_path / "queue", archive.port, callers=callers) as node:
        for title in ("SENDER", "OTHER"):
            with association(node.port, title) as refused:
                assert refused.is_rejected
        with association(node.port, "PACS", called="SOMEBODY") as refused:
            assert refused.is_rejected
        assert send(node.port, series, "PACS") == [0] * len(series)
        assert node.said("refused, no caller that is allowed", 2)
        assert node.said(f"PACS@{HERE}: refused, called this node by another title")


def test_an_address_that_is_not_allowed_is_not_even_read(tmp_path, archive):
    with a_node(tmp_path / "queue", archive.port, callers=(Caller.parse("SENDER@10.1.2.3"),)) as node:
        with association(node.port) as opened:
            assert not opened.is_established
            assert not opened.is_rejected
        assert node.said(f"{HERE}: refused")


def damaged(series, how):
    (one,) = another_patient(series[:1])
    if how == "cut off":
        one.PixelData = one.PixelData[:10]
    elif how == "no series":
        del one.SeriesInstanceUID
    elif how == "of this program":
        one.ManufacturerModelName = "DL-CTPM"
    else:
        del one.Rows
    return one


@pytest.mark.parametrize("how", ["cut off", "no series", "of this program", "no rows"])
def test_a_damaged_object_is_refused_and_the_others_go_on(tmp_path, archive, series, how):
    with a_node(tmp_path / "queue", archive.port) as node:
        statuses = send(node.port, [*series[:2], damaged(series, how), *series[2:]])
        assert [status != 0 for status in statuses] == [False, False, True, False, False]
        node.quiet()
        assert arrived(archive)
        assert until(lambda: not node.left())
        assert node.left("failed") == []
    assert node.mapping.images == [len(series)]
    assert sum(", refused" in line and "an object" in line for line in node.log) == 1


def test_too_large_objects_are_refused_and_beyond_all_measure_cut_off(tmp_path, archive, series):
    with a_node(tmp_path / "queue", archive.port, object_mb=1) as node:
        assert send(node.port, [enhanced(1.5), *series])[0] == 0xC001
        assert send(node.port, [enhanced(6)]) == [None]
        assert node.said("cut off, it sends more")
        node.quiet()
        assert arrived(archive)
    assert node.mapping.images == [len(series)]


def test_a_series_that_lacks_an_object_is_not_mapped_until_it_comes(tmp_path, archive, series):
    bad, cases = [], [series, another_patient(series)]
    for case in cases:
        bad.append(copy.deepcopy(case[3]))
        bad[-1].PixelData = bad[-1].PixelData[:8]
    with a_node(tmp_path / "queue", archive.port) as node:
        for case, lacking in zip(cases, bad, strict=True):
            assert send(node.port, [*case[:3], lacking])[-1] == 0xC000
        other = another_patient(series)
        send(node.port, other)
        node.quiet()
        assert arrived(archive)
        assert list(archive.taken) == [other[0].StudyInstanceUID]
        send(node.port, series[3:])
        node.quiet()
        assert arrived(archive, 2)
        node.quiet()  # the other one lacks its object for too long now
        assert node.said("nothing is sent back")
        assert until(lambda: not node.left())
    assert cases[1][0].StudyInstanceUID not in archive.taken
    assert node.mapping.images == [len(series)] * 2


def test_a_full_queue_refuses_the_next_series_and_finishes_those_it_has(tmp_path, archive, series):
    cases = [another_patient(series) for _ in range(3)]
    with a_node(tmp_path / "queue", archive.port, waiting=2) as node:
        assert send(node.port, [one for case in cases for one in case]) == [0] * 8 + [0xA700] * 4
        node.quiet()
        assert arrived(archive, 2)
        assert until(lambda: not node.left())
        assert send(node.port, cases[2]) == [0] * 4
        node.quiet()
        assert arrived(archive, 3)
    assert once(archive)


@pytest.mark.parametrize("limits", [{"queue_gb": 1e-7}, {"free_gb": 1e9}, {"series_gb": 2e-6}])
def test_what_finds_no_room_is_refused_as_lack_of_room(tmp_path, archive, series, limits):
    with a_node(tmp_path / "queue", archive.port, **limits) as node:
        assert send(node.port, series)[-1] == 0xA700
        node.quiet(1000)
        assert until(lambda: not node.left())
    assert archive.taken == {}


@pytest.mark.skipif(not shutil.which("storescu"), reason="dcmtk is not installed (Debian: apt-get install dcmtk)")
def test_dcmtk_sends_a_folder(tmp_path, archive):
    paths = write_ct_series(tmp_path / "ct", hu_volume(FEW))
    for path in paths[:2]:
        compress(path, "RLE")
    with a_node(tmp_path / "queue", archive.port) as node:
        for options, some in ((["-xr", "-R"], paths[:2]), ([], paths[2:])):
            command = ["storescu", *options, "-aec", "DLCTPM", HERE, str(node.port), *map(str, some)]
            subprocess.run(command, check=True, capture_output=True)
        assert node.said("taken", 2)
        node.quiet()
        assert arrived(archive)
    assert node.mapping.images == [len(paths)]


def test_a_failed_check_sends_nothing_and_an_unusable_series_is_given_up(tmp_path, archive, series):
    mapping = QuickMapping(raises=[FailedChecksError("ct: too short.", ["too short."]), *[InputError("bad")] * 2])
    with a_node(tmp_path / "queue", archive.port, mapping) as node:
        for count in (1, 2):
            send(node.port, another_patient(series))
            node.quiet()
            assert node.said("nothing is sent back", count)
        send(node.port, series)
        node.quiet()
        assert arrived(archive)
    assert list(archive.taken) == [series[0].StudyInstanceUID]
    reasons = [path.read_text() for path in (tmp_path / "queue" / "failed").iterdir()]
    assert sorted(reasons) == ["bad\n", "ct: too short.\n"]
    assert not any("too short" in line for line in node.log)


def test_a_mapping_that_breaks_is_tried_again(tmp_path, archive, series):
    mapping = QuickMapping(raises=[MemoryError(), RuntimeError(PATIENT), None])
    with a_node(tmp_path / "queue", archive.port, mapping) as node:
        send(node.port, series)
        node.quiet()
        assert arrived(archive)
    assert len(mapping.images) == 3
    assert PATIENT not in "\n".join(node.log)


def test_what_the_archive_refuses_or_misses_is_sent_again(tmp_path, series):
    other = another_patient(series)
    with an_archive(answers=[0, 0xA700, 0xC000]) as archive:
        with a_node(tmp_path / "queue", archive.port) as node:
            send(node.port, series)
            node.quiet()
            assert arrived(archive)
        assert once(archive)
    with a_node(tmp_path / "queue", archive.port) as node:
        send(node.port, other)
        node.quiet()
        assert node.said("is not to be reached")
        with an_archive(archive.port) as archive:
            assert arrived(archive)
    assert list(archive.taken) == [other[0].StudyInstanceUID]


@contextlib.contextmanager
def a_process(queue: Path, archive, seconds):
    """A node in a process of its own, and its port."""
    process = subprocess.Popen(
        [sys.executable, dicom_peers.__file__, str(queue), str(archive.port), str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_node_that_is_ended_in_the_middle_goes_on_where_it_was(tmp_path, archive, series, number):
    cases = [another_patient(series) for _ in range(3)]
    with a_process(tmp_path / "queue", archive, 0.5) as (process, port):
        for case in cases:
            assert send(port, case) == [0] * len(case)
        assert arrived(archive)  # one is done, another most likely being mapped
        with association(port) as cut_off:
            assert cut_off.send_c_store(series[0]).Status == 0
            process.send_signal(number)
            assert process.wait(60) == (143 if number == signal.SIGTERM else -9)
    with a_process(tmp_path / "queue", archive, 0.0) as (_, port):
        assert send(port, series) == [0] * len(series)
        assert arrived(archive, 4)
    assert set(archive.taken) == {case[0].StudyInstanceUID for case in (series, *cases)}
    assert all(len(counts) == 2 for counts in archive.taken.values())  # no series was mapped twice
