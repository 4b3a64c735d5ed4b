"""The region table at any threshold, by the engine's own function on the nodes' voxels."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from DLCTPMSlicerLib.engine.command import engineEnvironment, pythonProgram
from DLCTPMSlicerLib.engine.process import EngineProcess, EngineResult, Outcome
from DLCTPMSlicerLib.engine.steps import Steps, runThrough
from DLCTPMSlicerLib.nodes.files import ijkToWorld, nrrdHeader
from DLCTPMSlicerLib.segments.lung_nodes import REGION_TAG, regionArray

SAME_GRID = 1e-6
"""Largest difference of two grids' matrices (mm) that still counts as none."""
LABELS = 1 << 16
TABLES = "tables.json"
MEASURE = """
import json, sys
from pathlib import Path
import SimpleITK as sitk
from DLCTPMLib.function.regions import MeasuredRegions
folder = Path(sys.argv[1])
images = [sitk.ReadImage(str(folder / f"{name}.nrrd")) for name in ("perfusion", "lungs")]
measured = MeasuredRegions(*images).sort()
thresholds = [step / 100 for step in range(1, 100)] + [float(sys.argv[2])]
(folder / "tables.json").write_text(json.dumps({repr(t): measured.table(t) for t in thresholds}))
"""
"""What the child process runs: a table for every step of the threshold slider, and one for another threshold."""


class RegionMeasure:
    """The regions of a map and the lungs made with it, at every step of the threshold slider and one threshold more.

    Nothing waits for it: map and labels are written in steps between the user's clicks, then a child process
    measures.

    Args:
        perfusion: the map.
        lungs: the lungs made with it.
        threshold: that need not be a step of the slider.
        ready: called once, when ``table`` can answer; not after ``cancel``.
    """

    def __init__(self, perfusion, lungs, threshold: float, ready: Callable[[], None]):
        self.state, self.threshold = stateOf(perfusion, lungs), threshold
        self.ready = False
        self._ready = ready
        self._tables: dict[str, dict] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="dlctpm-", dir=slicer.app.temporaryPath))
        self._writing = Steps(LungBox(perfusion, lungs).writeSteps(self._folder), self._written)
        self._process: EngineProcess | None = None

    def start(self) -> RegionMeasure:
        """Begin."""
        self._writing.start()
        return self

    def cancel(self) -> None:
        """Stop it: it is no longer wanted."""
        self._ready = lambda: None
        if self._process is not None:
            self._process.kill()
        self._end()

    def table(self, threshold: float) -> dict[str, dict] | None:
        """The region table at a threshold; None where it was not measured."""
        return self._tables.get(repr(threshold))

    def _written(self, done: Callable[[], None]) -> None:
        try:
            done()
        except OSError as error:
            logging.warning("Measuring the regions failed: %s", error)
            self._end()
            return
        command = [pythonProgram(), "-c", MEASURE, str(self._folder), repr(self.threshold)]
        self._process = EngineProcess(command, engineEnvironment(), onFinished=self._measured)
        self._process.start()

    def _measured(self, result: EngineResult) -> None:
        if result.outcome is Outcome.DONE:
            self._tables = json.loads((self._folder / TABLES).read_text(encoding="utf-8"))
        else:
            logging.warning("Measuring the regions failed: %s", result.details)
        self._end()

    def _end(self) -> None:
        """Files and voxels go; whoever waits is told."""
        self._writing.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        ready, self._ready = self._ready, lambda: None
        self.ready = True
        ready()


class LungBox:
    """A map and the CIP labels of its lungs, in the box of the lungs, without the scene."""

    def __init__(self, perfusion, lungs):
        self._values = slicer.util.arrayFromVolume(perfusion)
        self._toLps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijkToWorld(perfusion)
        self._layers = _layers(perfusion, lungs)
        self.first = np.min([start for start, _, _ in self._layers], axis=0)
        self._last = np.max([start + labels.shape for start, labels, _ in self._layers], axis=0)

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Where it lies in the map (k, j, i)."""
        return tuple(slice(a, b) for a, b in zip(self.first, self._last, strict=True))

    def regions(self) -> Iterator[np.ndarray]:
        """The CIP regions in the box, slice by slice (j, i), 0 outside the lungs."""
        for k in range(self.first[0], self._last[0]):
            regions = np.zeros(self._last[1:] - self.first[1:], np.uint16)
            for start, labels, regionOf in self._layers:
                if start[0] <= k < start[0] + len(labels):
                    found = regionOf[labels[k - start[0]]]
                    j, i = start[1:] - self.first[1:]
                    part = regions[j : j + found.shape[0], i : i + found.shape[1]]
                    np.copyto(part, found, where=found > 0)
            yield regions

    def write(self, folder: Path) -> None:
        """Write ``perfusion.nrrd`` and ``lungs.nrrd``."""
        runThrough(self.writeSteps(folder))

    def writeSteps(self, folder: Path) -> Generator[None, None, None]:
        """Write them slice by slice, one at each step."""
        yield from self._write(folder / "perfusion.nrrd", iter(self._values[self.box]), self._values.dtype)
        yield from self._write(folder / "lungs.nrrd", self.regions(), np.dtype(np.uint16))

    def _write(self, path: Path, slices: Iterator[np.ndarray], dtype: np.dtype) -> Generator[None, None, None]:
        origin = self._toLps @ [*self.first[::-1], 1.0]
        header = nrrdHeader((self._last - self.first)[::-1], dtype, np.c_[self._toLps[:, :3], origin])
        with path.open("wb") as file:
            file.write(header)
            for part in slices:
                file.write(np.ascontiguousarray(part, dtype.newbyteorder("<")).tobytes())
                yield


def stateOf(perfusion: slicer.vtkMRMLScalarVolumeNode, lungs: slicer.vtkMRMLSegmentationNode) -> tuple:
    """Changes when a measure of these nodes no longer holds."""
    return perfusion.GetID(), perfusion.GetImageData().GetMTime(), lungs.GetID(), lungs.GetSegmentation().GetMTime()


def regionTable(
    perfusion: slicer.vtkMRMLScalarVolumeNode, lungs: slicer.vtkMRMLSegmentationNode, threshold: float
) -> dict[str, dict]:
    """``DLCTPMLib.functional_regions.region_table`` of a map and the lungs made with it, worked out here and now."""
    import SimpleITK as sitk

    from DLCTPMLib.function.regions import region_table

    with tempfile.TemporaryDirectory(prefix="dlctpm-", dir=slicer.app.temporaryPath) as folder:
        LungBox(perfusion, lungs).write(Path(folder))
        images = [sitk.ReadImage(str(Path(folder) / name)) for name in ("perfusion.nrrd", "lungs.nrrd")]
    return region_table(*images, threshold)


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
        regionOf = np.zeros(LABELS, np.uint16)
        for segmentId in segmentation.GetSegmentIDsForLayer(index, name):
            segment, region = segmentation.GetSegment(segmentId), vtk.reference("0")
            segment.GetTag(REGION_TAG, region)
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
