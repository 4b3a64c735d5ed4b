"""The queue on disk: whose it is, and that a kill at any of its steps loses no series and doubles none."""

import errno
import os
import shutil
from dataclasses import dataclass

import pytest

pytest.importorskip("fcntl", reason="a queue is kept to its owner on Linux and macOS only")

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.dicom_node.queue import SeriesQueue
from DLCTPMLib.dicom_node.received import OUT_OF_RESOURCES, Received, RefusedError
from DLCTPMLib.dicom_node.settings import NodeSettings
from DLCTPMLib.dicom_node.spool import Spool

SETTINGS = NodeSettings(quiet_s=10, interrupted_s=100, free_gb=0)


class KilledError(BaseException):
    """Stands for the end of the process: nothing handles it."""


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self):
        return self.now


def image(number: int, series: str = "1.2.3") -> Received:
    return Received(series, f"{series}.{number}", b"image %d" % number)


def whole_way(queue, clock, sent):
    """One series from the first object to the archive, as the parts of a node take it."""
    if not sent["asked"]:
        for number in range(3):
            queue.store(image(number), "caller")
        queue.ended("caller", True)
        sent["asked"] = True
    clock.now += 1000
    queue.promote()
    for name in queue.to_map():
        folder = queue.begin(name)
        if not (folder / "objects").exists():  # published by a rename, as ``export`` does
            (folder / "new").mkdir(exist_ok=True)
            (folder / "new" / "map.dcm").write_text(f"{len(list((folder / 'images').iterdir()))} images")
            os.rename(folder / "new", folder / "objects")
            sent["mapped"] += 1
        queue.mapped(name)
    for name in queue.to_send():
        for path in queue.objects_of(name):
            sent["objects"].append(path.read_text())
            path.unlink()
        queue.delivered(name)


def killed_at(step: int, monkeypatch, folder, sent) -> bool:
    """Go the whole way until the call of that number that changes the disk; whether it came to that."""
    calls = iter(range(1, 10**6))

    def counted(real):
        def call(*arguments, **named):
            if next(calls) == step:
                raise KilledError
            return real(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        for place, name in ((os, "replace"), (os, "fsync"), (os, "unlink"), (shutil, "rmtree")):
            patch.setattr(place, name, counted(getattr(place, name)))
        try:
            whole_way(opened(folder, clock := Clock()), clock, sent)
        except KilledError:
            return True
    return False


def opened(folder, clock):
    return SeriesQueue(Spool(folder), SETTINGS, lambda event: None, clock)


def test_a_kill_at_any_step_loses_no_series_and_doubles_none(tmp_path, monkeypatch):
    monkeypatch.setattr(Spool, "_take_lock", lambda spool: None)  # a killed process has none; this one goes on
    step, killed = 1, True
    while killed:
        folder = tmp_path / str(step)
        sent = {"asked": False, "mapped": 0, "objects": []}
        killed = killed_at(step, monkeypatch, folder, sent)
        queue = opened(folder, clock := Clock())
        for _ in range(3):
            whole_way(queue, clock, sent)
        assert set(sent["objects"]) == {"3 images"}, step
        assert sent["mapped"] == 1, step
        (done,) = (folder / "done").iterdir()
        assert len(done.read_text().split()) == 3, step  # by which the same three are known if they come again
        assert not [path for stage in ("incoming", "complete", "outgoing") for path in (folder / stage).iterdir()]
        step += 1
    assert step > 20


def test_a_queue_is_one_nodes_and_one_users(tmp_path):
    spool = Spool(tmp_path / "queue")
    with pytest.raises(InputError, match="another node uses this queue"):
        Spool(tmp_path / "queue")
    spool.close()
    Spool(tmp_path / "queue").close()
    (tmp_path / "queue").chmod(0o750)
    with pytest.raises(InputError, match="other users may enter it"):
        Spool(tmp_path / "queue")
    (tmp_path / "documents").mkdir(mode=0o700)
    (tmp_path / "documents" / "letter").touch()
    with pytest.raises(InputError, match="holds other files"):
        Spool(tmp_path / "documents")


def test_a_disk_that_takes_no_more_refuses_and_keeps_what_it_has(tmp_path, monkeypatch):
    clock = Clock()
    queue = opened(tmp_path, clock)
    queue.store(image(0), "caller")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RefusedError) as refused:
            queue.store(image(1), "caller")
    assert refused.value.status == OUT_OF_RESOURCES
    queue.ended("caller", True)
    clock.now += 50  # it lacks an image, so this quiet time is not enough
    queue.promote()
    assert queue.to_map() == []
    queue.store(image(1), "again")
    queue.ended("again", True)
    clock.now += 50
    queue.promote()
    (name,) = queue.to_map()
    assert len(list((queue.begin(name) / "images").iterdir())) == 2
