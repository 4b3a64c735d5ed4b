"""MRML nodes to the files that the engine reads, and its files to nodes, without touching the nodes' own storage."""

from __future__ import annotations

from pathlib import Path

import slicer
import vtk


class NodeError(ValueError):
    """A node cannot be used; the message is a sentence for the user that says what to do."""


def writeVolume(volume: slicer.vtkMRMLScalarVolumeNode, path: Path) -> Path:
    """Write a volume as it lies in the world (a linear transform above it is applied to its axes).

    Raises:
        NodeError: it has no voxels, is warped by a non-linear transform, or cannot be written.
    """
    if volume.GetImageData() is None or volume.GetImageData().GetNumberOfPoints() == 0:
        raise NodeError(f"{volume.GetName()} has no voxels; load it again.")
    stray = _inWorld(volume)
    _write(slicer.vtkMRMLVolumeArchetypeStorageNode(), stray, path)
    return path


def writeSegmentation(segmentation: slicer.vtkMRMLSegmentationNode, path: Path) -> Path:
    """Write a segmentation as ``.seg.nrrd``.

    Raises:
        NodeError: it is empty, lies under a transform, or cannot be written.
    """
    if segmentation.GetParentTransformNode() is not None:
        raise NodeError(f"{segmentation.GetName()} lies under a transform; harden it first (Transforms module).")
    if segmentation.GetSegmentation().GetNumberOfSegments() == 0:
        raise NodeError(f"{segmentation.GetName()} has no segments; segment the lungs first.")
    _write(slicer.vtkMRMLSegmentationStorageNode(), segmentation, path)
    return path


def writeTransform(transform: slicer.vtkMRMLTransformNode, path: Path) -> Path:
    """Write a transform as ITK's ``.tfm``: it maps points of the fixed image to points of the moving one.

    A transform that moves the SPECT onto the CT in Slicer becomes, in the file, the one that resampling needs.

    Raises:
        NodeError: it is not linear, or cannot be written.
    """
    if not transform.IsTransformToWorldLinear():
        raise NodeError(f"{transform.GetName()} is not linear; the engine takes rigid and affine transforms.")
    _write(slicer.vtkMRMLTransformStorageNode(), transform, path)
    return path


def readVolume(path: Path, name: str, nodeClass: str = "vtkMRMLScalarVolumeNode"):
    """A new node in the scene with the image of a file; the file may go afterwards.

    Raises:
        NodeError: the file cannot be read.
    """
    node = slicer.mrmlScene.AddNewNodeByClass(nodeClass, name)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetSingleFile(True)
    return _read(storage, node, path)


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


def _inWorld(volume: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLScalarVolumeNode:
    """The volume itself, or an unsaved twin with its transform in its axes; voxels are shared."""
    transform = volume.GetParentTransformNode()
    if transform is None:
        return volume
    if not transform.IsTransformToWorldLinear():
        raise NodeError(f"{volume.GetName()} is warped by a transform; harden it first (Transforms module).")
    toWorld, ijkToRas = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(toWorld)
    volume.GetIJKToRASMatrix(ijkToRas)
    vtk.vtkMatrix4x4.Multiply4x4(toWorld, ijkToRas, ijkToRas)
    twin = slicer.vtkMRMLScalarVolumeNode()
    twin.SetAndObserveImageData(volume.GetImageData())
    twin.SetIJKToRASMatrix(ijkToRas)
    return twin


def _write(storage: slicer.vtkMRMLStorageNode, node: slicer.vtkMRMLNode, path: Path) -> None:
    storage.SetFileName(str(path))
    storage.SetUseCompression(False)
    if not storage.WriteData(node):
        raise NodeError(f"{node.GetName()} cannot be written to {path}; is the disk full?")


def _read(storage: slicer.vtkMRMLStorageNode, node: slicer.vtkMRMLNode, path: Path):
    storage.SetFileName(str(path))
    if not storage.ReadData(node):
        slicer.mrmlScene.RemoveNode(node)
        raise NodeError(f"{path} cannot be read.")
    return node
