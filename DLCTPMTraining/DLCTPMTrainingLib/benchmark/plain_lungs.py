"""The plain reference of the lung segmentation: the rules of ``DLCTPMLib.lungs.segmentation``, voxel by voxel.

Written for clarity with SciPy at full resolution, for the benchmark and for tests to compare with. Where the fast
one speaks of the share of a cell, this one takes the share of a window of the cell's size around each voxel.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from skimage.segmentation import watershed

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.labels.chest_regions import ChestRegion
from DLCTPMLib.lungs.airways import find_airways
from DLCTPMLib.lungs.cells import CellGrid
from DLCTPMLib.lungs.parts import NO_LUNGS
from DLCTPMLib.lungs.segmentation import LungSegmentationSettings
from DLCTPMLib.lungs.sides import MIN_PART
from DLCTPMLib.volumes.patient_axes import PatientAxes, file_image, patient_array


def segment_lungs_plain(ct: sitk.Image, settings: LungSegmentationSettings | None = None) -> sitk.Image:
    """Right (2) and left (3) lung of a chest CT on its own grid, uint16; raises InputError without lungs."""
    settings = settings or LungSegmentationSettings()
    axes = PatientAxes.of(ct)
    spacing = axes.spacing_mm
    hu = np.ascontiguousarray(patient_array(ct))
    window = [max(1, round(settings.cell_mm / s)) for s in spacing]
    voxel_ml = axes.voxel_ml

    air = (hu < settings.air_hu) & (hu >= settings.padding_hu)
    body = _body(hu >= settings.air_hu, spacing)
    sides_with_body = _sides_with(body)
    inside = sides_with_body == 4
    candidates = air & (sides_with_body >= 3)
    if (hu < settings.padding_hu).any():  # lungs that the field of view cuts
        cut = _enclosed(air, sides_with_body >= 3)
        candidates, inside = candidates | cut, inside | cut
    level = _air_level(hu, sides_with_body, settings)

    voxel_grid = CellGrid(hu.shape, (1, 1, 1), spacing)
    airways = find_airways(hu, axes, inside, inside & air, voxel_grid, settings.airways, settings.padding_hu)
    wall = np.zeros(hu.shape, bool)
    if airways.patches:
        margin = tuple(int(np.ceil(settings.airways.wall_mm / s)) for s in spacing)
        box = airways.box(margin, hu.shape)
        lumen = airways.mask(box)
        wall[box] = ndimage.distance_transform_edt(~lumen, sampling=spacing) <= settings.airways.wall_mm
        candidates &= ~wall

    if not candidates.any():
        raise InputError(NO_LUNGS)
    reach = [int(np.ceil(2 * settings.closing_mm / s)) for s in spacing]
    box = tuple(
        slice(max(s.start - r, 0), min(s.stop + r, n))
        for s, r, n in zip(ndimage.find_objects(candidates.view(np.uint8))[0], reach, hu.shape, strict=True)
    )
    hu, air, candidates, inside, wall = (a[box] for a in (hu, air, candidates, inside, wall))
    share = ndimage.uniform_filter((air & ~wall).astype(np.float32), window)
    dark_voxels = (hu < level + settings.gas_above_air_hu) & (hu >= settings.padding_hu)
    dark = ndimage.uniform_filter(dark_voxels.astype(np.float32), window)

    lung, gas = _choose(candidates & (share >= 0.75), share, dark, inside, spacing, window, voxel_ml, settings)
    middle = np.average(np.arange(body.shape[2]), weights=body.sum(axis=(0, 1))) - box[2].start
    sides = _split(lung, spacing, middle)
    sides = _grow(sides, candidates & ~gas, spacing)
    filled = _close(sides, spacing, settings.closing_mm, gas)

    out = np.zeros(axes.shape, np.uint16)
    right, left = (((sides == side) | (filled == side)) & ~wall for side in (1, 2))
    out[box][right] = ChestRegion.RIGHT_LUNG
    out[box][left] = ChestRegion.LEFT_LUNG
    return file_image(out, like=ct)


def _body(tissue, spacing):
    core = np.empty_like(tissue)
    for z, plane in enumerate(tissue):
        core[z] = ndimage.distance_transform_edt(np.pad(plane, 1, "edge"), sampling=spacing[1:])[1:-1, 1:-1] > 4
    labels, count = ndimage.label(core)
    if not count:
        raise InputError(NO_LUNGS)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    body = labels == sizes.argmax()
    for z, plane in enumerate(body):
        if plane.any():
            body[z] = ndimage.distance_transform_edt(~plane, sampling=spacing[1:]) <= 8
    return body & tissue


def _sides_with(body):
    count = np.zeros(body.shape, np.uint8)
    for axis in (1, 2):
        count += np.maximum.accumulate(body, axis=axis)
        count += np.flip(np.maximum.accumulate(np.flip(body, axis), axis=axis), axis)
    return count


def _enclosed(pieces, inside):
    labels, count = ndimage.label(pieces)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    mostly = np.bincount(labels[inside], minlength=count + 1) >= 0.5 * sizes
    mostly[0] = False
    return mostly[labels]


def _air_level(hu, sides_with_body, settings):
    outside = hu[(sides_with_body < 3) & (hu >= settings.padding_hu) & (hu < -800)]
    outside = outside[outside > outside.min()] if outside.size else outside
    return float(np.clip(np.percentile(outside, 25), -1024, -960)) if outside.size > 1000 else -1000.0


def _choose(core, share, dark, inside, spacing, window, voxel_ml, settings):
    labels, count = ndimage.label(core)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    enclosed = np.bincount(labels[inside], minlength=count + 1) >= 0.5 * sizes
    interior = ndimage.minimum_filter(core, [2 * w + 1 for w in window])
    deep = np.bincount(labels[interior], minlength=count + 1)
    darkness = np.bincount(labels[interior], dark[interior], minlength=count + 1)
    possible = np.where(enclosed & ~((deep > 0) & (darkness >= 0.7 * deep)), sizes, 0)
    if possible.max() * voxel_ml < settings.min_lungs_ml / 2:
        raise InputError(NO_LUNGS)
    is_lung = possible >= 0.05 * possible.max()
    is_lung[0] = False
    below = np.logical_or.accumulate(is_lung[labels], axis=0)
    over_lung = np.bincount(labels[below], minlength=count + 1) >= 0.3 * sizes
    overall = np.bincount(labels[core], dark[core], minlength=count + 1) / np.maximum(sizes, 1)
    is_lung |= (possible * voxel_ml >= 1.0) & over_lung & (overall < 0.2)
    is_lung |= (possible * voxel_ml >= 5.0) & (deep * voxel_ml >= 1.5) & (darkness < 0.05 * deep)
    is_lung[0] = False
    lung = is_lung[labels]
    pockets = _gas_pockets(lung, dark, share, spacing, window, voxel_ml, settings)
    return lung & ~pockets, (core & ~lung) | pockets


def _gas_pockets(lung, dark, share, spacing, window, voxel_ml, settings):
    labels, count = ndimage.label(lung & (dark >= 0.7))
    pockets = np.zeros(lung.shape, bool)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    cell = settings.cell_mm
    boxes = ndimage.find_objects(labels)
    for index in np.flatnonzero(sizes * voxel_ml >= 5.0):
        if index == 0:
            continue
        margin = [int(np.ceil(3 * cell / s)) for s in spacing]
        box = tuple(slice(max(s.start - m, 0), s.stop + m) for s, m in zip(boxes[index - 1], margin, strict=True))
        pocket = labels[box] == index
        step = window[0]
        rim = np.stack([_dilated_in_plane(plane, cell, spacing) for plane in pocket])
        rim = ndimage.binary_dilation(rim, np.ones((3, 1, 1), bool), iterations=step)
        beside = np.stack([_dilated_in_plane(plane, cell, spacing) for plane in rim]) & ~rim
        beside &= pocket.any(axis=(1, 2))[:, None, None]
        under = np.zeros_like(rim)
        under[:-step] = rim[step:]
        under &= ~rim
        tissue = share[box] < 0.25
        if all(not where.any() or tissue[where].mean() >= 0.75 for where in (beside, under)):
            pockets[box] |= rim
    return pockets


def _dilated_in_plane(plane, radius_mm, spacing):
    if not plane.any():
        return plane
    return ndimage.distance_transform_edt(~plane, sampling=spacing[1:]) <= radius_mm


def _split(lung, spacing, middle):
    seeds = _two_parts(lung, lung)
    if seeds is None:
        depth = ndimage.distance_transform_edt(lung, sampling=spacing).astype(np.float32)
        radius = step = 3.5
        while seeds is None and radius < depth.max():
            seeds = _two_parts(depth > radius, lung)
            radius += step
        if seeds is not None:
            return watershed(-depth, seeds.astype(np.int32), mask=lung).astype(np.uint8)
    if seeds is None:
        x = np.average(np.arange(lung.shape[2]), weights=lung.sum(axis=(0, 1)))
        return lung * np.uint8(1 if x < middle else 2)
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    return seeds[tuple(nearest)] * lung


def _two_parts(parts, lung):
    labels, count = ndimage.label(parts)
    if count < 2:
        return None
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    first, second = np.argsort(-sizes, kind="stable")[:2]
    if sizes[second] < MIN_PART * sizes[first]:
        return None
    spans = [np.flatnonzero((labels == part).any(axis=(0, 1))) for part in (first, second)]
    shared = min(span[-1] for span in spans) - max(span[0] for span in spans) + 1
    if shared > 0.5 * min(span[-1] - span[0] + 1 for span in spans):
        return None
    columns = np.flatnonzero(lung.any(axis=(0, 1)))
    places = [ndimage.center_of_mass(labels == part)[2] for part in (first, second)]
    if abs(places[0] - places[1]) < (columns[-1] - columns[0] + 1) / 4:
        return None
    right, left = (first, second) if places[0] < places[1] else (second, first)
    return (labels == right) * np.uint8(1) + (labels == left) * np.uint8(2)


def _grow(sides, candidates, spacing):
    reached = [ndimage.binary_propagation(sides == side, mask=candidates & (sides != 3 - side)) for side in (1, 2)]
    grown = reached[0] * np.uint8(1) + reached[1] * np.uint8(2)
    both = grown == 3
    if both.any():
        distance = [ndimage.distance_transform_edt(sides != side, sampling=spacing)[both] for side in (1, 2)]
        grown[both] = np.where(distance[0] <= distance[1], 1, 2)
    return grown


def _close(sides, spacing, radius_mm, gas):
    filled = np.zeros(sides.shape, np.uint8)
    for side in (1, 2):
        own = sides == side
        if not own.any():
            continue
        own = ndimage.distance_transform_edt(~own, sampling=spacing) <= radius_mm
        if not own.all():
            own = ndimage.distance_transform_edt(own, sampling=spacing) > radius_mm
        own = ndimage.binary_fill_holes(own)
        filled[own & (filled == 0) & ((sides == 0) | (sides == side)) & ~gas] = side
    return filled
