"""The lungs of a CT from the mask that was given with it, else found in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from DLCTPMLib.common.errors import InputError, naming
from DLCTPMLib.common.progress import Progress

if TYPE_CHECKING:
    from DLCTPMLib.lungs.masks import Lungs
    from DLCTPMLib.volumes.reading import Scan


def lungs_of(
    ct: Scan, path: str | None, progress: Progress, values: str | None = None, orientation: str | None = None
) -> Lungs:
    """The lungs from a mask file, or found in the CT where there is none.

    ``values`` says what the values of a label map mean and ``orientation`` how it lies, as for ``read_lungs``.

    Raises:
        InputError: ``values`` were said of no mask; as ``read_lungs`` and ``segment_lungs``.
    """
    from DLCTPMLib.lungs.masks import AUTO, read_lungs
    from DLCTPMLib.lungs.segmentation import segment_lungs

    if path is None:
        if values is not None:
            raise InputError("--lungs-values: goes with --lungs; give both, or neither")
        with naming(ct.path):
            return segment_lungs(ct.image, progress=lambda _, fraction: progress("Finding the lungs", fraction))
    progress("Reading the lungs", 0.0)
    return read_lungs(
        path, ct.image, values or AUTO, orientation=orientation, frame_of_reference=ct.frame_of_reference
    )
