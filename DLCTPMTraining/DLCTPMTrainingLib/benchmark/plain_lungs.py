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
from DLCTPMLib.lungs.field_of_view import Padding
from DLCTPMLib.lungs.parts import (
    NO_AIR_HU,
    NO_LUNGS,
    POCKET_ML,
    POCKET_OF_LUNG,
    SOME_WALL_HU,
    STREAKS_HU,
    WALL_HU,
    WALL_REACH_MM,
    WALLED,
)
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

    padding = Padding.of(hu, settings.padding_hu).within(hu, (slice(None),) * 3)
    air = (hu < settings.air_hu) & ~padding
    body = _body((hu >= settings.air_hu) & ~padding, spacing)
    sides_with_body = _sides_with(body)
    inside = sides_with_body == 4
    candidates = air & (sides_with_body >= 3)
    if padding.any():  # lungs that the field of view cuts
        cut = _enclosed(air, sides_with_body >= 3)
        candidates, inside = candidates | cut, inside | cut
    around = (sides_with_body < 3) & (hu < -800) & ~padding
    level = _air_level(ndimage.uniform_filter(hu.astype(np.float32), [1, *window[1:]])[around])

    voxel_grid = CellGrid(hu.shape, (1, 1, 1), spacing)
    airways = find_airways(hu, axes, inside, inside & air, voxel_grid, settings.airways, -np.inf)
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
    hu, air, candidates, inside, wall, padding = (a[box] for a in (hu, air, candidates, inside, wall, padding))
    share = ndimage.uniform_filter((air & ~wall).astype(np.float32), window)
    means = ndimage.uniform_filter(np.where(padding, 0, hu).astype(np.float32), window)
    gas_hu = level + settings.gas_above_air_hu

    lung, gas = _choose(candidates & (share >= 0.75), means, gas_hu, inside, spacing, window, voxel_ml, settings)
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


def _air_level(outside):
    level = np.percentile(outside, 25) if outside.size > 1000 else -1000.0
    return float(np.clip(level, -1024, -960)) if level < NO_AIR_HU else -1000.0


def _choose(core, means, gas_hu, inside, spacing, window, voxel_ml, settings):
    dark = means < gas_hu
    labels, count = ndimage.label(core)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    enclosed = np.bincount(labels[inside], minlength=count + 1) >= 0.5 * sizes
    interior = ndimage.minimum_filter(core, [2 * w + 1 for w in window])
    deep = np.bincount(labels[interior], minlength=count + 1)
    darkness = np.bincount(labels[interior], dark[interior], minlength=count + 1)
    streaked = np.bincount(labels[interior], means[interior], minlength=count + 1) < (gas_hu + STREAKS_HU) * deep
    possible = np.where(enclosed & ~((deep > 0) & (darkness >= 0.7 * deep)), sizes, 0)
    if possible.max() * voxel_ml < settings.min_lungs_ml / 2:
        raise InputError(NO_LUNGS)
    is_lung = possible >= 0.05 * possible.max()
    is_lung[0] = False
    for index in np.flatnonzero(is_lung & streaked & (possible <= POCKET_OF_LUNG * possible[is_lung].sum())):
        is_lung[index] = _walled(labels == index, means, spacing) < WALLED
    below = np.logical_or.accumulate(is_lung[labels], axis=0)
    over_lung = np.bincount(labels[below], minlength=count + 1) >= 0.3 * sizes
    overall = np.bincount(labels[core], dark[core], minlength=count + 1) / np.maximum(sizes, 1)
    small = (possible * voxel_ml >= 1.0) & over_lung & (overall < 0.2)
    small |= (possible * voxel_ml >= 5.0) & (deep * voxel_ml >= 1.5) & ~streaked
    heights = np.flatnonzero(is_lung[labels].any(axis=(1, 2)))
    beside = np.zeros(count + 1, bool)
    beside[np.unique(labels[heights.min() : heights.max() + 1])] = True
    is_lung |= small & beside
    is_lung[0] = False
    lung = is_lung[labels]
    pockets = _gas_pockets(lung, means, gas_hu, spacing, voxel_ml)
    lung &= ndimage.distance_transform_edt(~pockets, sampling=spacing) > settings.cell_mm
    return lung, core & ~lung


def _gas_pockets(lung, means, gas_hu, spacing, voxel_ml):
    pockets = np.zeros(lung.shape, bool)
    labels, count = ndimage.label(lung & (means < SOME_WALL_HU))
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * voxel_ml
    largest = POCKET_OF_LUNG * np.count_nonzero(lung) * voxel_ml
    for index in range(1, count + 1):
        if not POCKET_ML <= sizes[index] <= largest:
            continue
        piece = labels == index
        if means[piece].mean() < gas_hu + STREAKS_HU and _walled(piece, means, spacing) >= WALLED:
            pockets |= piece
    return pockets


def _walled(piece, means, spacing):
    """Of the voxel faces of a piece within the image, the share with soft tissue within reach straight ahead."""
    hits = []
    for axis in range(3):
        reach = round(WALL_REACH_MM / spacing[axis])
        size = piece.shape[axis]
        for sign in (-1, 1):
            for place in np.argwhere(piece):
                ahead = [place[axis] + sign * step for step in range(1, reach + 1)]
                ahead = [at for at in ahead if 0 <= at < size]
                line = [(*place[:axis], at, *place[axis + 1 :]) for at in ahead]
                if line and not piece[line[0]]:
                    hits.append(max(means[at] for at in line) > WALL_HU)
    return np.mean(hits) if hits else 0.0


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
        reach = [int(np.ceil(radius_mm / s)) for s in spacing]
        own = np.pad(own, [(r, r) for r in reach], mode="edge")  # what the image's end cuts goes on as it is there
        own = ndimage.distance_transform_edt(~own, sampling=spacing) <= radius_mm
        if not own.all():
            own = ndimage.distance_transform_edt(own, sampling=spacing) > radius_mm
        own = own[tuple(slice(r, n - r) for r, n in zip(reach, own.shape, strict=True))]
        own = ndimage.binary_fill_holes(own)
        filled[own & (filled == 0) & ((sides == 0) | (sides == side)) & ~gas] = side
    return filled
