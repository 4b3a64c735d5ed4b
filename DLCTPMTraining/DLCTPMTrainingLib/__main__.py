"""Run the command line with training's commands: ``python -m DLCTPMTrainingLib COMMAND …``, as Slicer does."""

from DLCTPMLib.cli.main import run_program
from DLCTPMTrainingLib.cli.main import main

if __name__ == "__main__":
    run_program(main)
