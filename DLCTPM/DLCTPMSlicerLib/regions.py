"""The region table at any threshold, by the engine's own function on the nodes' voxels.

A map is gone through once, in a thread (seconds for a large CT); after that every threshold is answered at once.
"""

from __future__ import annotations

import threading

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from DLCTPMSlicerLib.lung_nodes import REGION_TAG, regionArray
from DLCTPMSlicerLib.node_files import exactly, ijkToWorld

SAME_GRID = 1e-6
"""Largest difference of two grids' matrices (mm) that still counts as none."""


class RegionMeasure:
    """The regions of a map and the lungs made with it.

    ``start`` begins in a thread, ``ready`` tells when it is through, ``wait`` waits; then ``table`` answers.
    """

    def __init__(self, perfusion: slicer.vtkMRMLScalarVolumeNode, lungs: slicer.vtkMRMLSegmentationNode):
        self.state = stateOf(perfusion, lungs)
        self._values = slicer.util.arrayFromVolume(perfusion)
        self._toLps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijkToWorld(perfusion)
        self._layers = _layers(perfusion, lungs)
        self._measured, self._error = None, None
        self._thread = threading.Thread(target=self._measure, daemon=True)

    def start(self) -> RegionMeasure:
        """Begin; nothing of the scene is touched from the thread."""
        self._thread.start()
        return self

    @property
    def ready(self) -> bool:
        """Whether ``table`` would answer at once."""
        return not self._thread.is_alive()

    def wait(self) -> RegionMeasure:
        """Wait until it is ready."""
        self._thread.join()
        return self

    def table(self, threshold: float) -> dict[str, dict]:
        """``DLCTPMLib.functional_regions.region_table`` at a threshold."""
        if self._error is not None:
            raise self._error
        return self._measured.table(threshold)

    def _measure(self) -> None:
        try:
            from DLCTPMLib.functional_regions import MeasuredRegions

            self._measured = MeasuredRegions(*self._images()).sort()
        except Exception as error:  # told where the table is asked for
            self._error = error
        self._values = self._layers = None

    def _images(self) -> tuple:
        """Map and CIP labels in the box of the lungs as SimpleITK images."""
        starts = np.min([start for start, _, _ in self._layers], axis=0)
        ends = np.max([start + labels.shape for start, labels, _ in self._layers], axis=0)
        regions = np.zeros(ends - starts, np.uint16)
        for start, labels, regionOf in self._layers:
            corner = start - starts
            part = regions[tuple(slice(c, c + n) for c, n in zip(corner, labels.shape, strict=True))]
            for k in range(len(labels)):  # slice by slice, so that the panel's own thread gets its turn
                found = regionOf[labels[k]]
                np.copyto(part[k], found, where=found > 0)
        box = tuple(slice(a, b) for a, b in zip(starts, ends, strict=True))
        return self._image(self._values[box], starts), self._image(regions, starts)

    def _image(self, voxels: np.ndarray, start: np.ndarray):
        import SimpleITK as sitk

        spacing = np.linalg.norm(self._toLps[:3, :3], axis=0)
        image = sitk.GetImageFromArray(voxels)
        image.SetSpacing([exactly(s) for s in spacing])
        image.SetOrigin([exactly(o) for o in (self._toLps @ [*start[::-1], 1.0])[:3]])
        image.SetDirection([exactly(d) for d in (self._toLps[:3, :3] / spacing).ravel()])
        return image


def stateOf(perfusion: slicer.vtkMRMLScalarVolumeNode, lungs: slicer.vtkMRMLSegmentationNode) -> tuple:
    """Changes when a measure of these nodes no longer holds."""
    return perfusion.GetID(), perfusion.GetImageData().GetMTime(), lungs.GetID(), lungs.GetSegmentation().GetMTime()


def regionTable(
    perfusion: slicer.vtkMRMLScalarVolumeNode, lungs: slicer.vtkMRMLSegmentationNode, threshold: float
) -> dict[str, dict]:
    """``DLCTPMLib.functional_regions.region_table`` of a map and the lungs made with it."""
    return RegionMeasure(perfusion, lungs).start().wait().table(threshold)


def _layers(perfusion, lungs) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The segmentation's label images where they lie on the map's grid: first voxel (k, j, i), labels, and the CIP
    region of every label; nothing is copied. A segmentation on another grid is brought over first."""
    segmentation = lungs.GetSegmentation()
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    layers = []
    for index in range(segmentation.GetNumberOfLayers(name)):
        image = segmentation.GetLayerDataObject(index, name)
        if not _onGrid(image, perfusion):
            regions = regionArray(lungs, perfusion)
            return [(np.zeros(3, int), regions, np.arange(regions.max() + 1, dtype=np.uint16))]
        first, last = np.array(image.GetExtent()).reshape(3, 2).T
        if (last < first).any():
            continue
        labels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape((last - first + 1)[::-1])
        regionOf = np.zeros(int(labels.max()) + 1, np.uint16)
        for segmentId in segmentation.GetSegmentIDsForLayer(index, name):
            segment, region = segmentation.GetSegment(segmentId), vtk.reference("0")
            segment.GetTag(REGION_TAG, region)
            if segment.GetLabelValue() < len(regionOf):
                regionOf[segment.GetLabelValue()] = int(str(region))
        layers.append((first[::-1], labels, regionOf))
    return layers or [(np.zeros(3, int), np.zeros((1, 1, 1), np.uint8), np.zeros(1, np.uint16))]


def _onGrid(image, perfusion) -> bool:
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    ofImage = slicer.util.arrayFromVTKMatrix(matrix)
    perfusion.GetIJKToRASMatrix(matrix)
    if np.abs(ofImage - slicer.util.arrayFromVTKMatrix(matrix)).max() > SAME_GRID:
        return False
    first, last = np.array(image.GetExtent()).reshape(3, 2).T
    size = np.array(perfusion.GetImageData().GetDimensions())
    return bool((first >= 0).all() and (last < size).all())
