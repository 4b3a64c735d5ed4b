"""Run the command line as a module: ``python -m DLCTPMLib COMMAND …`` is how Slicer's Python starts it."""

import sys

from DLCTPMLib.commands import main

if __name__ == "__main__":
    sys.exit(main())
