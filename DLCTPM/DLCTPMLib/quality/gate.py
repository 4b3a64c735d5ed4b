"""What a FAIL among the checks leads to: the command ends, or goes on when it is forced and marks what it makes."""

from __future__ import annotations

from collections.abc import Sequence

from DLCTPMLib.common.errors import FailedChecksError
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.quality.checks import check_input
from DLCTPMLib.quality.chest import FAIL
from DLCTPMLib.volumes.reading import Scan

FORCED_KEY = "DLCTPM_Forced"
"""Key in the header of every image that was made against a FAIL."""


def passed_checks(
    ct: Scan, lungs: UprightLungs, bundle_metadata: dict | None = None, *, force: bool, task: str
) -> list[dict]:
    """Check a CT and its lungs, and stop where a check FAILs and nobody forces the result.

    Args:
        ct: as read.
        lungs: of that CT.
        bundle_metadata: of the model, where one is to be used (``check_input``).
        force: go on past a FAIL.
        task: what would be done all the same with ``--force``, such as "map it".

    Returns:
        what was found (``check_input``).

    Raises:
        FailedChecksError: a check FAILs, and nobody forces the result.
    """
    quality = check_input(ct.image, lungs, bundle_metadata, ct.description.get("dicom"))
    failed = failures(quality)
    if failed and not force:
        sentences = [check["message"] for check in failed]
        raise FailedChecksError(
            f"{ct.path}: {' '.join(sentences)} Correct that, or {task} all the same with --force.", sentences
        )
    return quality


def failures(quality: Sequence[dict]) -> list[dict]:
    """Those of the checks by which a result cannot be right."""
    return [check for check in quality if check["status"] == FAIL]


def forced_notes(quality: Sequence[dict]) -> dict[str, str]:
    """What the header of an image says that was forced; empty where no check FAILs.

    Header texts are ASCII: the checks are named, their sentences are in ``result.json`` or on the terminal.
    """
    failed = ", ".join(check["check"] for check in failures(quality))
    return {FORCED_KEY: f"input checks FAILED, this cannot be right: {failed}"} if failed else {}
