"""A child process with everything that it starts, to be ended as a whole without waiting for it.

Slicer's ``PythonSlicer`` is a launcher: it starts the real Python and dies at once when it is told to end, while that
Python still works. So nothing here goes by the first process alone: on Linux and macOS its children share its group,
on Windows its job object.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading

from DLCTPMLib.common.console import NO_WINDOW


class ProcessGroup:
    """One program and what it starts, with pipes to standard input, output and error.

    Args:
        command: program and arguments.
        options: further arguments of ``subprocess.Popen``.

    Raises:
        OSError: the program cannot be started.
    """

    def __init__(self, command: list[str], **options):
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        own = (
            {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
            if os.name == "nt"
            else {"start_new_session": True}
        )
        self.process = subprocess.Popen(command, bufsize=0, **pipes, **own, **options)
        self._job = _WindowsJob(self.process) if os.name == "nt" else None

    @property
    def pid(self) -> int:
        """Number of the first process; of the group too."""
        return self.process.pid

    def firstHasEnded(self) -> bool:
        """Whether the first process has ended; where the system allows, it stays listed until ``end``, so that its
        number, which is the group's, cannot be given to another."""
        if not hasattr(os, "waitid"):
            return self.process.poll() is not None
        try:
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return self.process.returncode is not None or os.waitid(os.P_PID, self.pid, flags) is not None
        except ChildProcessError:  # somebody else has asked for its end
            return True

    def interrupt(self) -> None:
        """Ask everything to end tidily."""
        if os.name == "nt":
            self.closeInput()  # Windows has no signal that lets it tidy up; the engine watches this pipe
        else:
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End everything now."""
        if self._job is not None:
            self._job.terminate()
        else:
            self._signal(signal.SIGKILL)

    def closeInput(self) -> None:
        """End the first process's standard input, into which nothing is ever written."""
        self.process.stdin.close()

    def end(self) -> int | None:
        """Sweep up what is left of the run; the exit status of the first process, None if it is still to come.

        Nothing is waited for: a process that has not ended yet is seen off by a thread.
        """
        self.kill()
        if self._job is not None:
            self._job.close()
        self.closeInput()
        status = self.process.poll()
        if status is None:
            threading.Thread(target=self.process.wait, name="end of engine", daemon=True).start()
        return status

    def _signal(self, number: int) -> None:
        if self.process.returncode is None:  # else its number may be another's by now
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: only ended ones are left
                os.killpg(self.pid, number)


class _WindowsJob:
    """A job object: what a process in it starts is in it too, and all can be ended at once."""

    def __init__(self, process: subprocess.Popen):
        import ctypes

        self._kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        for name in ("CreateJobObjectW", "AssignProcessToJobObject", "TerminateJobObject"):
            getattr(self._kernel, name).restype = ctypes.c_void_p
        self._process = process
        self._handle = ctypes.c_void_p(self._kernel.CreateJobObjectW(None, None))
        self._holds = bool(self._kernel.AssignProcessToJobObject(self._handle, ctypes.c_void_p(int(process._handle))))

    def close(self) -> None:
        """Let go of it; what is in it is left alone."""
        self._kernel.CloseHandle(self._handle)

    def terminate(self) -> None:
        """End all that is in it; where Windows did not let the process in, the tree that Windows knows of."""
        if self._holds:
            self._kernel.TerminateJobObject(self._handle, 1)
        elif self._process.poll() is None:
            subprocess.Popen(["taskkill", "/PID", str(self._process.pid), "/T", "/F"], **NO_WINDOW)
