"""The region table at any threshold, by the engine's own function on the nodes' voxels."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util

from DLCTPMSlicerLib.lung_nodes import regionArray
from DLCTPMSlicerLib.node_files import exactly, ijkToWorld


def regionTable(
    perfusion: slicer.vtkMRMLScalarVolumeNode, lungs: slicer.vtkMRMLSegmentationNode, threshold: float
) -> dict[str, dict]:
    """``DLCTPMLib.functional_regions.region_table`` of a map and the lungs made with it."""
    from DLCTPMLib.functional_regions import region_table

    return region_table(_image(perfusion), _image(perfusion, regionArray(lungs, perfusion)), threshold)


def _image(volume: slicer.vtkMRMLScalarVolumeNode, voxels: np.ndarray | None = None):
    """A SimpleITK image on a volume's grid (LPS), with its own voxels or others."""
    import SimpleITK as sitk

    toLps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijkToWorld(volume)
    spacing = np.linalg.norm(toLps[:3, :3], axis=0)
    image = sitk.GetImageFromArray(slicer.util.arrayFromVolume(volume) if voxels is None else voxels)
    image.SetSpacing([exactly(s) for s in spacing])
    image.SetOrigin([exactly(o) for o in toLps[:3, 3]])
    image.SetDirection([exactly(d) for d in (toLps[:3, :3] / spacing).ravel()])
    return image
