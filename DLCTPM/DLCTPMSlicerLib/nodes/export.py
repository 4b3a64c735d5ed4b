"""Writes everything of a prediction into a folder, as the command line would."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import numpy as np
import slicer
import slicer.util
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.nodes.comparison import OUTSIDE
from DLCTPMSlicerLib.nodes.files import writeSegmentation, writeVolume
from DLCTPMSlicerLib.nodes.roles import (
    DIFFERENCE_ROLE,
    DOSE_REPORT_ROLE,
    DOSE_ROLE,
    HISTOGRAM_ROLE,
    LUNGS_ROLE,
    METRICS_ROLE,
    ON_SPECT_ROLE,
    RELATIVE_ROLE,
    REPORT_ROLE,
    TABLE_ROLE,
    partOf,
    resultOf,
)

COMPARED = (
    (RELATIVE_ROLE, "spect_relative.nrrd"),
    (ON_SPECT_ROLE, "perfusion_on_spect.nrrd"),
    (DIFFERENCE_ROLE, "difference_on_spect.nrrd"),
)


def exportReport(
    perfusion: slicer.vtkMRMLScalarVolumeNode, folder: Path, function=None
) -> Generator[None, None, list[Path]]:
    """Write report, map, lungs, functional regions and tables of a prediction, in steps (``engine.steps``).

    Args:
        perfusion: a map made by this module.
        folder: made if it is not there.
        function: the segmentation of high- and low-functional lung, if there is one.

    Returns:
        the files written.

    Raises:
        NodeError: the volume is not such a map, or the folder cannot be written.
    """
    result = resultOf(perfusion)
    if not result:
        raise NodeError(_("{name} was not made by this module; predict first.").format(name=perfusion.GetName()))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / "result.json"]
        files[0].write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for role, name in ((REPORT_ROLE, "report.html"), (DOSE_REPORT_ROLE, "dose.html")):
            page = partOf(perfusion, role)
            if page is not None:
                files.append(folder / name)
                files[-1].write_text(page.GetText(), encoding="utf-8")
    except OSError as error:
        raise NodeError(
            _("{folder} cannot be written: {reason}.").format(folder=folder, reason=error.strerror)
        ) from error
    files.append((yield from writeVolume(perfusion, folder / "perfusion.nrrd")))
    for role, name in COMPARED:
        volume = partOf(perfusion, role)
        if volume is not None:
            voxels = slicer.util.arrayFromVolume(volume)
            voxels = np.where(voxels == OUTSIDE, 0, voxels)
            files.append((yield from writeVolume(volume, folder / name, voxels)))
    for node, name in ((partOf(perfusion, LUNGS_ROLE), "lungs.seg.nrrd"), (function, "function.seg.nrrd")):
        if node is not None:
            files.append(writeSegmentation(node, folder / name))
            yield
    for role, name in (
        (TABLE_ROLE, "regions.csv"),
        (METRICS_ROLE, "agreement.csv"),
        (HISTOGRAM_ROLE, "joint_histogram.csv"),
        (DOSE_ROLE, "dose.csv"),
    ):
        table = partOf(perfusion, role)
        if table is not None:
            files.append(_writeTable(table, folder / name))
    return files


def _writeTable(table: slicer.vtkMRMLTableNode, path: Path) -> Path:
    storage = slicer.vtkMRMLTableStorageNode()
    storage.SetFileName(str(path))
    if not storage.WriteData(table):
        raise NodeError(_("{path} cannot be written.").format(path=path))
    return path
