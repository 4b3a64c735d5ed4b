"""Large airways are followed as far as they are airways, and no hole with a straight edge is cut into a lung."""

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.lungs.airways import AirwaySettings, find_airways
from DLCTPMLib.lungs.cells import CellGrid
from DLCTPMLib.volumes.patient_axes import PatientAxes


def airways_of(opening: bool):
    """Patches in a chest of 2 mm voxels whose trachea ends at slice 20, perhaps ``opening`` into a bridge of lung."""
    z, y, x = np.meshgrid(np.arange(50), np.arange(80), np.arange(120), indexing="ij")
    view = np.full(z.shape, 40, np.int16)
    inside = np.zeros(z.shape, bool)
    inside[:, 3:77, 3:117] = True
    lungs = (abs(y - 40) < 28) & (abs(abs(x - 60) - 36) < 16)
    view[lungs] = -850
    view[(np.hypot(y - 40, x - 60) < 4.5) & (z >= 20)] = -1000
    if opening:
        view[(abs(y - 40) <= 2) & (abs(x - 60) < 40) & (z < 20)] = -950
    image = sitk.GetImageFromArray(view)
    image.SetSpacing((2.0, 2.0, 2.0))
    axes = PatientAxes.of(image)
    grid = CellGrid(view.shape, (1, 1, 1), axes.spacing_mm)
    return find_airways(view, axes, inside, inside & (view < -400), grid, AirwaySettings(), -1500.0).patches


def test_an_airway_that_opens_into_a_lung_wider_than_the_search_window_ends_there():
    assert {patch[0] for patch in airways_of(opening=False)} == set(range(20, 50))
    assert {patch[0] for patch in airways_of(opening=True)} == set(range(20, 50))
