"""Tasks so small that a test can see what becomes of them in a worker."""

import os
import signal
import time
from pathlib import Path


def squared(number, report):
    report(f"squaring {number}", 0.5)
    report.emit(squared=number)
    return number**2


def threads(report):
    import torch

    return torch.get_num_threads()


def killed_once(flag, report):
    if not Path(flag).exists():
        Path(flag).write_text("killed")
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def killed_always(report):
    os.kill(os.getpid(), signal.SIGKILL)


def refused(report):
    raise ValueError("no such thing")


def until_abandoned(folder, report):
    """Goes on for ever; leaves its process's number, and a word when it ends by itself."""
    (Path(folder) / "pid").write_text(str(os.getpid()))
    try:
        while True:
            report("waiting", 0.1)
            time.sleep(0.05)
    except BaseException as error:
        (Path(folder) / "ended").write_text(type(error).__name__)
        raise


def grown(report):
    """Holds more and more memory."""
    kept = globals().setdefault("KEPT", [])
    kept.append(bytearray(os.urandom(1)) * (1 << 22))
    return os.getpid()
