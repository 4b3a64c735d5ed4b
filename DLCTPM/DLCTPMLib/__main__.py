"""Run the command line as a module: ``python -m DLCTPMLib COMMAND …`` is how Slicer's Python starts it."""

from DLCTPMLib.cli.main import run_program

if __name__ == "__main__":
    run_program()
