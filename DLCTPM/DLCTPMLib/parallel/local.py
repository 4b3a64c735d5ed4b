"""Processes of this machine as an ``Executor``: a task whose process dies is begun again.

Each process is a ``ProcessPoolExecutor`` of its own. One pool of many breaks as a whole when one process dies, and
nobody knows which task it was.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from DLCTPMLib.parallel.process import begin, resident_bytes

ATTEMPTS = 3
"""So often is a task begun whose process dies: killed by the system for its memory, say."""

GROWN_BYTES = 1 << 30
"""A process that holds so much more after a task than after its first is renewed."""

TASKS_A_PROCESS = 50
"""Where the system does not tell the memory, a process is renewed after so many tasks."""


class LostWorkerError(RuntimeError):
    """A task's process died every time."""


class LocalProcesses(Executor):
    """Runs callables in a number of processes of this machine.

    Args:
        jobs: how many.
    """

    def __init__(self, jobs: int):
        self._waiting: queue.SimpleQueue[tuple[Future, Callable[[], Any]] | None] = queue.SimpleQueue()
        self._processes = [_OneProcess(number) for number in range(jobs)]
        self._threads = [
            threading.Thread(target=self._serve, args=(process,), name=f"job {number}", daemon=True)
            for number, process in enumerate(self._processes)
        ]
        self._closed = threading.Event()
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Do ``fn(*args, **kwargs)`` in one of the processes; it must be importable there.

        Raises:
            RuntimeError: it has been shut down.
        """
        if self._closed.is_set():
            raise RuntimeError("no tasks after the shutdown")
        future: Future = Future()
        self._waiting.put((future, (fn, args, kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes: when all is done, or with ``cancel_futures`` now, whatever they do."""
        self._closed.set()
        if cancel_futures:
            while True:
                try:
                    left = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if left is not None:
                    left[0].cancel()
            for process in self._processes:
                process.kill()
        for _ in self._threads:
            self._waiting.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _serve(self, process: _OneProcess) -> None:
        while (item := self._waiting.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                value = process.do(call)
            except BaseException as error:  # the task's own, for whoever asks for its result
                future.set_exception(error)
            else:
                future.set_result(value)
        process.end()


class _OneProcess:
    """A process that is there while it is needed, and comes again when it has died."""

    def __init__(self, number: int):
        self._number = number
        self._pool: ProcessPoolExecutor | None = None
        self._pid = 0
        self._killed = False
        self._first: int | None = None
        self._done = 0

    def do(self, call: tuple[Callable[..., Any], tuple, dict]) -> Any:
        """The value of a call.

        Raises:
            LostWorkerError: the process died each time.
        """
        for _ in range(ATTEMPTS):
            if self._killed:
                break
            try:
                value, held = self._begun().submit(_measured, *call).result()
            except BrokenProcessPool:
                self.end()
                continue
            self._renew_if_grown(held)
            return value
        raise LostWorkerError(
            "the process that worked on it was ended from outside each time, mostly because the memory was full"
        )

    def kill(self) -> None:
        """End it in the middle of what it does."""
        self._killed = True
        if self._pid:
            with contextlib.suppress(OSError):  # it has ended
                os.kill(self._pid, signal.SIGTERM)

    def end(self) -> None:
        """End it; it has nothing to do."""
        pool, self._pool, self._pid = self._pool, None, 0
        if pool is not None:
            pool.shutdown(wait=True)

    def _begun(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks
            self._pool = ProcessPoolExecutor(1, context, initializer=begin, initargs=(self._number,))
            self._first, self._done = None, 0
            self._pid = self._pool.submit(os.getpid).result()
            if self._killed:
                self.kill()
        return self._pool

    def _renew_if_grown(self, held: int | None) -> None:
        self._done += 1
        self._first = held if self._first is None else self._first
        grown = self._done >= TASKS_A_PROCESS if held is None else held > self._first + GROWN_BYTES
        if grown:
            self.end()


def _measured(fn: Callable[..., Any], args: tuple, kwargs: dict) -> tuple[Any, int | None]:
    """In the process: the value of a call, and the memory that is held after it."""
    return fn(*args, **kwargs), resident_bytes()
