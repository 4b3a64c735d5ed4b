"""Segments made of label images without Slicer's import, and the coarse surfaces that the 3D view shows."""

import numpy as np
import pytest

TILT = 0.3
"""Radians that the grid is turned about the patient's left-right axis."""


@pytest.fixture
def chest_labels(slicer_app):
    """CIP labels of two ellipsoids on an oblique grid, 60 × 80 × 50 voxels of 2 × 1.5 × 3 mm; airways inside."""
    import slicer

    k, j, i = np.ogrid[:50, :80, :60]
    right = ((k - 25) / 20) ** 2 + ((j - 40) / 30) ** 2 + ((i - 16) / 12) ** 2 < 1
    left = ((k - 25) / 20) ** 2 + ((j - 40) / 30) ** 2 + ((i - 44) / 11) ** 2 < 1
    labels = np.where(right, 2, np.where(left, 3, 0)).astype(np.uint16)
    labels[24:26, 38:42][right[24:26, 38:42]] += 2 << 8  # type airway, region right lung
    labels[4:8, 8:11, 28:31] = 58  # a trachea, which is not lung
    c, s = np.cos(TILT), np.sin(TILT)
    axes = np.array([[-1, 0, 0], [0, -c, s], [0, s, c]]) @ np.diag([2.0, 1.5, 3.0])
    toRas = np.eye(4)
    toRas[:3, :3], toRas[:3, 3] = axes, (70, 90, -1200)
    return slicer.util.addVolumeFromArray(labels, toRas, "labels", "vtkMRMLLabelMapVolumeNode")


@pytest.fixture
def chest_lungs(chest_labels):
    """Their segmentation."""
    from DLCTPMSlicerLib.segments.lung_nodes import lungsFromLabels

    return lungsFromLabels(chest_labels, "lungs", chest_labels)


def test_segments_are_those_of_slicers_own_import(chest_labels, chest_lungs):
    import slicer

    values = slicer.util.arrayFromVolume(chest_labels)
    plain = slicer.util.addVolumeFromArray(
        np.where((values & 255) == 58, 0, values & 255).astype(np.uint8),
        slicer.util.arrayFromVTKMatrix(_toRas(chest_labels)),
        "plain",
        "vtkMRMLLabelMapVolumeNode",
    )
    imported = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(plain, imported)
    ids = list(imported.GetSegmentation().GetSegmentIDs())
    assert list(chest_lungs.GetSegmentation().GetSegmentIDs()) == ["right-lung", "left-lung"]
    for ours, theirs in zip(["right-lung", "left-lung"], ids, strict=True):
        one = slicer.util.arrayFromSegmentBinaryLabelmap(chest_lungs, ours, chest_labels)
        np.testing.assert_array_equal(one, slicer.util.arrayFromSegmentBinaryLabelmap(imported, theirs, chest_labels))
        assert one.any()
    assert chest_lungs.GetSegmentation().GetNumberOfLayers() == 1


def _toRas(volume):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix


def test_lungs_without_a_voxel_are_a_segmentation_without_segments(slicer_app):
    import slicer

    from DLCTPMSlicerLib.segments.lung_nodes import lungsFromLabels

    empty = slicer.util.addVolumeFromArray(np.zeros((4, 5, 6), np.uint16), None, "empty", "vtkMRMLLabelMapVolumeNode")
    assert lungsFromLabels(empty, "lungs", empty).GetSegmentation().GetNumberOfSegments() == 0


def test_coarse_surfaces_lie_on_the_segments_and_enclose_their_volume(chest_labels, chest_lungs):
    """Against the label image itself: volume within 3 %, bounds within two voxels of the surfaces' grid."""
    import slicer
    import vtk

    from DLCTPMSlicerLib.segments.surfaces import SURFACE_MM, makeSurfaces

    makeSurfaces(chest_lungs)
    values = slicer.util.arrayFromVolume(chest_labels)
    toRas = slicer.util.arrayFromVTKMatrix(_toRas(chest_labels))
    for region, segmentId in ((2, "right-lung"), (3, "left-lung")):
        surface = vtk.vtkPolyData()
        assert chest_lungs.GetClosedSurfaceRepresentation(segmentId, surface)
        kji = np.argwhere((values & 255) == region)
        ras = np.c_[kji[:, ::-1], np.ones(len(kji))] @ toRas.T
        bounds = np.array(surface.GetBounds()).reshape(3, 2)
        np.testing.assert_allclose(bounds[:, 0], ras[:, :3].min(axis=0), atol=2 * SURFACE_MM)
        np.testing.assert_allclose(bounds[:, 1], ras[:, :3].max(axis=0), atol=2 * SURFACE_MM)
        triangles, mass = vtk.vtkTriangleFilter(), vtk.vtkMassProperties()
        triangles.SetInputData(surface)
        mass.SetInputConnection(triangles.GetOutputPort())
        assert mass.GetVolume() == pytest.approx(len(kji) * 2.0 * 1.5 * 3.0, rel=0.03)


def test_the_3d_view_shows_coarse_surfaces(views, chest_lungs):
    from DLCTPMSlicerLib.nodes.display import showLungs3D

    view = views.threeDWidget(0).threeDView()
    empty = view.picture().astype(int)
    showLungs3D(chest_lungs)
    views.resetThreeDViews()
    assert (np.abs(view.picture().astype(int) - empty).max(axis=2) > 30).sum() > 1000


def test_an_edited_segment_gets_slicers_own_surface(chest_labels, chest_lungs):
    """Editing replaces the coarse surface: nothing stale stays in the 3D view."""
    import slicer
    import vtk

    from DLCTPMSlicerLib.segments.surfaces import makeSurfaces

    makeSurfaces(chest_lungs)
    before = vtk.vtkPolyData()
    chest_lungs.GetClosedSurfaceRepresentation("left-lung", before)
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(chest_lungs, "left-lung", chest_labels)
    mask[25:] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, chest_lungs, "left-lung", chest_labels)
    chest_lungs.CreateClosedSurfaceRepresentation()
    after = vtk.vtkPolyData()
    chest_lungs.GetClosedSurfaceRepresentation("left-lung", after)
    heights = [surface.GetBounds()[5] - surface.GetBounds()[4] for surface in (before, after)]
    assert heights[1] < 0.8 * heights[0]


def test_surfaces_of_an_empty_segmentation_do_no_harm(slicer_app):
    import slicer

    from DLCTPMSlicerLib.segments.surfaces import makeSurfaces

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    makeSurfaces(node)
    node.GetSegmentation().AddEmptySegment("empty")
    makeSurfaces(node)
    surface = node.GetSegmentation().GetSegment("empty").GetRepresentation("Closed surface")
    assert surface.GetNumberOfPoints() == 0


def test_contours_say_that_the_lungs_are_gone(slicer_app, logic):
    import slicer

    from DLCTPMSlicerLib.engine.errors import NodeError

    perfusion = slicer.util.addVolumeFromArray(np.ones((4, 5, 6), np.float32), name="map")
    with pytest.raises(NodeError, match="lungs of map are not in the scene"):
        logic.createFunctionalSegmentation(perfusion)
