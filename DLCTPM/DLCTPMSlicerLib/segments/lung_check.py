"""Whether what another program calls lungs can be used, before a prediction relies on it."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

from DLCTPMSlicerLib.engine.errors import NodeError

LEAST_LITRES, MOST_LITRES = 0.3, 12.0
"""Lungs in a chest CT lie well within; what does not is worth a second look, not a refusal."""


def lungVolume(lungs) -> float:
    """Litres of lung in a segmentation or label map.

    Raises:
        NodeError: it holds no lung.
    """
    litres = _ofSegmentation(lungs) if lungs.IsA("vtkMRMLSegmentationNode") else _ofLabels(lungs)
    if litres == 0:
        raise NodeError(
            _(
                "{name} holds no lung; choose another source, or name its segments “right lung” and “left lung”."
            ).format(name=lungs.GetName())
        )
    return litres


def lungSentence(litres: float) -> str:
    """What to say of lungs of this size."""
    if LEAST_LITRES <= litres <= MOST_LITRES:
        return _("Lungs found: {litres} l.").format(litres=f"{litres:.1f}")
    return _("Lungs found, but of an unlikely size: {litres} l.").format(litres=f"{litres:.1f}")


def _ofLabels(labels) -> float:
    from DLCTPMLib.labels.chest_regions import LUNG

    if labels.GetImageData() is None:
        return 0.0
    values = slicer.util.arrayFromVolume(labels)
    present = np.unique(values)
    lung = present[np.isin(present & 255, [int(region) for region in LUNG])]
    return float(np.isin(values, lung).sum() * _voxelMl(labels) / 1000)


def _ofSegmentation(node) -> float:
    """The segments that are lung by terminology, id or name, as the engine tells them."""
    from DLCTPMLib.labels.seg_nrrd import Segment, terminology_of
    from DLCTPMLib.labels.segments import segment_region

    litres = 0.0
    segmentation = node.GetSegmentation()
    for segmentId in segmentation.GetSegmentIDs():
        segment, entry = segmentation.GetSegment(segmentId), vtk.reference("")
        tag = segment.GetTerminologyEntryTagName()
        segment.GetTag(tag, entry)
        known = Segment(segmentId, segment.GetName(), 1, (0.0, 0.0, 0.0), terminology_of(f"{tag}:{entry}"))
        region = segment_region(known)
        if region is None or region.name == "TRACHEA":
            continue
        image = slicer.vtkOrientedImageData()
        if node.GetBinaryLabelmapRepresentation(segmentId, image) and image.GetNumberOfPoints():
            voxels = vtk_to_numpy(image.GetPointData().GetScalars())
            litres += float(np.count_nonzero(voxels) * _voxelMl(image) / 1000)
    return litres


def _voxelMl(image) -> float:
    """Volume of a voxel by the determinant of its axes: they need not be at right angles in the scene."""
    toWorld = vtk.vtkMatrix4x4()
    read = getattr(image, "GetIJKToRASMatrix", None) or image.GetImageToWorldMatrix
    read(toWorld)
    return abs(toWorld.Determinant()) / 1000
