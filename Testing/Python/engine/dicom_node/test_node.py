"""A node takes CT series from any number of callers, has each mapped once, and delivers; pynetdicom on both sides."""

import copy
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed (pip install 'dlctpm[node]')")

from dicom_peers import (
    HERE,
    QuickMapping,
    a_node,
    an_archive,
    another_patient,
    association,
    ct_series,
    enhanced,
    left_in,
    send,
    until,
)
from dicom_samples import PATIENT, PATIENT_ID

from DLCTPMLib.common.errors import FailedChecksError, InputError
from DLCTPMLib.dicom_node.settings import Caller

ALL = ("incoming", "complete", "outgoing")


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
    mapping = QuickMapping()
    with a_node(tmp_path / "queue", archive.port, mapping) as port:
        assert send(port, series) == [0] * len(series)
        assert arrived(archive)
        assert until(lambda: not left_in(tmp_path / "queue", *ALL))
    assert list(archive.taken) == [series[0].StudyInstanceUID]
    assert once(archive)
    assert mapping.images == [len(series)]
    rest = [path for path in (tmp_path / "queue").rglob("*") if path.is_file()]
    assert {path.parent.name for path in rest} == {"queue", "done"}  # the key, and hashes of what was done
    log = "\n".join(mapping.log)
    for secret in (PATIENT, PATIENT_ID, series[0].StudyInstanceUID, series[0].SeriesInstanceUID):
        assert secret not in log
        assert all(secret not in str(path) and secret.encode() not in path.read_bytes() for path in rest)


def test_the_queue_is_its_owners_only(tmp_path, archive, series):
    mapping = QuickMapping(goes_on=threading.Event())
    with a_node(tmp_path / "queue", archive.port, mapping) as port:
        send(port, series)
        assert mapping.began.wait(20)
        everything = [tmp_path / "queue", *(tmp_path / "queue").rglob("*")]
        assert len(everything) > len(series)
        assert not [path for path in everything if stat.S_IMODE(path.stat().st_mode) & 0o077]
        mapping.goes_on.set()


def test_ten_series_at_once_and_two_interleaved_are_each_mapped_once(tmp_path, archive, series):
    cases = [another_patient(series) for _ in range(12)]
    mixed = [one for pair in zip(*cases[:2], strict=True) for one in pair]
    with a_node(tmp_path / "queue", archive.port) as port:
        senders = [threading.Thread(target=send, args=(port, case)) for case in (mixed, *cases[2:])]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        assert arrived(archive, 12)
    assert set(archive.taken) == {case[0].StudyInstanceUID for case in cases}
    assert once(archive)


def test_objects_sent_twice_count_once_and_a_delivered_series_is_not_mapped_again(tmp_path, archive, series):
    mapping = QuickMapping()
    with a_node(tmp_path / "queue", archive.port, mapping) as port:
        assert send(port, [*series, *series]) == [0] * 2 * len(series)
        assert arrived(archive)
        assert send(port, series) == [0] * len(series)
        assert until(lambda: any("not computed again" in line for line in mapping.log))
        assert not left_in(tmp_path / "queue", *ALL)
    assert mapping.images == [len(series)]


def test_images_that_come_while_a_series_is_mapped_belong_to_it(tmp_path, archive, series):
    mapping = QuickMapping(goes_on=threading.Event())
    with a_node(tmp_path / "queue", archive.port, mapping) as port:
        send(port, series[:2])
        assert mapping.began.wait(20)
        send(port, series[2:])
        mapping.goes_on.set()
        assert arrived(archive)
    assert mapping.images == [2, len(series)]
    assert once(archive)


def test_a_transfer_that_was_cut_off_waits_for_the_rest(tmp_path, archive, series):
    mapping = QuickMapping()
    with a_node(tmp_path / "queue", archive.port, mapping, interrupted_s=600) as port:
        with association(port) as opened:
            for one in series[:2]:
                opened.send_c_store(one)
            opened.abort()
        other = another_patient(series)
        send(port, other)
        assert arrived(archive)  # the quiet time is over
        assert list(archive.taken) == [other[0].StudyInstanceUID]
        send(port, series)
        assert arrived(archive, 2)
    assert mapping.images == [len(series)] * 2


def test_who_is_not_allowed_is_refused(tmp_path, archive, series):
    mapping, callers = QuickMapping(), (Caller.parse("PACS@127.0.0.0/8"), Caller.parse("OTHER@10.1.2.3"))
    with a_node(tmp_path / "queue", archive.port, mapping, callers) as port:
        for title in ("SENDER", "OTHER"):
            with association(port, title) as refused:
                assert refused.is_rejected
        with association(port, "PACS", called="SOMEBODY") as refused:
            assert refused.is_rejected
        assert send(port, series, "PACS") == [0] * len(series)
        assert arrived(archive)
    assert sum("refused, no caller that is allowed" in line for line in mapping.log) == 2


def test_an_address_that_is_not_allowed_is_not_even_read(tmp_path, archive):
    mapping = QuickMapping()
    with a_node(tmp_path / "queue", archive.port, mapping, (Caller.parse("SENDER@10.1.2.3"),)) as port:
        with association(port) as opened:
            assert not opened.is_established
            assert not opened.is_rejected
        assert until(lambda: any(f"{HERE}: refused" in line for line in mapping.log))


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
    mapping = QuickMapping()
    with a_node(tmp_path / "queue", archive.port, mapping) as port:
        statuses = send(port, [*series[:2], damaged(series, how), *series[2:]])
        assert [status != 0 for status in statuses] == [False, False, True, False, False]
        assert arrived(archive)
        assert left_in(tmp_path / "queue", "incoming", "failed") == []
    assert mapping.images == [len(series)]
    assert sum(", refused" in line and "an object" in line for line in mapping.log) == 1


def test_too_large_objects_are_refused_and_beyond_all_measure_cut_off(tmp_path, archive, series):
    mapping = QuickMapping()
    with a_node(tmp_path / "queue", archive.port, mapping, object_mb=1) as port:
        assert send(port, [enhanced(1.5), *series])[0] == 0xC001
        assert send(port, [enhanced(6)]) == [None]
        assert arrived(archive)
    assert any("cut off, it sends more" in line for line in mapping.log)
    assert mapping.images == [len(series)]


def test_a_series_that_lacks_an_object_is_not_mapped_until_it_comes(tmp_path, archive, series):
    mapping, bad = QuickMapping(), copy.deepcopy(series[3])
    bad.PixelData = bad.PixelData[:8]
    with a_node(tmp_path / "queue", archive.port, mapping, interrupted_s=600) as port:
        assert send(port, [*series[:3], bad])[-1] == 0xC000
        send(port, another_patient(series))
        assert arrived(archive)
        assert mapping.images == [len(series)]
        send(port, series[3:])
        assert arrived(archive, 2)
    lost = tmp_path / "lost"
    with a_node(lost, archive.port, mapping, interrupted_s=0.5) as port:
        send(port, [*series[:3], bad])
        assert until(lambda: left_in(lost, "failed"))
        assert left_in(lost, *ALL) == []


def test_a_full_queue_refuses_the_next_series_and_finishes_those_it_has(tmp_path, archive, series):
    mapping, cases = QuickMapping(goes_on=threading.Event()), [another_patient(series) for _ in range(3)]
    with a_node(tmp_path / "queue", archive.port, mapping, waiting=2) as port:
        assert send(port, [one for case in cases for one in case]) == [0] * 8 + [0xA700] * 4
        mapping.goes_on.set()
        assert arrived(archive, 2)
        assert until(lambda: not left_in(tmp_path / "queue", *ALL))
        assert send(port, cases[2]) == [0] * 4
        assert arrived(archive, 3)
    assert once(archive)


@pytest.mark.parametrize("limits", [{"queue_gb": 1e-7}, {"free_gb": 1e9}, {"series_gb": 1e-6}])
def test_what_finds_no_room_is_refused_as_lack_of_room(tmp_path, archive, series, limits):
    with a_node(tmp_path / "queue", archive.port, interrupted_s=0.3, **limits) as port:
        assert send(port, series)[-1] == 0xA700
        assert until(lambda: not left_in(tmp_path / "queue", *ALL))
    assert archive.taken == {}


def test_a_failed_check_sends_nothing_and_an_unusable_series_is_given_up(tmp_path, archive, series):
    mapping = QuickMapping(raises=[FailedChecksError("ct: too short.", ["too short."]), *[InputError("bad")] * 2])
    with a_node(tmp_path / "queue", archive.port, mapping) as port:
        for _ in range(2):
            send(port, another_patient(series))
            assert until(lambda: not left_in(tmp_path / "queue", *ALL))
        send(port, series)
        assert arrived(archive)
    assert list(archive.taken) == [series[0].StudyInstanceUID]
    reasons = [path.read_text() for path in (tmp_path / "queue" / "failed").iterdir()]
    assert sorted(reasons) == ["bad\n", "ct: too short.\n"]
    assert not any("too short" in line for line in mapping.log)


def test_a_mapping_that_breaks_is_tried_again(tmp_path, archive, series):
    mapping = QuickMapping(raises=[MemoryError(), RuntimeError(PATIENT), None])
    with a_node(tmp_path / "queue", archive.port, mapping) as port:
        send(port, series)
        assert arrived(archive)
    assert len(mapping.images) == 3
    assert PATIENT not in "\n".join(mapping.log)


def test_what_the_archive_refuses_or_misses_is_sent_again(tmp_path, series):
    with an_archive(answers=[0, 0xA700, 0xC000]) as archive:
        with a_node(tmp_path / "queue", archive.port) as port:
            send(port, series)
            assert arrived(archive)
        assert once(archive)
    mapping, other = QuickMapping(), another_patient(series)
    with a_node(tmp_path / "queue", archive.port, mapping) as port:
        send(port, other)
        assert until(lambda: any("is not to be reached" in line for line in mapping.log))
        with an_archive(archive.port) as archive:
            assert arrived(archive)
    assert list(archive.taken) == [other[0].StudyInstanceUID]


def started(queue: Path, archive, seconds) -> tuple[subprocess.Popen, int]:
    """A node in a process of its own."""
    import dicom_peers

    node = subprocess.Popen(
        [sys.executable, dicom_peers.__file__, str(queue), str(archive.port), str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return node, int(node.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_node_that_is_ended_in_the_middle_goes_on_where_it_was(tmp_path, archive, series, number):
    cases = [another_patient(series) for _ in range(3)]
    node, port = started(tmp_path, archive, 0.5)
    for case in cases:
        assert send(port, case) == [0] * len(case)
    assert arrived(archive)  # the first is done, the second is being mapped
    with association(port) as cut_off:
        assert cut_off.send_c_store(series[0]).Status == 0
        node.send_signal(number)
        assert node.wait(30) == (143 if number == signal.SIGTERM else -9)
    node, port = started(tmp_path, archive, 0.0)
    try:
        assert send(port, series) == [0] * len(series)
        assert arrived(archive, 4)
    finally:
        node.kill()
        node.wait()
    assert set(archive.taken) == {case[0].StudyInstanceUID for case in (series, *cases)}
    assert all(len(counts) == 2 for counts in archive.taken.values())  # no series was mapped twice
