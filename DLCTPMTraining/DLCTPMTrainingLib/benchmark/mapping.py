"""``dlctpm benchmark``: the engine against a plain reference of the same method, side by side in one run.

Seconds depend on the machine; the ratios in one run do not, so both sides of a stage run in turn and medians are
compared. Peak memory is what a stage adds to the process at its highest. Every stage also states how far the two
results lie apart on identical input.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from skimage.metrics import structural_similarity

from DLCTPMLib import __version__
from DLCTPMLib.agreement.metrics import ssim_map
from DLCTPMLib.agreement.spect_grid import SpectGrid
from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.common.stopwatch import Stopwatch
from DLCTPMLib.lungs.masks import side_masks
from DLCTPMLib.lungs.segmentation import segment_lungs
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.mapping.mapping import LungGrids, load_predictor, map_lungs
from DLCTPMLib.networks.arnn import Arnn
from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.networks.inference import Predictor
from DLCTPMLib.networks.settings import ArnnSettings, UnetSettings
from DLCTPMLib.networks.unet import Unet
from DLCTPMLib.preprocessing.enhancement import hu_bins, median_filter, network_inputs
from DLCTPMLib.preprocessing.grid import LungGrid
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.registration.search import register
from DLCTPMLib.volumes.patient_axes import patient_array
from DLCTPMTrainingLib.benchmark import plain_reference
from DLCTPMTrainingLib.benchmark.plain_lungs import segment_lungs_plain
from DLCTPMTrainingLib.benchmark.slicer_overhead import measure_slicer, slicer_lines
from DLCTPMTrainingLib.benchmark.stage_results import PeakMemory, StageResult
from DLCTPMTrainingLib.patients.virtual_patient import VirtualPatient, VirtualPatientSettings, simulate_patient

STAGES = ("lungs", "downsample", "median", "network", "small kernels", "upsample", "total", "registration", "ssim")
SETTINGS = PreprocessingSettings()
LONG_S = 30.0
SMALL_CHANNELS = (16, 32, 64, 64)
"""Of the network with small kernels."""


@dataclass(frozen=True)
class BenchmarkSettings:
    """What the benchmark runs on.

    Attributes:
        spacing_mm: CT voxels (x, y, z) of the synthetic patient.
        matrix: pixels in a row; None for as many as the body needs.
        slices: slices are cut off, or repeated air added, to this number; None for as many as the chest has.
        repeats: timed runs of each side, in turn.
        turns: timed runs of the whole and of the network alone, whose ratio is a goal: seconds scatter by a fifth.
        channels: of the untrained network; the paper's.
        seed: of the patient and of the untrained network.
        compared_slices: numbers of slices of the same chest whose times are compared.
        slicer: also measure what the Slicer panel adds, where its tests' packages are installed.
    """

    spacing_mm: tuple[float, float, float] = (0.84, 0.84, 1.1)
    matrix: int | None = 512
    slices: int | None = 300
    repeats: int = 3
    turns: int = 7
    channels: tuple[int, int, int, int] = ArnnSettings().channels
    seed: int = 11
    compared_slices: tuple[int, int] = (200, 800)
    slicer: bool = True


def run_benchmark(settings: BenchmarkSettings, out: Path, progress: Progress = no_progress) -> dict:
    """Run every stage and write the result, which is returned too, into ``out`` as ``benchmark.json``."""
    out.mkdir(parents=True, exist_ok=True)  # first: a place that takes nothing is told at once
    results: dict[str, StageResult] = {}
    bench = Bench(settings, progress)
    for number, stage in enumerate(STAGES):
        progress(f"Benchmark: {stage}", (number + 1) / (len(STAGES) + 1))
        results[stage] = getattr(bench, stage.replace(" ", "_"))()
    progress("Benchmark: 800 slices against 200", len(STAGES) / (len(STAGES) + 1))
    report = {
        "software": f"DL-CTPM {__version__}",
        "simulated": True,
        "ct_size": list(bench.ct.GetSize()),
        "ct_spacing_mm": list(bench.ct.GetSpacing()),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "settings": asdict(settings),
        "total_beside_network": bench.total_beside_network(),
        "default_beside_network": bench.default_beside_network(),
        "ratio_given_lungs": round(_without(results, "reference_s") / _without(results, "ours_s"), 2),
        "seconds_by_slices": bench.seconds_by_slices(settings.compared_slices),
        "stages": {name: asdict(result) for name, result in results.items()},
    }
    if settings.slicer:
        progress("Benchmark: the Slicer panel", 0.97)
        report["slicer"] = measure_slicer(bench.ct)
    with whole_file(out / "benchmark.json") as partial:
        partial.write_text(json.dumps(report, indent=1) + "\n")
    progress("Benchmark done", 1.0)
    return report


def table(report: dict) -> str:
    """The results as text, one stage a line."""
    lines = [f"{'stage':13}{'reference s':>12}{'ours s':>9}{'ratio':>8}{'MB ref':>9}{'MB ours':>9}  difference"]
    for name, row in report["stages"].items():
        r = StageResult(**row)
        memory = "".join(f"{'–' if mb is None else f'{mb:.0f}':>9}" for mb in (r.reference_peak_mb, r.ours_peak_mb))
        lines.append(
            f"{name:13}{r.reference_s:12.3f}{r.ours_s:9.3f}{r.ratio:8.2f}{memory}  {r.max_error:.2g} ({r.error})"
        )
    slices, beside = report["seconds_by_slices"], report["total_beside_network"]
    default = report["default_beside_network"]
    few, many = slices
    lines += [
        "total over the two network passes alone, measured in turn: "
        f"{beside['ratio']:.2f} ({beside['total_s']:.2f} s over {beside['network_s']:.2f} s)",
        f"networks of the default model ({default['members']}) over the two network passes, measured in turn: "
        f"{default['ratio']:.2f} ({default['default_s']:.2f} s over {default['network_s']:.2f} s)",
        f"ratio of the total less the lungs: {report['ratio_given_lungs']:.2f}",
        f"{many} slices over {few} of the same chest: {slices[many] / slices[few]:.2f}",
    ]
    return "\n".join([*lines, *(slicer_lines(report["slicer"]) if "slicer" in report else [])])


def _without(results: dict[str, StageResult], side: str) -> float:
    """Seconds of the whole less those of the lungs, whose plain reference would outweigh all else."""
    return getattr(results["total"], side) - getattr(results["lungs"], side)


class Bench:
    """The stages, each comparing the two sides on the same input. Method names are the stages' names."""

    def __init__(self, settings: BenchmarkSettings, progress: Progress):
        progress("Benchmark: making a synthetic CT", 0.01)
        self._settings = settings
        patient = synthetic_patient(settings)
        self._patient = patient
        self.ct, self._spect = patient.ct, patient.spect
        self._hu = patient_array(self.ct)
        self._lungs = segment_lungs(self.ct).labels
        self._masks = side_masks(self._lungs)
        torch.manual_seed(settings.seed)
        self._model = Arnn(ArnnSettings(channels=settings.channels)).eval()
        self._predictor = Predictor(self._model, torch.device("cpu"))
        self._grids = [LungGrid.of(mask) for mask in self._masks]
        self._cells = [grid.down(self._hu) for grid in self._grids]
        self._bins = [hu_bins(hu, g.mask, SETTINGS) for hu, g in zip(self._cells, self._grids, strict=True)]
        self._enhanced = [
            plain_reference.uniform(plain_reference.median(plain_reference.equalise(hu, g.mask)))
            for hu, g in zip(self._cells, self._grids, strict=True)
        ]

    def lungs(self) -> StageResult:
        """The segmentation of last resort against the same rules at full resolution."""
        return self._compare(
            lambda: segment_lungs_plain(self.ct),
            lambda: segment_lungs(self.ct).labels,
            lambda plain, ours: (
                1 - _dice(sitk.GetArrayViewFromImage(plain) > 0, sitk.GetArrayViewFromImage(ours) > 0)
            ),
            "1 − Dice of the lungs",
        )

    def downsample(self) -> StageResult:
        """Both lungs to the network's grid."""

        def ours() -> list:
            grids = [LungGrid.of(mask) for mask in self._masks]
            return [(grid.down(self._hu), grid.mask) for grid in grids]

        return self._compare(
            lambda: [plain_reference.downsample(self._hu, mask, SETTINGS.grid_shape) for mask in self._masks],
            ours,
            lambda plain, got: max(_apart(p[0], g[0]) for p, g in zip(plain, got, strict=True)),
            "HU",
        )

    def median(self) -> StageResult:
        """The median filter of 10 cells on both lungs' HU bins."""
        return self._compare(
            lambda: [plain_reference.median(bins) for bins in self._bins],
            lambda: [median_filter(bins, SETTINGS.median_size) for bins in self._bins],
            lambda plain, ours: max(_apart(p, g) for p, g in zip(plain, ours, strict=True)),
            "HU bins",
        )

    def network(self) -> StageResult:
        """The paper's network, untrained, on both lungs in single precision."""
        return self._compare(
            lambda: [plain_reference.network(self._model, enhanced) for enhanced in self._enhanced],
            lambda: [self._predictor(enhanced) for enhanced in self._enhanced],
            lambda plain, ours: max(_apart(p, g) for p, g in zip(plain, ours, strict=True)),
            "relative perfusion",
        )

    def small_kernels(self) -> StageResult:
        """A U-Net of 3³ kernels, untrained, on both lungs and one thread, where PyTorch leaves oneDNN by itself."""
        torch.manual_seed(self._settings.seed)
        model = Unet(UnetSettings(channels=SMALL_CHANNELS, kernel=3)).eval()
        predictor, before = Predictor(model, torch.device("cpu")), torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return self._compare(
                lambda: [plain_reference.network(model, enhanced) for enhanced in self._enhanced],
                lambda: [predictor(enhanced) for enhanced in self._enhanced],
                lambda plain, ours: max(_apart(p, g) for p, g in zip(plain, ours, strict=True)),
                "relative perfusion",
            )
        finally:
            torch.set_num_threads(before)

    def upsample(self) -> StageResult:
        """Both lungs back to the CT grid."""

        def plain() -> np.ndarray:
            out = np.zeros(self._hu.shape, dtype=np.float32)
            for cells, grid, mask in zip(self._enhanced, self._grids, self._masks, strict=True):
                out += plain_reference.upsample(cells, grid.mask, mask)
            return out

        def ours() -> np.ndarray:
            out = np.zeros(self._hu.shape, dtype=np.float32)
            for cells, grid in zip(self._enhanced, self._grids, strict=True):
                grid.up_into(cells, out[grid.box])
            return out

        return self._compare(plain, ours, _apart, "relative perfusion")

    def total(self) -> StageResult:
        """From CT array to perfusion array on the CT grid; the error is that of the maps given the same lungs."""

        def plain() -> np.ndarray:
            return plain_reference.perfusion(self._hu, list(side_masks(segment_lungs_plain(self.ct))), self._model)

        def ours() -> np.ndarray:
            return self._map(segment_lungs(self.ct).upright)

        def error(_plain: np.ndarray, _ours: np.ndarray) -> float:
            return _apart(plain_reference.perfusion(self._hu, list(self._masks), self._model), self._map(self._lungs))

        return self._compare(plain, ours, error, "relative perfusion, given the same lungs")

    def registration(self) -> StageResult:
        """SPECT to CT from about 20 mm off, against Mattes registration to the CT as it is."""
        truth = sitk.Euler3DTransform(
            self.ct.TransformContinuousIndexToPhysicalPoint([n / 2 for n in self.ct.GetSize()]),
            *np.radians((3.0, -2.0, 4.0)).tolist(),
            (12.0, -10.0, 13.0),
        )
        moved = _moved(self._spect, truth)
        points = self._lung_points()

        def error(transform: sitk.Transform) -> float:
            away = [np.subtract(transform.TransformPoint(p), truth.TransformPoint(p)) for p in points.tolist()]
            return float(np.linalg.norm(away, axis=1).mean())

        return self._compare(
            lambda: plain_registration(self.ct, moved),
            lambda: register(self.ct, moved, lungs=self._lungs).transform,
            lambda plain, ours: error(ours),
            lambda plain, ours: (
                f"mm mean error over the lungs; the reference's {error(plain):.2g}, "
                "with 2 % of the CT's voxels and pyramid 4-2-1"
            ),
        )

    def ssim(self) -> StageResult:
        """The SSIM map on the SPECT's grid against scikit-image's."""
        rng = np.random.default_rng(self._settings.seed)
        spect = patient_array(self._spect)
        lung = SpectGrid.of(self._lungs, self._spect).lung >= 0.5  # both images are 0 elsewhere, as in the agreement
        a = np.where(lung, np.clip(spect / np.percentile(spect[lung], 75), 0, 1), 0).astype(np.float32)
        b = np.where(lung, np.clip(a + 0.1 * rng.normal(size=a.shape), 0, 1), 0).astype(np.float32)
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}

        def plain(dtype: type = np.float32) -> np.ndarray:
            return structural_similarity(a.astype(dtype), b.astype(dtype), full=True, **options)[1]

        # in single precision scikit-image rounds more than the two differ
        return self._compare(plain, lambda: ssim_map(a, b), lambda _, got: _apart(plain(np.float64), got), "SSIM")

    def seconds_by_slices(self, counts: tuple[int, ...]) -> dict[str, float]:
        """Seconds from CT to map, lungs included, for the same chest in other numbers of slices."""
        seconds = {}
        for count in counts:
            ct = _in_slices(self.ct, count)
            runs = []
            for _ in range(self._settings.repeats + 1):  # the first warms up
                runs.append(_seconds(lambda volume=ct: self._map(segment_lungs(volume).upright, volume)))
            seconds[str(count)] = round(statistics.median(runs[1:]), 4)
        return seconds

    def total_beside_network(self) -> dict[str, float]:
        """From CT to map against the two network passes alone: ``total_s``, ``network_s``, ``ratio``.

        Measured in turn, because a processor's speed drifts: the stages lie minutes apart.
        """
        total, network = [], []
        for _ in range(self._settings.turns + 1):  # the first warms up
            total.append(_seconds(lambda: self._map(segment_lungs(self.ct).upright)))
            network.append(_seconds(lambda: [self._predictor(enhanced) for enhanced in self._enhanced]))
        total_s, network_s = (statistics.median(seconds[1:]) for seconds in (total, network))
        ratio = round(total_s / network_s, 3)
        return {"total_s": round(total_s, 4), "network_s": round(network_s, 4), "ratio": ratio}

    def default_beside_network(self) -> dict[str, float]:
        """The networks of the default model on its own grid against the two passes of the paper's size, in turn."""
        bundle = load_bundle()
        settings, default = bundle.preprocessing, load_predictor(bundle, "cpu", "fp32")
        on_grid = LungGrids.of(self.ct, self._lungs, settings)
        images = [
            network_inputs(grid.down(on_grid.hu), grid.mask, settings, grid.lung_part)
            for grid in on_grid.grids.values()
        ]
        ours, network = [], []
        for _ in range(self._settings.turns + 1):  # the first warms up
            ours.append(_seconds(lambda: [default(each) for each in images]))
            network.append(_seconds(lambda: [self._predictor(enhanced) for enhanced in self._enhanced]))
        default_s, network_s = (statistics.median(seconds[1:]) for seconds in (ours, network))
        return {
            "members": len(bundle.members),
            "default_s": round(default_s, 4),
            "network_s": round(network_s, 4),
            "ratio": round(default_s / network_s, 3),
        }

    def _map(self, lungs: sitk.Image | UprightLungs, ct: sitk.Image | None = None) -> np.ndarray:
        on_grid = LungGrids(ct or self.ct, lungs, SETTINGS.grid_shape)
        return on_grid.to_view(map_lungs(on_grid, SETTINGS, self._predictor, Stopwatch(), no_progress))

    def _lung_points(self) -> np.ndarray:
        index = np.argwhere(self._masks[0] | self._masks[1])[::200_003, ::-1]
        return np.array([self._lungs.TransformIndexToPhysicalPoint(i) for i in index.tolist()])

    def _compare(
        self,
        reference: Callable[[], Any],
        ours: Callable[[], Any],
        error: Callable[[Any, Any], float],
        what: str | Callable[[Any, Any], str],
    ) -> StageResult:
        """Run both sides in turn; the first round warms up, measures memory and is not timed.

        Where the reference takes longer than ``LONG_S``, one timed run of it must do.
        """
        with PeakMemory() as reference_memory:
            expected = reference()
        with PeakMemory() as our_memory:
            got = ours()
        max_error = float(error(expected, got))
        words = what if isinstance(what, str) else what(expected, got)
        del expected, got
        theirs_s, ours_s = [], []
        while len(ours_s) < self._settings.repeats:
            if sum(theirs_s) < LONG_S:
                theirs_s.append(_seconds(reference))
            ours_s.append(_seconds(ours))
        theirs, own = statistics.median(theirs_s), statistics.median(ours_s)
        return StageResult(
            reference_s=round(theirs, 4),
            ours_s=round(own, 4),
            ratio=round(theirs / own, 2),
            reference_peak_mb=reference_memory.megabytes,
            ours_peak_mb=our_memory.megabytes,
            max_error=max_error,
            error=words,
        )


def plain_registration(ct: sitk.Image, spect: sitk.Image) -> sitk.Transform:
    """Rigid Mattes registration to the CT as it is: 2 % of its voxels, pyramid 4-2-1, from scanner coordinates."""
    centre = ct.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in ct.GetSize()])
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.02, seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(4.0, 0.01, 200)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([4, 2, 0])
    method.SetInitialTransform(sitk.Euler3DTransform(centre))
    return method.Execute(sitk.Cast(ct, sitk.sitkFloat32), sitk.Cast(spect, sitk.sitkFloat32))


def synthetic_patient(settings: BenchmarkSettings) -> VirtualPatient:
    """A virtual patient whose CT has the asked-for matrix and slices."""
    wanted = VirtualPatientSettings(
        "SYNTH-BENCH", settings.seed, sex="M", ct_spacing_mm=settings.spacing_mm, ct_matrix=settings.matrix
    )
    patient = simulate_patient(wanted)
    if settings.slices:
        patient.ct = _with_slices(patient.ct, settings.slices)
    return patient


def _with_slices(ct: sitk.Image, slices: int) -> sitk.Image:
    """The same CT with so many slices: cut at the top, or its last slices repeated by mirroring."""
    missing = slices - ct.GetSize()[2]
    if missing <= 0:
        return ct[:, :, :slices]
    return sitk.MirrorPad(ct, [0, 0, 0], [0, 0, missing])


def _in_slices(ct: sitk.Image, count: int) -> sitk.Image:
    """The same chest in another number of slices, linearly interpolated."""
    size, spacing = list(ct.GetSize()), list(ct.GetSpacing())
    factor = size[2] / count
    grid = sitk.Image([*size[:2], count], sitk.sitkUInt8)
    grid.SetSpacing([*spacing[:2], spacing[2] * factor])
    grid.SetOrigin(ct.TransformContinuousIndexToPhysicalPoint([0.0, 0.0, 0.5 * factor - 0.5]))
    grid.SetDirection(ct.GetDirection())
    return sitk.Resample(ct, grid, sitk.Transform(3, sitk.sitkIdentity), sitk.sitkLinear, -1000.0)


def _moved(image: sitk.Image, transform: sitk.Transform) -> sitk.Image:
    """The image where a transform puts it: same voxels, so that ``transform`` maps old points to new ones."""
    moved = sitk.Image(image)
    centre = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.array([np.array(transform.TransformPoint(tuple(e))) - centre for e in np.eye(3)]).T
    moved.SetOrigin(transform.TransformPoint(image.GetOrigin()))
    moved.SetDirection((matrix @ np.reshape(image.GetDirection(), (3, 3))).ravel().tolist())
    return moved


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(np.float64) - b).max())


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))
