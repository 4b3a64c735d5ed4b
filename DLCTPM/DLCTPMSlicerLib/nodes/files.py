"""MRML nodes to the files that the engine reads, and its files to nodes, without touching the nodes' own storage."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.errors import NodeError

MOST_DIGITS, INVERSION_STEPS = 12, 8
PIECE_BYTES = 1 << 22
NRRD_TYPES = {
    "int8": "int8",
    "uint8": "uint8",
    "int16": "int16",
    "uint16": "uint16",
    "int32": "int32",
    "uint32": "uint32",
    "int64": "int64",
    "uint64": "uint64",
    "float32": "float",
    "float64": "double",
}


def exactly(number: float) -> float:
    """A number of a node's geometry without the last digits that MRML's matrix inversions add.

    Slicer makes 6.000000000000001 of a spacing of 6: the shortest decimal within a few of the smallest steps of a
    float gives back what the file had, so that the engine computes in Slicer what it computes on the file. A number
    with no short decimal near it stays as it is.
    """
    for digits in range(1, MOST_DIGITS + 1):
        short = float(f"{number:.{digits}g}")
        if abs(short - number) <= INVERSION_STEPS * math.ulp(number):
            return short
    return number


def writeVolume(
    volume: slicer.vtkMRMLScalarVolumeNode, path: Path, voxels: np.ndarray | None = None
) -> Generator[None, None, Path]:
    """Write a volume as NRRD as it lies in the world (a linear transform above it is applied to its axes).

    Args:
        volume: gives the grid, and the voxels unless there are others.
        path: the file, which is returned.
        voxels: (k, j, i) in place of the volume's own.

    Yields:
        where the user may have a turn, after every few slices (``engine.steps``).

    Raises:
        NodeError: it has no voxels, is warped by a non-linear transform, or cannot be written.
    """
    if volume.GetImageData() is None or volume.GetImageData().GetNumberOfPoints() == 0:
        raise NodeError(_("{name} has no voxels; load it again.").format(name=volume.GetName()))
    voxels = np.ascontiguousarray(slicer.util.arrayFromVolume(volume) if voxels is None else voxels)
    if voxels.ndim != 3 or voxels.dtype.name not in NRRD_TYPES:
        raise NodeError(_("{name} is not a plain scalar volume.").format(name=volume.GetName()))
    toLps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijkToWorld(volume)
    try:
        with path.open("wb") as file:
            file.write(nrrdHeader(voxels.shape[::-1], voxels.dtype, toLps))
            for part in _pieces(voxels):
                part.astype(part.dtype.newbyteorder("<"), copy=False).tofile(file)
                yield
    except OSError as error:
        raise NodeError(_("{path} cannot be written: {reason}.").format(path=path, reason=error.strerror)) from error
    return path


def _pieces(voxels: np.ndarray) -> Iterator[np.ndarray]:
    """Voxels in runs of slices of about ``PIECE_BYTES``."""
    slices = max(1, PIECE_BYTES // max(1, voxels[:1].nbytes))
    for first in range(0, len(voxels), slices):
        yield voxels[first : first + slices]


def nrrdHeader(size, dtype: np.dtype, toLps: np.ndarray) -> bytes:
    """The header of a raw little-endian NRRD file of (i, j, k) voxels; ``toLps`` is 4×4, voxel indices to LPS mm."""
    axes = [[exactly(part) for part in toLps[:3, axis].tolist()] for axis in range(4)]
    header = [
        "NRRD0004",
        f"type: {NRRD_TYPES[dtype.name]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {size[0]} {size[1]} {size[2]}",
        "space directions: " + " ".join(_vector(axis) for axis in axes[:3]),
        "kinds: domain domain domain",
        "endian: little",
        "encoding: raw",
        f"space origin: {_vector(axes[3])}",
    ]
    return ("\n".join(header) + "\n\n").encode("ascii")


def ijkToWorld(volume: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    """The 4×4 matrix from voxel indices (i, j, k) to world RAS, with the linear transform above the volume.

    Raises:
        NodeError: the transform is not linear.
    """
    matrix, toWorld = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    transform = volume.GetParentTransformNode()
    if transform is not None:
        if not transform.IsTransformToWorldLinear():
            raise NodeError(
                _("{name} is warped by a transform; harden it first (Transforms module).").format(
                    name=volume.GetName()
                )
            )
        transform.GetMatrixTransformToWorld(toWorld)
    return slicer.util.arrayFromVTKMatrix(toWorld) @ slicer.util.arrayFromVTKMatrix(matrix)


def _vector(numbers) -> str:
    return "(" + ",".join(repr(number) for number in numbers) + ")"


def writeSegmentation(segmentation: slicer.vtkMRMLSegmentationNode, path: Path) -> Path:
    """Write a segmentation as ``.seg.nrrd``.

    Raises:
        NodeError: it is empty, lies under a transform, or cannot be written.
    """
    if segmentation.GetParentTransformNode() is not None:
        raise NodeError(
            _("{name} lies under a transform; harden it first (Transforms module).").format(
                name=segmentation.GetName()
            )
        )
    if segmentation.GetSegmentation().GetNumberOfSegments() == 0:
        raise NodeError(_("{name} has no segments; segment the lungs first.").format(name=segmentation.GetName()))
    _write(slicer.vtkMRMLSegmentationStorageNode(), segmentation, path)
    return path


def writeTransform(transform: slicer.vtkMRMLTransformNode, path: Path) -> Path:
    """Write a transform as ITK's ``.tfm``: it maps points of the fixed image to points of the moving one.

    A transform that moves the SPECT onto the CT in Slicer becomes, in the file, the one that resampling needs.

    Raises:
        NodeError: it is not linear, or cannot be written.
    """
    if not transform.IsTransformToWorldLinear():
        raise NodeError(
            _("{name} is not linear; the engine takes rigid and affine transforms.").format(name=transform.GetName())
        )
    _write(slicer.vtkMRMLTransformStorageNode(), transform, path)
    return path


def readVolume(path: Path, name: str, nodeClass: str = "vtkMRMLScalarVolumeNode"):
    """A new node in the scene with the image of a file; the file may go afterwards.

    Raises:
        NodeError: the file cannot be read.
    """
    node = looseVolume(path, nodeClass)
    node.SetName(name)
    return slicer.mrmlScene.AddNode(node)


def looseVolume(path: Path, nodeClass: str = "vtkMRMLScalarVolumeNode"):
    """A new node with the image of a file, not in the scene yet; the file may go afterwards.

    Raises:
        NodeError: the file cannot be read.
    """
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetSingleFile(True)
    return _read(storage, getattr(slicer, nodeClass)(), path)


def readTransform(path: Path, name: str) -> slicer.vtkMRMLTransformNode:
    """A new linear transform node from a ``.tfm`` file.

    Raises:
        NodeError: the file cannot be read.
    """
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    return _read(slicer.vtkMRMLTransformStorageNode(), node, path)


def isInScene(node: slicer.vtkMRMLNode | None) -> bool:
    """Whether the node is still there (the user may remove it while the engine runs)."""
    return node is not None and node.GetScene() is not None and slicer.mrmlScene.IsNodePresent(node) > 0


def removeNode(node: slicer.vtkMRMLNode) -> None:
    """Remove a node with its display and storage nodes, which the scene would keep."""
    companions = []
    if node.IsA("vtkMRMLDisplayableNode"):
        companions += [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    if node.IsA("vtkMRMLStorableNode"):
        companions += [node.GetNthStorageNode(index) for index in range(node.GetNumberOfStorageNodes())]
    slicer.mrmlScene.RemoveNode(node)
    for companion in companions:
        if isInScene(companion):
            slicer.mrmlScene.RemoveNode(companion)


def _write(storage: slicer.vtkMRMLStorageNode, node: slicer.vtkMRMLNode, path: Path) -> None:
    storage.SetFileName(str(path))
    storage.SetUseCompression(False)
    if not storage.WriteData(node):
        raise NodeError(
            _("{name} cannot be written to {path}; is the disk full?").format(name=node.GetName(), path=path)
        )


def _read(storage: slicer.vtkMRMLStorageNode, node: slicer.vtkMRMLNode, path: Path):
    storage.SetFileName(str(path))
    if not storage.ReadData(node):
        if node.GetScene() is not None:
            slicer.mrmlScene.RemoveNode(node)
        raise NodeError(_("{path} cannot be read.").format(path=path))
    return node
