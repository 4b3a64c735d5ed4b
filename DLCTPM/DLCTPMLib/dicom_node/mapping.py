"""A complete series becomes objects: ``predict`` and ``export`` in a process of their own, one series at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from DLCTPMLib.common.console import NO_WINDOW
from DLCTPMLib.common.errors import FailedChecksError, InputError
from DLCTPMLib.dicom_node.log import Log
from DLCTPMLib.dicom_node.queue import IMAGES, OBJECTS, SeriesQueue

RESULT = "result"
"""Folder of the prediction beside the images, as long as its objects are not made."""

ATTEMPTS, ATTEMPTS_OF_BAD_INPUT = 5, 2
"""How often a series is tried: for a reason that may pass (no memory, no room), and where the command refuses it."""

PAUSE_S = 30.0
"""From a failure to the next attempt; longer after each."""

PATIENCE_S = 15.0
"""How long a command that is to end may tidy up."""

Mapping = Callable[[Path, str, threading.Event], None]
"""Given the folder of a complete series, what results call it and an event: fills ``objects`` of that folder.

Raises ``FailedChecksError`` where the map cannot be right, ``InputError`` where the series cannot be used,
``StoppedError`` where the event was set, anything else where it went wrong."""


class StoppedError(Exception):
    """The node ends; the series stays for its next start."""


@dataclass(frozen=True)
class CommandMapping:
    """A ``Mapping`` by this program's own commands.

    Attributes:
        predict, export: options of either command.
        environment: what the commands are told so that they end with this process, however it ends.
        scratch: where their temporary files go.
    """

    scratch: Path
    predict: tuple[str, ...] = ()
    export: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, folder: Path, name: str, stop: threading.Event) -> None:
        """Predict and export."""
        images, result = str(folder / IMAGES), str(folder / RESULT)
        if not (folder / RESULT).exists():
            self._run(["predict", images, "--out", result, "--pseudonym", name, *self.predict], stop)
        self._run(["export", result, "--dicom", images, "--out", str(folder / OBJECTS), *self.export], stop)

    def _run(self, arguments: list[str], stop: threading.Event) -> None:
        with tempfile.TemporaryFile(dir=self.scratch) as events, tempfile.TemporaryFile(dir=self.scratch) as errors:
            child = subprocess.Popen(
                [sys.executable, "-m", "DLCTPMLib", *arguments, "--progress", "json"],
                stdin=subprocess.PIPE,  # its end is the end of this process
                stdout=events,
                stderr=errors,
                env={**os.environ, "TMPDIR": str(self.scratch), **self.environment},
                **NO_WINDOW,
            )
            try:
                while child.poll() is None:
                    if stop.wait(0.2):
                        raise StoppedError
            finally:
                child.stdin.close()
                _end(child)
            sentence = _text(errors).strip()
            if child.returncode == 0:
                return
            failed = [json.loads(line).get("failed_checks") for line in _text(events).splitlines() if line[:1] == "{"]
            if any(failed):
                raise FailedChecksError(sentence, next(filter(None, failed)))
            if child.returncode == 2:
                raise InputError(sentence)
            raise RuntimeError(f"{arguments[0]} ended with status {child.returncode}\n{sentence}")


def _end(child: subprocess.Popen) -> None:
    try:
        child.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _text(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


class Mapper:
    """Takes complete series through a ``Mapping``.

    Args:
        queue: where they wait.
        mapping: what makes objects of them.
        log: told what happens.
        stop: set when the node ends.
        pause_s: from a failure to the next attempt.
    """

    def __init__(
        self, queue: SeriesQueue, mapping: Mapping, log: Log, stop: threading.Event, pause_s: float = PAUSE_S
    ):
        self._queue, self._mapping, self._log, self._stop = queue, mapping, log, stop
        self._pause_s = pause_s
        self._not_before: dict[str, float] = {}

    def turn(self) -> None:
        """Map the series that waited longest, if there is one."""
        now = time.monotonic()
        name = next((one for one in self._queue.to_map() if self._not_before.get(one, now) <= now), None)
        if name is None or (folder := self._queue.begin(name)) is None:
            return
        attempt = self._attempt(folder, 1)  # on disk: a series that brings down the machine is not tried for ever
        started = time.monotonic()
        self._log(f"series {name}: is being mapped")
        try:
            self._mapping(folder, name, self._stop)
        except StoppedError:
            self._attempt(folder, -1)
        except FailedChecksError as failed:
            self._queue.failed(name, str(failed))
        except Exception as error:  # whatever it is: the other series go on
            enough = ATTEMPTS_OF_BAD_INPUT if isinstance(error, InputError) else ATTEMPTS
            if attempt >= enough:
                self._queue.failed(name, str(error))
            else:
                self._not_before[name] = time.monotonic() + self._pause_s * attempt
                self._log(f"series {name}: attempt {attempt} failed ({type(error).__name__}), tried again later")
        else:
            self._log(f"series {name}: mapped in {time.monotonic() - started:.0f} s")
            self._queue.mapped(name)

    @staticmethod
    def _attempt(folder: Path, more: int) -> int:
        path = folder / "attempts"
        count = (int(path.read_text()) if path.exists() else 0) + more
        path.write_text(str(count))
        return count
