"""Run the command line with training's commands: ``python -m DLCTPMTrainingLib COMMAND …``, as Slicer does."""

from DLCTPMLib.common.console import open_standard_streams
from DLCTPMLib.common.ending.interruption import own_process

if __name__ == "__main__":
    open_standard_streams()
    own_process()
    from DLCTPMLib.cli.main import run_program  # a signal that comes during these imports counts already
    from DLCTPMTrainingLib.cli.main import main

    run_program(main)
