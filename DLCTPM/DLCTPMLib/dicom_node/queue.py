"""The series of a node on disk. Where a series lies says what is to be done; a kill at any moment loses nothing.

    incoming/ID/images/     objects that have come; ``open`` beside them: whoever sends it has not finished;
                            ``lacks/``: objects of it that were refused
    complete/ID/images/     to be mapped; ``objects/`` when that is done
    outgoing/ID/objects/    to be sent; each goes when it has arrived
    done/ID                 names of the objects of a delivered series
    failed/ID               why nothing was sent for a series

An ID is the keyed hash of a Series Instance UID, a file's name that of an SOP Instance UID. Each step is one rename.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Hashable
from pathlib import Path

from DLCTPMLib.dicom_node.log import Log
from DLCTPMLib.dicom_node.received import OUT_OF_RESOURCES, Received, RefusedError
from DLCTPMLib.dicom_node.settings import NodeSettings
from DLCTPMLib.dicom_node.spool import Spool, sync_folder
from DLCTPMLib.volumes.dicom.examination import hashed

INCOMING, COMPLETE, OUTGOING, DONE, FAILED = STAGES = ("incoming", "complete", "outgoing", "done", "failed")
IMAGES, OBJECTS, OPEN, LACKS, RECEIVED = "images", "objects", "open", "lacks", "received"

MB, GB = 10**6, 10**9


class SeriesQueue:
    """What came, what is mapped and what is sent.

    Every method may be called from any thread.

    Args:
        spool: where it lies.
        settings: limits and times.
        log: told what happens.
        clock: seconds that only grow.
    """

    def __init__(self, spool: Spool, settings: NodeSettings, log: Log, clock: Callable[[], float] = time.monotonic):
        self._spool, self._settings, self._log, self._clock = spool, settings, log, clock
        self._lock = threading.RLock()
        self._last: dict[str, float] = {}
        self._bytes: dict[str, int] = {}
        self._carried: dict[Hashable, set[str]] = {}
        for stage in STAGES:
            (spool.folder / stage).mkdir(mode=0o700, exist_ok=True)
        for leftover in self._all(OUTGOING):
            self._strip(leftover)

    # receiving

    def store(self, one: Received, caller: Hashable) -> None:
        """Keep an object; when this returns, it is on the disk.

        Args:
            one: the object.
            caller: the association that brought it, until ``ended``.

        Raises:
            RefusedError: there is no room for it.
        """
        name = hashed(one.series, self._spool.key)
        folder = self._at(INCOMING, name)
        try:
            with self._lock:
                self._check_room(folder, len(one.data))
                if not (folder / IMAGES).is_dir():
                    (folder / IMAGES).mkdir(parents=True)
                    sync_folder(folder)
                    sync_folder(folder.parent)
                self._carried.setdefault(caller, set()).add(name)
                (folder / OPEN).touch()
                self._last[name] = self._clock()
                self._bytes[name] += len(one.data)
                file = self._file(one.instance)
                self._spool.write(folder / IMAGES / file, one.data)
                (folder / LACKS / file).unlink(missing_ok=True)
        except OSError as error:
            self.refused(one.series, one.instance)
            raise RefusedError(OUT_OF_RESOURCES, "cannot be kept on the disk", one.series, one.instance) from error
        except RefusedError:
            self.refused(one.series, one.instance)
            raise

    def refused(self, series: str, instance: str) -> None:
        """Remember that an object of a series that is coming was not taken: without it the series is no whole."""
        name = hashed(series, self._spool.key)
        folder = self._at(INCOMING, name)
        with self._lock, contextlib.suppress(OSError):  # on a full disk ``open`` still stands for it
            if folder.is_dir():
                (folder / LACKS).mkdir(exist_ok=True)
                (folder / LACKS / self._file(instance)).touch()

    def ended(self, caller: Hashable, whole: bool) -> set[str]:
        """An association is over: released, or cut off. Returns the IDs of the series that it brought."""
        with self._lock:
            names = self._carried.pop(caller, set())
            others = set().union(*self._carried.values())
            for name in names - others if whole else ():
                (self._at(INCOMING, name) / OPEN).unlink(missing_ok=True)
        return names

    def _check_room(self, folder: Path, size: int) -> None:
        limits = self._settings
        words = ""
        if shutil.disk_usage(self._spool.folder).free < limits.free_gb * GB + size:
            words = "finds no room: the disk is nearly full"
        elif folder.is_dir():  # a series that has begun is finished, whatever waits
            if self._bytes.setdefault(folder.name, _size(folder)) + size > limits.series_gb * GB:
                words = "would make its series larger than is taken"
        elif sum(len(self._all(stage)) for stage in (INCOMING, COMPLETE, OUTGOING)) >= limits.waiting:
            words = "finds no room: too many series wait"
        elif _size(self._spool.folder) + size > limits.queue_gb * GB:
            words = "finds no room: the queue is full"
        if words:
            raise RefusedError(OUT_OF_RESOURCES, words)
        self._bytes.setdefault(folder.name, 0)

    # complete after a quiet time

    def promote(self) -> None:
        """Take the series to which nothing was added for long enough for complete."""
        for folder in self._all(INCOMING):
            with self._lock:
                self._promote(folder)

    def _promote(self, folder: Path) -> None:
        name, now = folder.name, self._clock()
        lacking = len(_names(folder / LACKS))
        carried = any(name in names for names in self._carried.values())
        cut_off = (folder / OPEN).exists() and not carried
        quiet = self._settings.interrupted_s if lacking or cut_off else self._settings.quiet_s
        if now - self._last.setdefault(name, now) < quiet:
            return
        if lacking:
            self._drop(folder, f"{lacking} of its objects were refused and have not come again")
        elif (known := self._known(name)) is not None and _names(folder / IMAGES) <= known:
            self._spool.discard(folder)
            self._log(f"series {name}: came again and is not computed again")
        elif self._at(COMPLETE, name).exists():
            pass  # what is mapped now ends first, and then finds what came later (``mapped``, ``failed``)
        elif not self._at(OUTGOING, name).exists():
            os.replace(folder, self._at(COMPLETE, name))
            sync_folder(self._spool.folder / INCOMING)
            self._log(f"series {name}: complete, {len(_names(self._at(COMPLETE, name) / IMAGES))} objects")
        else:
            return
        if not folder.exists():
            del self._last[name]
            self._bytes.pop(name, None)

    def _known(self, name: str) -> set[str] | None:
        """The objects of a series that is being mapped, sent, or was delivered a short time ago."""
        if (waiting := self._at(COMPLETE, name) / IMAGES).is_dir():
            return _names(waiting)
        done = self._at(DONE, name)
        with contextlib.suppress(OSError):
            if time.time() - done.stat().st_mtime > self._settings.remember_h * 3600:
                done.unlink()
        for listed in (self._at(OUTGOING, name) / RECEIVED, done):
            if listed.exists():
                return set(listed.read_text(encoding="ascii").split())
        return None

    # mapping

    def to_map(self) -> list[str]:
        """IDs of the complete series, those that waited longest first."""
        return [folder.name for folder in self._all(COMPLETE) if not self._at(OUTGOING, folder.name).exists()]

    def begin(self, name: str) -> Path | None:
        """The folder of a series that is to be mapped now; None where more of it came, which it waits for."""
        folder = self._at(COMPLETE, name)
        with self._lock:
            return None if self._taken_back(folder) else folder

    def mapped(self, name: str) -> None:
        """The objects of a series are made: its images go, they are to be sent; more images first, if any came."""
        folder = self._at(COMPLETE, name)
        with self._lock:
            if self._taken_back(folder):
                return
            self._spool.write(folder / RECEIVED, "\n".join(sorted(_names(folder / IMAGES))).encode())
            os.replace(folder, self._at(OUTGOING, name))
            sync_folder(self._spool.folder / COMPLETE)
            self._strip(self._at(OUTGOING, name))
            self._at(FAILED, name).unlink(missing_ok=True)

    def failed(self, name: str, why: str) -> None:
        """Nothing can be sent for a series: its images go, and ``why`` stays; unless more images came."""
        folder = self._at(COMPLETE, name)
        with self._lock:
            if not self._taken_back(folder):
                self._drop(folder, why)

    def _taken_back(self, folder: Path) -> bool:
        """Whether images came that were not there when the mapping began: then all of them wait for the rest."""
        later = self._at(INCOMING, folder.name)
        if not _names(later / IMAGES) - _names(folder / IMAGES):
            return False
        for image in (folder / IMAGES).iterdir():
            if not (later / IMAGES / image.name).exists():
                os.replace(image, later / IMAGES / image.name)
        self._spool.discard(folder)
        self._log(f"series {folder.name}: more of it came, it waits for the rest")
        return True

    def _drop(self, folder: Path, why: str) -> None:
        self._spool.write(self._at(FAILED, folder.name), f"{why}\n".encode())
        self._spool.discard(folder)
        self._log(f"series {folder.name}: nothing is sent back, failed/{folder.name} says why")

    def _strip(self, folder: Path) -> None:
        """Leave of an outgoing series what is to be sent."""
        for part in folder.iterdir():
            if part.is_dir() and part.name != OBJECTS:
                self._spool.discard(part)

    # sending

    def to_send(self) -> list[str]:
        """IDs of the series whose objects are to be sent, those that waited longest first."""
        return [folder.name for folder in self._all(OUTGOING)]

    def objects_of(self, name: str) -> list[Path]:
        """What is still to be sent of a series."""
        folder = self._at(OUTGOING, name) / OBJECTS
        return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []

    def delivered(self, name: str) -> None:
        """Everything of a series has arrived: nothing of it stays but the names of its objects."""
        folder = self._at(OUTGOING, name)
        with self._lock:
            self._spool.write(self._at(DONE, name), (folder / RECEIVED).read_bytes())
            self._spool.discard(folder)
            for old in (self._spool.folder / DONE).iterdir():
                self._known(old.name)  # forgets what is too old

    def _at(self, stage: str, name: str) -> Path:
        return self._spool.folder / stage / name

    def _all(self, stage: str) -> list[Path]:
        dated = []
        for path in (self._spool.folder / stage).iterdir():
            with contextlib.suppress(FileNotFoundError):  # another thread took it on
                dated.append((path.stat().st_ctime_ns, path))
        return [path for _, path in sorted(dated)]

    def _file(self, instance: str) -> str:
        return f"{hashed(instance, self._spool.key)}.dcm"


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
