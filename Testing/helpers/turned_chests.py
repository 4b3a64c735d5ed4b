"""Virtual patients as they would lie otherwise, or be stored wrongly: CT and lung labels."""

from functools import cache

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from DLCTPMTrainingLib.patients.virtual_patient import VirtualPatientSettings, simulate_patient

MM = 4.0
ROOM = 8  # voxels of air around, where a couch can stand
AXES = {"back": (1, 1), "front": (1, -1), "left": (2, 1), "right": (2, -1)}


@cache
def a_patient(seed=1, diagnosis="healthy"):
    """HU and sides (z, y, x; 2 right, 3 left) of a virtual patient on its couch."""
    settings = VirtualPatientSettings("SYNTH-0001", seed, diagnosis, ct_spacing_mm=(MM,) * 3, core_spacing_mm=MM)
    patient = simulate_patient(settings)
    hu, regions = (sitk.GetArrayFromImage(image) for image in (patient.ct, patient.lungs))
    lobes = np.array([0, 0, 0, 0, 2, 2, 2, 3, 3], np.uint16)
    sides = np.where((regions & 255) < len(lobes), lobes[np.minimum(regions & 255, len(lobes) - 1)], 0)
    margins = ((0, 0), (ROOM, ROOM), (ROOM, ROOM))
    return np.pad(np.maximum(hu, -1000), margins, constant_values=-1000), np.pad(sides, margins).astype(np.uint16)


def images(hu, sides):
    """Both as images of 4 mm."""
    pair = [sitk.GetImageFromArray(np.ascontiguousarray(array)) for array in (hu.astype(np.int16), sides)]
    for image in pair:
        image.SetSpacing((MM,) * 3)
    return pair


def body_of(hu):
    """The patient without couch and air around (boolean)."""
    body = np.zeros(hu.shape, bool)
    for plane, tissue in zip(body, hu > -500, strict=True):
        filled = ndimage.binary_fill_holes(tissue)
        pieces, _ = ndimage.label(ndimage.binary_opening(filled, iterations=3))
        plane[:] = ndimage.binary_dilation(pieces == 1 + np.bincount(pieces.ravel())[1:].argmax(), iterations=1)
        plane &= filled
    return body


def on_couch(hu, side):
    """The same patient in air, with the couch on another side of the body; None takes it away."""
    body = body_of(hu)
    turned = np.where(body, hu, -1000) + np.random.default_rng(3).integers(-12, 13, hu.shape)
    if side is not None:
        axis, direction = AXES[side]
        across = np.flatnonzero(body.any(axis=tuple({0, 1, 2} - {axis})))
        first = across[-1] + 4 if direction > 0 else across[0] - 4
        other = 3 - axis
        along = np.flatnonzero(body.any(axis=tuple({0, 1, 2} - {other})))
        place = [slice(None)] * 3
        place[axis], place[other] = first, slice(along[0], along[-1])
        turned[tuple(place)] = -300
    return turned


def mirrored(hu, sides):
    """Stored right to left: what lies at the right is called the right lung, as a segmentation would."""
    return hu[:, :, ::-1], np.array([0, 0, 3, 2], np.uint16)[sides[:, :, ::-1]]
