"""A stand-in for the Slicer application around the real MRML scene of ``slicer-core``. See ../README.md."""
