"""CT + lungs + model → perfusion map on the CT's own grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.background import background
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.common.stopwatch import Stopwatch
from DLCTPMLib.labels.chest_regions import BOTH, SIDES
from DLCTPMLib.lungs.upright import Box, UprightLungs
from DLCTPMLib.mapping.fast.prefault import prefaulted_zeros, sparse_zeros
from DLCTPMLib.mapping.left_right import balance_lungs, lung_level
from DLCTPMLib.preprocessing.enhancement import network_inputs
from DLCTPMLib.preprocessing.grid import LungGrid
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.volumes.patient_axes import file_image, patient_array, upright_grid

if TYPE_CHECKING:
    from concurrent.futures import Future

    from DLCTPMLib.networks.balance import LungBalance, LungLevel
    from DLCTPMLib.networks.bundle import ModelBundle
    from DLCTPMLib.networks.inference import Ensemble

MapLung = Callable[[np.ndarray], np.ndarray]
"""From the images of one lung, or of both on one grid, to relative perfusion."""


@dataclass(frozen=True)
class PerfusionMap:
    """A mapped chest.

    Attributes:
        perfusion: relative perfusion, float32 on the CT grid; 1 is the patient's 75th percentile, 0 outside
            the lungs. Not blood flow in absolute units.
        spread: standard deviation of an ensemble's members about it, on the same grid and scale; None of one network.
        device: what the network ran on, with its precision.
        timings_s: seconds per stage.
        warnings: sentences for the user.
    """

    perfusion: sitk.Image
    spread: sitk.Image | None
    device: str
    timings_s: dict[str, float]
    warnings: list[str]


class LungGrids:
    """A CT and its lungs along the patient's axes, one grid a lung or one for both, and the way back to the CT.

    A tilted CT is resampled along the patient's axes first, so that the network always sees lungs upright.

    Args:
        ct: HU.
        lungs: of this CT, upright or as a label image of CIP values on its grid.
        grid_shape: cells of each lung's grid.
        cell_mm: more than 0 puts both lungs on one grid of such cells (``PreprocessingSettings``).
    """

    def __init__(
        self,
        ct: sitk.Image,
        lungs: sitk.Image | UprightLungs,
        grid_shape: tuple[int, int, int],
        cell_mm: float = 0.0,
    ):
        self._ct = ct
        self._lungs = upright = UprightLungs.of(lungs)
        self._tilted = upright.axes.is_oblique
        if self._tilted:
            grid = upright_grid(ct)
            lowest = float(sitk.GetArrayViewFromImage(ct).min())
            labels = upright.labels(ct)
            ct = sitk.Resample(ct, grid, sitk.Transform(), sitk.sitkLinear, lowest, sitk.sitkFloat32)
            upright = UprightLungs.of(sitk.Resample(labels, grid, sitk.Transform(), sitk.sitkNearestNeighbor))
        self.axes = upright.axes
        self.hu = patient_array(ct)
        self._cell_mm, self._sides = cell_mm, tuple(upright.crops())
        self.grids = {
            name: LungGrid(box, mask, self._cells(mask.shape) if cell_mm else grid_shape)
            for name, (box, mask) in self._parts(upright).items()
        }
        if not self.grids:
            raise InputError("the lung mask is empty: give a mask in which both lungs are labelled")
        self._next_view: Future[np.ndarray] | None = None

    @classmethod
    def of(cls, ct: sitk.Image, lungs: sitk.Image | UprightLungs, settings: PreprocessingSettings) -> LungGrids:
        """The grids that a model's preprocessing asks for."""
        return cls(ct, lungs, settings.grid_shape, settings.cell_mm)

    def _parts(self, lungs: UprightLungs) -> dict[str, tuple[Box, np.ndarray]]:
        """What lies on a grid of its own: its name, its box in the view, its mask in that box."""
        if not self._cell_mm:
            return lungs.crops()
        return {BOTH: (lungs.box, lungs.sides > 0)} if lungs.sides.any() else {}

    def _cells(self, voxels: tuple[int, ...]) -> tuple[int, int, int]:
        """Cells of ``cell_mm``, or a little less, that a box of so many voxels needs."""
        extent = np.multiply(voxels, self.axes.spacing_mm)
        return tuple(int(n) for n in np.maximum(np.ceil(extent / self._cell_mm - 1e-6), 1))

    @property
    def warnings(self) -> list[str]:
        """Which lung is absent, if one is."""
        return [f"the mask has no {side}: it is not mapped" for side in SIDES if side not in self._sides]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel of the grid that the lungs are cropped from."""
        return float(np.prod(self.axes.spacing_mm)) / 1000

    def prefault(self) -> None:
        """Get the memory of the next map while something else is done: that takes as long as filling it."""
        if not self._tilted:
            shape, boxes = self.axes.shape, [grid.box for grid in self.grids.values()]
            self._next_view = background(lambda: prefaulted_zeros(shape, boxes))

    def crop_of(self, side: str, image: sitk.Image, transform: sitk.Transform | None = None) -> np.ndarray:
        """Another image, linearly interpolated at the voxels of one lung's crop: float32 (z, y, x).

        Args:
            side: a key of ``grids``.
            image: for example a SPECT, on its own grid.
            transform: maps CT points to points of the image; identity if None.
        """
        reference = self.axes.image_of_box(self.grids[side].box)
        moved = sitk.Resample(
            image,
            reference,
            transform or sitk.Transform(3, sitk.sitkIdentity),
            sitk.sitkLinear,
            0.0,
            sitk.sitkFloat32,
        )
        return sitk.GetArrayFromImage(moved)

    def to_ct(self, cells: dict[str, np.ndarray]) -> sitk.Image:
        """Bring each lung's cell values to the CT's own grid: float32, 0 outside the lungs."""
        return file_image(self.to_view(cells), self._ct)

    def to_view(self, cells: dict[str, np.ndarray]) -> np.ndarray:
        """The same as a (z, y, x) array along the axes of the CT, for what needs no image."""
        prefaulted, self._next_view = self._next_view, None
        view = prefaulted.result() if prefaulted else sparse_zeros(self._lungs.axes.shape)
        if self._tilted:
            for side, (box, mask) in self._parts(self._lungs).items():
                if side in self.grids:
                    view[box][mask] = self._sample_tilted(self.grids[side], cells[side], box, mask)
            return view
        for side, grid in self.grids.items():
            grid.up_into(cells[side], view[grid.box])  # boxes of the two lungs overlap, the lungs do not
        return view

    def _sample_tilted(self, grid: LungGrid, cells: np.ndarray, box: Box, mask: np.ndarray) -> np.ndarray:
        """Values of the upright grid at the voxel centres of one lung, a mask in a box of the tilted CT."""
        points = self._lungs.axes.points_mm(np.argwhere(mask) + [part.start for part in box])
        return grid.sample(cells, self.axes.continuous_index(points))


def map_perfusion(
    ct: sitk.Image,
    lungs: sitk.Image | UprightLungs,
    bundle: ModelBundle,
    device: str = "auto",
    precision: str = "auto",
    progress: Progress = no_progress,
) -> PerfusionMap:
    """Map relative lung perfusion from a chest CT.

    Args:
        ct: HU, any orientation.
        lungs: of this CT, upright or as a label image of CIP values on its grid.
        bundle: the model.
        device: auto, cpu, cuda or mps.
        precision: "fp32", "bf16", or "auto": bfloat16 only where the processor has it and the model was found
            to keep its map within 1/256.
        progress: told after every stage.

    Raises:
        InputError: if the lungs are empty or the device is not there.
    """
    stopwatch = Stopwatch()
    with stopwatch("model"):
        predictor = load_predictor(bundle, device, precision)
    settings = bundle.preprocessing
    with stopwatch("downsample"):
        on_grid = LungGrids.of(ct, lungs, settings)
    spreads: dict[str, np.ndarray] = {}
    cells = map_lungs(on_grid, settings, predictor, stopwatch, progress, spreads, bundle.balance)
    progress("Bringing the map back to the CT", 0.9)
    with stopwatch("upsample"):
        perfusion = on_grid.to_ct(cells)
        spread = on_grid.to_ct(spreads) if spreads else None
    return PerfusionMap(
        perfusion=perfusion,
        spread=spread,
        device=f"{predictor.device} {'bfloat16' if predictor.bfloat16 else 'float32'}",
        timings_s=stopwatch.seconds,
        warnings=on_grid.warnings,
    )


def map_lungs(
    lungs: LungGrids,
    settings: PreprocessingSettings,
    predictor: MapLung,
    stopwatch: Stopwatch,
    progress: Progress,
    spreads: dict[str, np.ndarray] | None = None,
    balance: LungBalance | None = None,
    levels: dict[str, LungLevel | None] | None = None,
) -> dict[str, np.ndarray]:
    """Relative perfusion of each lung on the network's grid: down-sample, enhance, predict, balance right and left.

    Args:
        spreads: given those of an ``Ensemble``'s lungs, which then is the predictor.
        balance: of the model, where it has one.
        levels: given what a balance sees of each lung, before any.
    """
    lungs.prefault()
    progress("Preparing the lungs", 0.0)
    with stopwatch("downsample"):
        prepared = {side: (grid.down(lungs.hu), grid.mask) for side, grid in lungs.grids.items()}
    with stopwatch("enhancement"):
        images = {
            side: network_inputs(hu, mask, settings, lungs.grids[side].lung_part)
            for side, (hu, mask) in prepared.items()
        }
    cells = {}
    for number, side in enumerate(images):
        progress(f"Mapping the {side}", 0.2 + 0.7 * number / len(images))
        with stopwatch("network"):
            if spreads is None:
                cells[side] = predictor(images[side]) * np.float32(settings.top)
                continue
            mean, spread = predictor.mean_and_spread(images[side])
            cells[side] = mean * np.float32(settings.top)
            if spread is not None:
                spreads[side] = spread * np.float32(settings.top)
    if balance is not None or levels is not None:
        seen = {side: lung_level(lungs.grids[side], lungs.voxel_ml, prepared[side][0], cells[side]) for side in cells}
        if levels is not None:
            levels.update(seen)
        if balance is not None:
            balance_lungs(seen, balance, settings.top, cells, spreads or {})
    return cells


def load_predictor(bundle: ModelBundle, device: str = "auto", precision: str = "auto") -> Ensemble:
    """The model of a bundle on a device, in the precision that suits both."""
    from DLCTPMLib.networks.inference import (  # PyTorch: seconds
        BF16_TOLERANCE,
        Ensemble,
        choose_device,
        has_bfloat16,
    )

    if precision not in ("auto", "fp32", "bf16"):
        raise InputError(f"--precision {precision}: unknown, use auto, fp32 or bf16")
    place = choose_device(device)
    error = bundle.bf16_max_error
    harmless = error is not None and error < BF16_TOLERANCE
    bfloat16 = precision == "bf16" or (precision == "auto" and harmless and has_bfloat16(place))
    return Ensemble(bundle.networks(), place, bfloat16)
