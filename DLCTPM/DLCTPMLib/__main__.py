"""The program: ``dlctpm COMMAND …``, and ``python -m DLCTPMLib COMMAND …``, as Slicer's Python starts it."""

from DLCTPMLib.common.console import open_standard_streams
from DLCTPMLib.common.ending.interruption import own_process


def start() -> None:
    """Run this process's command line and end the process."""
    open_standard_streams()
    own_process()
    from DLCTPMLib.cli.main import run_program  # a signal that comes during these imports counts already

    run_program()


if __name__ == "__main__":
    start()
