"""The perfusion map as a DICOM Parametric Map of floats on a grid of its own, which holds all that a map has.

The recipe is one that every reader tried gives back where it was: frames ascend along row × column, since dcmqi (and
Slicer through it) puts frame k into slice k without looking at positions, and highdicom ≥ 0.28 sorts them the other
way round; the anatomy stands in the shared groups, without which dcmqi reads nothing.
"""

from __future__ import annotations

import highdicom as hd
import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.sr.codedict import Code as SrCode

from DLCTPMLib.agreement.spect_grid import SpectGrid
from DLCTPMLib.dicom_export.facts import Facts, coded, equipment, finish, general
from DLCTPMLib.dicom_export.source import decimal
from DLCTPMLib.function.codes import SCHEME
from DLCTPMLib.labels.chest_regions import LUNG_CODE
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.volumes.patient_axes import file_image

CELL_MM = (2.5, 2.5, 4.0)
"""Cells of the map's grid along columns, rows and slices of the CT, where the CT's voxels are not larger."""

QUANTITY = SrCode("relative-perfusion", SCHEME, "Relative pulmonary perfusion")
NO_UNITS = SrCode("1", "UCUM", "no units")


def map_on_own_grid(perfusion: sitk.Image, lungs: UprightLungs) -> sitk.Image:
    """The map as means over cells that are at least half lung, 0 elsewhere, along the CT's own axes.

    Args:
        perfusion: relative perfusion on the CT's grid.
        lungs: of that grid.

    Returns:
        float32; its grid holds the lungs and a cell around them.
    """
    grid = _grid(perfusion, lungs)
    cells = SpectGrid.of(lungs, grid)
    values = np.where(cells.lung >= 0.5, cells.mean_over_lung(perfusion), 0).astype(np.float32)
    return file_image(values, like=grid)


def _grid(ct: sitk.Image, lungs: UprightLungs) -> sitk.Image:
    view_box = np.zeros(lungs.axes.shape, bool)
    view_box[lungs.box] = True
    file_box = lungs.axes.file_order(view_box)
    low, high = [], []
    for axis in (2, 1, 0):  # file array (z, y, x) → image index (x, y, z)
        along = np.flatnonzero(file_box.any(axis=tuple(a for a in range(3) if a != axis)))
        low.append(int(along[0]))
        high.append(int(along[-1]))
    spacing = np.array(ct.GetSpacing())
    cell = np.maximum(spacing, CELL_MM)
    extent = (np.array(high) - low + 1) * spacing
    size = np.ceil(extent / cell).astype(int) + 2
    first = (np.array(low) + np.array(high)) / 2 * spacing - (size - 1) / 2 * cell
    grid = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    grid.SetSpacing([float(c) for c in cell])
    grid.SetDirection(ct.GetDirection())
    direction = np.array(ct.GetDirection()).reshape(3, 3)
    grid.SetOrigin([float(v) for v in np.array(ct.GetOrigin()) + direction @ first])
    return grid


def parametric_map(image: sitk.Image, facts: Facts, series_number: int) -> Dataset:
    """A Parametric Map of an image on its own grid.

    Args:
        image: float32, in the CT's coordinates, of any direction.
        facts: what it says of itself.
        series_number: of its series.
    """
    column, row, step = np.array(image.GetDirection()).reshape(3, 3).T
    frames = sitk.GetArrayFromImage(image).astype(np.float32, copy=False)
    spacing, origin = np.array(image.GetSpacing()), np.array(image.GetOrigin())
    places = [origin + step * spacing[2] * k for k in range(len(frames))]
    if np.cross(column, row) @ step < 0:
        frames, places = frames[::-1], places[::-1]
    mapping = hd.pm.RealWorldValueMapping(
        lut_label="PERFUSION",
        lut_explanation="Relative perfusion, see the equipment's note",
        unit=NO_UNITS,
        value_range=(min(0.0, float(frames.min())), max(1.0, float(frames.max()))),
        slope=1.0,
        intercept=0.0,
        quantity_definition=QUANTITY,
    )
    map_object = hd.pm.ParametricMap(
        source_images=facts.source.images,
        pixel_array=frames,
        **general(facts, series_number),
        **equipment(facts),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        window_center=0.5,
        window_width=1.0,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        content_description=facts.title("Perfusion map"),
        content_label="PERFUSION",
        pixel_measures=hd.PixelMeasuresSequence(
            pixel_spacing=[float(decimal(spacing[1])), float(decimal(spacing[0]))],
            slice_thickness=float(decimal(spacing[2])),
            spacing_between_slices=float(decimal(spacing[2])),
        ),
        plane_orientation=hd.PlaneOrientationSequence(
            "PATIENT", [float(decimal(value)) for value in (*column, *row)]
        ),
        plane_positions=[
            hd.PlanePositionSequence("PATIENT", [float(decimal(value)) for value in place]) for place in places
        ],
        image_flavor="VOLUME",
    )
    _in_order(map_object, places)
    map_object.BodyPartExamined = "CHEST"
    anatomy = Dataset()
    anatomy.AnatomicRegionSequence, anatomy.FrameLaterality = [coded(LUNG_CODE)], "B"
    map_object.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]
    return finish(map_object, facts, "Perfusion map")


def _in_order(map_object: Dataset, places: list[np.ndarray]) -> None:
    """Bring the frames into the order of their places, whatever order the library has given them."""
    groups = list(map_object.PerFrameFunctionalGroupsSequence)
    here = [[float(v) for v in group.PlanePositionSequence[0].ImagePositionPatient] for group in groups]
    distance = np.linalg.norm(np.array(here)[None] - np.array(places)[:, None], axis=2)
    order = distance.argmin(axis=1)
    pixels = np.frombuffer(map_object.FloatPixelData, np.float32).reshape(len(groups), -1)
    map_object.FloatPixelData = pixels[order].tobytes()
    ordered = [groups[int(k)] for k in order]
    for number, group in enumerate(ordered, start=1):
        index = list(np.atleast_1d(group.FrameContentSequence[0].DimensionIndexValues))
        group.FrameContentSequence[0].DimensionIndexValues = [*map(int, index[:-1]), number]
    map_object.PerFrameFunctionalGroupsSequence = ordered
