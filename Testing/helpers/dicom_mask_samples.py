"""Lungs as DICOM structure sets and segmentations, drawn on an upright grid, as tests need them."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from dicom_samples import header
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from DLCTPMLib.volumes.dicom.rtstruct import STRUCTURE_SET

FRAME = generate_uid()


def rectangle(mask_slice: np.ndarray, z: int, grid: sitk.Image) -> np.ndarray:
    """The outline of a box of pixels, at pixel edges, as LPS points."""
    rows, columns = np.flatnonzero(mask_slice.any(axis=1)), np.flatnonzero(mask_slice.any(axis=0))
    y, x = (rows[0] - 0.5, rows[-1] + 0.5), (columns[0] - 0.5, columns[-1] + 0.5)
    corners = np.array([(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)])
    return corners * grid.GetSpacing() + grid.GetOrigin()


def contours_of(mask: np.ndarray, grid: sitk.Image, every: int = 1) -> list[np.ndarray]:
    """The outlines of a box, on every slice or every so many."""
    return [rectangle(mask[z], z, grid) for z in np.flatnonzero(mask.any(axis=(1, 2)))[::every]]


def write_structures(path: Path, structures: dict[str, list[np.ndarray]], frame: str = FRAME) -> Path:
    """A structure set of structures by their names, each of its contours."""
    dataset = header(STRUCTURE_SET, "RTSTRUCT")
    rois, drawn = [], []
    for number, (name, contours) in enumerate(structures.items(), 1):
        roi, item = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, frame
        item.ReferencedROINumber = number
        item.ContourSequence = Sequence([])
        for points in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
            contour.ContourData = [round(float(v), 3) for v in np.ravel(points)]
            item.ContourSequence.append(contour)
        rois.append(roi)
        drawn.append(item)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = Sequence(rois), Sequence(drawn)
    dataset.save_as(path, enforce_file_format=True)
    return path


def code(value: str, meaning: str) -> Dataset:
    """A SNOMED CT code as DICOM holds it."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


SIDES = {"right": code("24028007", "Right"), "left": code("7771000", "Left")}


def write_seg(path: Path, grid: sitk.Image, segments: list[tuple], fractional: bool = False) -> Path:
    """A segmentation of (label, side code or None, mask), frames without voxels left out, shuffled."""
    dataset = header("1.2.840.10008.5.1.4.1.1.66.4", "SEG", FrameOfReferenceUID=FRAME)
    dataset.SegmentationType = "FRACTIONAL" if fractional else "BINARY"
    dataset.MaximumFractionalValue = 200
    bits = 8 if fractional else 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.Columns, dataset.Rows, _ = grid.GetSize()
    x_mm, y_mm, z_mm = grid.GetSpacing()
    items, frames, pixels = [], [], []
    for number, (label, side, mask) in enumerate(segments, 1):
        item = Dataset()
        item.SegmentNumber, item.SegmentLabel = number, label
        if side:
            kind = code("39607008", "Lung")
            kind.SegmentedPropertyTypeModifierCodeSequence = Sequence([SIDES[side]])
            item.SegmentedPropertyTypeCodeSequence = Sequence([kind])
        items.append(item)
        for z in np.flatnonzero(mask.any(axis=(1, 2))):
            frame, place, reference = Dataset(), Dataset(), Dataset()
            place.ImagePositionPatient = list(grid.TransformIndexToPhysicalPoint((0, 0, int(z))))
            reference.ReferencedSegmentNumber = number
            frame.PlanePositionSequence, frame.SegmentIdentificationSequence = (
                Sequence([place]),
                Sequence([reference]),
            )
            frames.append(frame)
            pixels.append(mask[z])
    shared, plane, measures = Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SpacingBetweenSlices = [y_mm, x_mm], z_mm
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([plane]), Sequence([measures])
    places = np.random.default_rng(0).permutation(len(frames))
    dataset.SegmentSequence = Sequence(items)
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence([frames[i] for i in places])
    dataset.NumberOfFrames = len(frames)
    stored = np.array(pixels)[places]
    content = (stored * np.uint8(200)).tobytes() if fractional else np.packbits(stored, bitorder="little").tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)
    return path
