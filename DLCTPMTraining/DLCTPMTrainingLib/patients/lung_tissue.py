"""The healthy lung between anatomy and image: density and flow of the parenchyma, supine.

Perfusion is flow per gram times density. Density and flow per gram both rise towards the back (gravity); flow per
gram also falls towards the pleura and varies with the branching of the arteries, with the tone of the vessels and
with ventilation. How much it follows the density differs between patients, and most of it no CT shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from DLCTPMTrainingLib.common.grid import RandomField
from DLCTPMTrainingLib.common.parameters import draw, value
from DLCTPMTrainingLib.patients.anatomy import Anatomy
from DLCTPMTrainingLib.patients.chest_shape import RIGHT
from DLCTPMTrainingLib.patients.tubes import COVER
from DLCTPMTrainingLib.patients.unseen_flow import closed_airways, follow_density, uneven_tone
from DLCTPMTrainingLib.patients.vessel_tree import VesselTree, territories


@dataclass
class LungState:
    """What diseases change. Core-grid arrays are (z, y, x) float32; terminal arrays follow ``arteries.terminals``.

    Attributes:
        territory: terminal that feeds each voxel, −1 outside the lungs.
        density: parenchyma, g/ml (HU = 1000 (density − 1)), without the vessels that are drawn on top.
        flow: local factor on flow per gram.
        terminal_flow: factor on the flow of each terminal.
        silent_flow: the same, for what leaves no trace in the CT (acute embolism).
        vessel_scale: factor on the calibre of the vessels of each terminal.
        gradient_percent_per_cm: gravity gradient of flow per gram, towards the back.
        cv: spread of flow between terminals before gravity.
        not_lung: voxels inside the pleura that are no parenchyma (tumour, cavity).
        airless: voxels whose bronchi hold no air either.
        unseen: random stream of what a disease does to the flow and no CT shows.
        extra_tubes: further vessels (start, end, radius) in mm, as of a malformation.
        body_background: activity of the body as a share of the lung's level, None for the usual.
        findings: plain words for the patient's info.
    """

    anatomy: Anatomy
    arteries: VesselTree
    veins: VesselTree
    territory: np.ndarray
    density: np.ndarray
    flow: np.ndarray
    terminal_flow: np.ndarray
    silent_flow: np.ndarray
    vessel_scale: np.ndarray
    gradient_percent_per_cm: float
    cv: float
    not_lung: np.ndarray
    airless: np.ndarray
    unseen: np.random.Generator
    body_background: float | None = None
    extra_tubes: list[tuple[np.ndarray, np.ndarray, float]] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    @property
    def lung(self) -> np.ndarray:
        """Boolean parenchyma mask on the core grid."""
        return (self.anatomy.lung_mm < 0) & ~self.not_lung

    def height_in_lung(self) -> np.ndarray:
        """0 at the lowest lung slice … 1 at the highest, shape (nz, 1, 1)."""
        slices = np.flatnonzero((self.anatomy.lung_mm < 0).any(axis=(1, 2)))
        z = np.arange(self.density.shape[0], dtype=np.float32)
        return np.clip((z - slices[0]) / max(slices[-1] - slices[0], 1), 0, 1)[:, None, None]

    def patches(self, rng: np.random.Generator, length_mm: float, favour: np.ndarray, extent: float) -> np.ndarray:
        """Soft patches (0…1) over about ``extent`` of the lung, where noise plus ``favour`` is highest."""
        noise = RandomField(rng, length_mm).on(self.anatomy.grid) + favour
        inside = noise[self.anatomy.lung_mm < 0]
        edge = np.quantile(inside[::11], 1 - extent)
        return sigmoid((noise - np.float32(edge)) * np.float32(5))

    def of_terminal(self, values: np.ndarray) -> np.ndarray:
        """A terminal array as a core-grid map (1 where no terminal feeds)."""
        padded = np.append(np.asarray(values, np.float32), np.float32(1))
        return padded[self.territory]

    def territory_of(self, part: slice) -> np.ndarray:
        """1 in the voxels that the terminals of ``part`` feed, 0 elsewhere (float32)."""
        return ((self.territory >= part.start) & (self.territory < part.stop)).astype(np.float32)

    def vein_scale(self) -> np.ndarray:
        """Calibre factor of each venous terminal: that of the nearest arterial one."""
        return self.vessel_scale[cKDTree(self.arteries.terminals).query(self.veins.terminals)[1]]


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e^(−x)), without overflow."""
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


@dataclass(frozen=True)
class UnseenStreams:
    """Random streams of what no CT shows: ``rest`` of the flow at rest, ``disease`` of what a disease does to it."""

    rest: np.random.Generator
    disease: np.random.Generator


def healthy_lung(
    anatomy: Anatomy,
    arteries: VesselTree,
    veins: VesselTree,
    raised_mm: float,
    rng: np.random.Generator,
    unseen: UnseenStreams,
) -> LungState:
    """Density of a healthy lung, and the settings of its flow."""
    grid = anatomy.grid
    y = grid.axis(1)
    lung = anatomy.lung_mm < 0
    mean = draw(rng, "density.mean")
    mean *= 1 + value("density.per_mm_diaphragm") * raised_mm  # less air, same tissue
    gradient = draw(rng, "density.gradient") / 100
    centre = float(np.average(y, weights=lung.sum(axis=(0, 2))))
    profile = np.exp(gradient * (y - centre) / 10)[None, :, None]
    texture = 1 + draw(rng, "density.texture") * (
        0.75 * RandomField(rng, 7.0).on(grid) + 0.66 * RandomField(rng, 19.0).on(grid)
    )
    density = (mean * profile * texture).astype(np.float32)
    rim = draw(rng, "density.dependent_rim")
    back = float(y[np.flatnonzero(lung.any(axis=(0, 2)))[-1]])
    density += np.float32(rim) * np.exp(-(back - y) / 9)[None, :, None].astype(np.float32)

    state = lung_at_rest(anatomy, arteries, veins, np.maximum(density, np.float32(0.03)), unseen)
    follow_density(state, texture, unseen.rest)
    return state


def lung_at_rest(
    anatomy: Anatomy, arteries: VesselTree, veins: VesselTree, density: np.ndarray, unseen: UnseenStreams
) -> LungState:
    """A lung of some density with the flow of a healthy one at rest, before any disease."""
    flow, gradient = _resting_flow(anatomy, unseen.rest)
    count = len(arteries.terminals)
    state = LungState(
        anatomy=anatomy,
        arteries=arteries,
        veins=veins,
        territory=territories(anatomy, arteries),
        density=density,
        flow=flow,
        terminal_flow=np.ones(count),
        silent_flow=np.ones(count),
        vessel_scale=np.ones(count),
        gradient_percent_per_cm=gradient,
        cv=draw(unseen.rest, "flow.cv"),
        not_lung=np.zeros(anatomy.grid.shape, bool),
        airless=np.zeros(anatomy.grid.shape, bool),
        unseen=unseen.disease,
    )
    uneven_tone(state, unseen.rest)
    closed_airways(state, unseen.rest)
    return state


def _resting_flow(anatomy: Anatomy, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Flow per gram of a healthy lung at rest before gravity (core grid, float32), and its gravity gradient."""
    gradient = draw(rng, "flow.gradient")
    periphery = draw(rng, "flow.periphery")
    depth = np.clip(-anatomy.lung_mm, 0, 25)
    flow = 1 - np.float32(1 - periphery) * np.exp(-depth / np.float32(value("flow.periphery_mm")))
    flow[anatomy.side == RIGHT] *= np.float32(draw(rng, "flow.right_to_left"))
    return flow.astype(np.float32), gradient


def perfusion(state: LungState, vessels: np.ndarray, fractal: np.ndarray, output_l_min: float) -> np.ndarray:
    """Blood flow, ml/min in each ml of lung (core grid, float32, 0 outside the pleura).

    ``fractal`` is the terminals' relative flow from ``fractal_flow``, ``vessels`` the part of each voxel that drawn
    vessels fill (0…``COVER``; no capillaries there), ``output_l_min`` all the blood that passes. A tumour, too, gets
    a little of it; a cavity nothing.
    """
    grid = state.anatomy.grid
    y = grid.axis(1)
    lung_mm = state.anatomy.lung_mm
    spacing = grid.spacing_mm[0]
    inside = np.clip(0.5 - lung_mm / spacing, 0, 1)
    centre = float(np.average(y, weights=(lung_mm < 0).sum(axis=(0, 2))))
    gravity = np.exp(state.gradient_percent_per_cm / 100 * (y - centre) / 10).astype(np.float32)[None, :, None]
    per_gram = state.flow * gravity * state.of_terminal(fractal * state.terminal_flow * state.silent_flow)
    result = per_gram * state.density * inside
    result *= 1 - vessels.astype(np.float32) / COVER
    total_ml = float(result.sum(dtype=np.float64)) * grid.voxel_ml
    return (result * np.float32(1000 * output_l_min / total_ml)).astype(np.float32)


def couple_blood_volume(state: LungState, fractal: np.ndarray) -> None:
    """Where the healthy branching brings more flow there is more blood, and the lung is a little denser.

    The flow of a millilitre stays what the branching makes it: there is less of it to each gram.
    """
    change = 1 + value("blood.share") * (np.asarray(fractal) ** value("blood.exponent") - 1)
    smooth = ndimage.gaussian_filter(state.of_terminal(change), 2.5 / state.anatomy.grid.spacing_mm[0])
    state.density *= smooth
    state.flow /= smooth
