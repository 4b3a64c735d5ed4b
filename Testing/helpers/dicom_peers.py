"""Who a DICOM node talks to: senders of CT series, an archive that takes results, and a mapping without a network.

As a program it is a node with that mapping, to be killed: `dicom_peers.py QUEUE ARCHIVE_PORT MAPPING_SECONDS`.
"""

import contextlib
import copy
import shutil
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from dicom_samples import header, hu_volume, write_ct_series
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    BasicTextSRStorage,
    CTImageStorage,
    EncapsulatedPDFStorage,
    EnhancedCTImageStorage,
    Verification,
)

from DLCTPMLib.dicom_node.node import Node
from DLCTPMLib.dicom_node.settings import Destination, NodeSettings

HERE = "127.0.0.1"
FEW = (4, 8, 6)
"""Slices, rows and columns of a series that is only sent about."""


def ct_series(folder: Path, shape=FEW, **tags) -> list[Dataset]:
    """The objects of a new series, in the order of their instance numbers."""
    paths = write_ct_series(folder, hu_volume(shape), **tags)
    return sorted((pydicom.dcmread(path) for path in paths), key=lambda one: one.InstanceNumber)


@contextlib.contextmanager
def association(port: int, title="SENDER", called="DLCTPM"):
    """An open association with a node; released at the end if it still stands."""
    entity = AE(title)
    for sop_class in (CTImageStorage, EnhancedCTImageStorage, Verification):
        entity.add_requested_context(sop_class)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = 60
    opened = entity.associate(HERE, port, ae_title=called)
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()


def send(port: int, objects: list[Dataset], title="SENDER") -> list[int | None]:
    """Send objects in one association; the status of each, None where no answer came."""
    with association(port, title) as opened:
        return [opened.send_c_store(one).get("Status") for one in objects]


@dataclass
class Archive:
    """What results are sent to: takes everything that comes, and counts it.

    Attributes:
        taken: by study, how often each object came.
        answers: statuses that are given first; then success.
    """

    port: int = 0
    taken: dict[str, Counter] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)

    def store(self, event: evt.Event) -> int:
        if self.answers and (status := self.answers.pop(0)):
            return status
        one = event.dataset
        self.taken.setdefault(str(one.StudyInstanceUID), Counter())[str(one.SOPInstanceUID)] += 1
        return 0

    def has(self, studies: int) -> bool:
        return len(self.taken) >= studies


@contextlib.contextmanager
def an_archive(port: int = 0, **given):
    """An archive that listens."""
    archive = Archive(**given)
    entity = AE("ARCHIVE")
    for sop_class in (BasicTextSRStorage, EncapsulatedPDFStorage):
        entity.add_supported_context(sop_class)
    server = entity.start_server((HERE, port), block=False, evt_handlers=[(evt.EVT_C_STORE, archive.store)])
    archive.port = server.server_address[1]
    try:
        yield archive
    finally:
        server.shutdown()


class QuickMapping:
    """Makes two objects of a series, at once or after some seconds.

    Attributes:
        images: how many images the series of each call had.
        raises: what is raised in the calls, one after the other; None for a call that goes well.
        goes_on: an event without which no call ends, or None.
    """

    def __init__(self, seconds: float = 0.0, raises=(), goes_on: threading.Event | None = None):
        self.seconds, self.raises, self.goes_on = seconds, list(raises), goes_on
        self.images: list[int] = []
        self.began = threading.Event()

    def __call__(self, folder: Path, name: str, stop: threading.Event) -> None:
        images = [pydicom.dcmread(path, stop_before_pixels=True) for path in (folder / "images").iterdir()]
        self.images.append(len(images))
        self.began.set()
        if self.raises and (error := self.raises.pop(0)):
            raise error
        time.sleep(self.seconds)
        if self.goes_on:
            self.goes_on.wait(20)
        shutil.rmtree(folder / "objects.new", ignore_errors=True)
        (folder / "objects.new").mkdir()
        for sop_class in (BasicTextSRStorage, EncapsulatedPDFStorage):
            one = header(sop_class, "SR", StudyInstanceUID=images[0].StudyInstanceUID)
            one.save_as(folder / "objects.new" / f"{sop_class}.dcm", enforce_file_format=True)
        (folder / "objects.new").rename(folder / "objects")


SETTINGS = {"port": 0, "quiet_s": 10, "interrupted_s": 100, "free_gb": 0.0}


@dataclass
class RunningNode:
    """A node of this process, for which no time passes unless a test says so.

    Attributes:
        queue: its folder.
        mapping: what it maps by.
        port: on which it listens.
        log: its lines.
        now: what its clock shows.
    """

    queue: Path
    mapping: QuickMapping
    port: int = 0
    log: list[str] = field(default_factory=list)
    now: float = 0.0

    def quiet(self, seconds: float = 50) -> None:
        """Let time pass: by default more than a series is quiet, less than an interrupted one waits."""
        self.now += seconds

    def said(self, words: str, times: int = 1) -> bool:
        """Whether the log gets so many lines with these words."""
        return until(lambda: sum(words in line for line in self.log) >= times)

    def left(self, *stages: str) -> list[str]:
        """Names of the series in some stages, by default those of which something is still to be done."""
        return [
            p.name for stage in stages or ("incoming", "complete", "outgoing") for p in (self.queue / stage).iterdir()
        ]


@contextlib.contextmanager
def a_node(queue: Path, archive_port: int, mapping=None, callers=(), **settings):
    """A node that runs in this process."""
    running, ready, stop = RunningNode(queue, mapping or QuickMapping()), threading.Event(), threading.Event()
    node = Node(
        NodeSettings(**{**SETTINGS, **settings}),
        callers,
        Destination("ARCHIVE", HERE, archive_port),
        queue,
        lambda scratch: running.mapping,
        running.log.append,
        mapping_pause_s=0.05,
        sending_pause_s=0.05,
        turn_s=0.02,
        clock=lambda: running.now,
    )

    def listening(port):
        running.port = port
        ready.set()

    thread = threading.Thread(target=node.run, args=(listening, stop), daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield running
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def until(holds, seconds: float = 120.0) -> bool:
    """Wait for something, for no longer than a busy machine may need."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def enhanced(size_mb: float) -> Dataset:
    """One object of about so many megabytes."""
    frames = int(size_mb * 1e6 / (256 * 256 * 2))
    one = header(EnhancedCTImageStorage, "CT", Rows=256, Columns=256, NumberOfFrames=frames)
    one.PixelData = np.zeros((frames, 256, 256), np.uint16).tobytes()
    return one


def another_patient(series: list[Dataset]) -> list[Dataset]:
    """The same images in another study and series."""
    study, uid = generate_uid(), generate_uid()
    copies = []
    for one in series:
        new = copy.deepcopy(one)
        new.StudyInstanceUID, new.SeriesInstanceUID, new.SOPInstanceUID = study, uid, generate_uid()
        new.file_meta.MediaStorageSOPInstanceUID = new.SOPInstanceUID
        copies.append(new)
    return copies


if __name__ == "__main__":
    from DLCTPMLib.cli.main import run_program
    from DLCTPMLib.common.ending.interruption import own_process

    own_process()
    quick = NodeSettings(**{**SETTINGS, "quiet_s": 2.0})
    child = Node(
        quick,
        (),
        Destination("ARCHIVE", HERE, int(sys.argv[2])),
        Path(sys.argv[1]),
        lambda scratch: QuickMapping(float(sys.argv[3])),
        turn_s=0.02,
    )
    run_program(lambda: child.run(lambda port: print(port, flush=True)))
