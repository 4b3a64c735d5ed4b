"""Run the command line as a module: ``python -m DLCTPMLib COMMAND …`` is how Slicer's Python starts it."""

import contextlib
import os
import sys

from DLCTPMLib.cli.main import main

if __name__ == "__main__":
    try:
        status = main()
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # whoever read it may be gone
            stream.flush()
    os._exit(status)  # everything is written; taking torch and the images apart would keep the parent for a second
