"""Stands in for ``PythonSlicer``: starts the real Python with its own pipes, and dies at once when told to end."""

import subprocess
import sys

if __name__ == "__main__":
    sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))
