"""``dlctpm benchmark --train``: how fast a network learns, beside the plain step and beside what the device can do.

The plain step is PyTorch's as one would write it first: single precision without TF32, volumes as they come. Both
steps run in turn on the same lungs; the device's matrix peak is measured in the same run with large products. A GPU
is waited for before every look at the clock.
"""

from __future__ import annotations

import copy
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from DLCTPMLib import __version__
from DLCTPMLib.common.atomic_output import whole_file
from DLCTPMLib.common.progress import Progress, no_progress
from DLCTPMLib.networks.inference import choose_device
from DLCTPMLib.networks.parts import PerfusionNetwork
from DLCTPMLib.networks.registry import build_network
from DLCTPMLib.networks.settings import ArnnSettings, NetworkSettings, network_dict
from DLCTPMLib.preprocessing.settings import GRID_SHAPE
from DLCTPMTrainingLib.benchmark.stage_results import PeakMemory, StageResult
from DLCTPMTrainingLib.samples.augmentation import draw
from DLCTPMTrainingLib.samples.batches import LungBatch, LungBatches
from DLCTPMTrainingLib.samples.lung_samples import FULL_SCALE, Samples
from DLCTPMTrainingLib.training.settings import TrainingSettings
from DLCTPMTrainingLib.training.step import TrainingStep, convolutions_for, trainable_precision, uses_bfloat16

FILE = "benchmark-train.json"
STAGE = "training step"
GOAL = 0.42
"""Most that our step may take of the plain one (PERFORMANCE goal)."""
_MATRIX_SIZES = {"cpu": (1024, 2048), "cuda": (4096, 8192, 16384)}
_MATRIX_S = 1.0


@dataclass(frozen=True)
class TrainingBenchmarkSettings:
    """What is trained, and where.

    Attributes:
        network: its settings; the weights are untrained.
        grid_shape: cells of a lung (z, y, x).
        repeats: timed steps of each side, in turn.
        training: batch size, and precision and augmentation of our step.
        device: auto, cpu, cuda or mps.
        seed: of lungs and weights.
    """

    network: NetworkSettings = field(default_factory=ArnnSettings)
    grid_shape: tuple[int, int, int] = GRID_SHAPE
    repeats: int = 3
    training: TrainingSettings = field(default_factory=TrainingSettings)
    device: str = "auto"
    seed: int = 11


def run_training_benchmark(settings: TrainingBenchmarkSettings, out: Path, progress: Progress = no_progress) -> dict:
    """Measure, and write the report, which is returned too, into ``out`` as ``benchmark-train.json``."""
    out.mkdir(parents=True, exist_ok=True)  # first: a place that takes nothing is told at once
    bench = TrainingBench(settings)
    progress("Benchmark: one step of each, compared", 0.1)
    bench.compare()
    progress("Benchmark: training steps", 0.3)
    bench.time_steps()
    progress("Benchmark: the device's matrix peak", 0.8)
    report = bench.report()
    with whole_file(out / FILE) as partial:
        partial.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    progress("Benchmark done", 1.0)
    return report


def training_table(report: dict) -> str:
    """The report as text."""
    step, peaks, loading = report["stages"][STAGE], report["matrix_peak_gflops"], report["loading"]
    memory = [f"{mb:.0f}" if mb is not None else "–" for mb in (step["reference_peak_mb"], step["ours_peak_mb"])]
    return "\n".join(
        [
            f"{report['device_name']}, {report['threads']} threads, ours in {report['precision']}",
            f"training step: plain fp32 {step['reference_s']:.3f} s, ours {step['ours_s']:.3f} s; "
            f"MB {memory[0]} and {memory[1]}; {step['error']} {step['max_error']:.2g}",
            f"ours over plain: {report['step_over_plain']:.2f} (goal at most {GOAL})",
            f"training: {report['lungs_per_s']:.2f} lungs/s, {report['gflop_per_step']:.1f} GFLOP a step "
            f"of {report['settings']['training']['batch_size']} ({report['parameters'] / 1e6:.1f} M parameters)",
            "matrix peak, measured: " + ", ".join(f"{name} {peak:.0f} GFLOP/s" for name, peak in peaks.items()),
            f"share of it: ours {report['peak_share']:.0%} of {report['precision']}, "
            f"plain {report['plain_peak_share']:.0%} of fp32",
            f"fetching and augmenting a batch: {1000 * loading['fetch_s']:.1f} ms; the device waits for it "
            f"{loading['share']:.1%} of the time"
            + (", all lungs lie in the GPU's memory" if loading["resident"] else ""),
        ]
    )


class PlainStep:
    """A step of training without anything that makes it fast.

    Args:
        network: trained in place.
    """

    def __init__(self, network: PerfusionNetwork):
        self.network = network
        self._optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def __call__(self, batch: LungBatch) -> Tensor:
        """Learn from a batch; returns Eq. 3."""
        with convolutions_for("fp32"):
            logits = self.network.logits(batch.enhanced)
            loss = functional.binary_cross_entropy_with_logits(logits[batch.mask], batch.target[batch.mask])
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
        return loss.detach()


class TrainingBench:
    """Both steps on the same lungs. ``compare`` warms up; ``time_steps`` and ``report`` follow."""

    def __init__(self, settings: TrainingBenchmarkSettings):
        self._settings = settings
        self._device = choose_device(settings.device)
        lungs = random_lungs(2 * settings.training.batch_size, settings.grid_shape, settings.network, settings.seed)
        self._batches = LungBatches(lungs, self._device)
        self._chosen = torch.arange(settings.training.batch_size)
        torch.manual_seed(settings.seed)
        network = build_network(settings.network)
        self._plain = PlainStep(copy.deepcopy(network).to(self._device).train())
        self._ours = TrainingStep(network, self._device, settings.training.precision)
        self._ours.network.train()
        batch = self._batches(self._chosen)
        self._plain_batch = LungBatch(*(tensor.contiguous() for tensor in batch))
        precision = trainable_precision(batch.enhanced, settings.training.precision)
        bfloat16 = uses_bfloat16(self._device, precision)
        self.precision = (
            "bf16" if bfloat16 else "tf32" if self._device.type == "cuda" and precision == "auto" else "fp32"
        )
        self._seconds: dict[str, list[float]] = {"plain": [], "ours": [], "fetch": [], "loop": []}

    def compare(self) -> None:
        """One step of each without dropout: FLOP, memory, and how far the gradients lie apart."""
        networks = (self._plain.network, self._ours.network)
        for module in (module for network in networks for module in network.modules()):
            if isinstance(module, nn.Dropout):
                module.eval()
        batch = self._batches(self._chosen)
        with FlopCounterMode(display=False) as counter:
            self._plain(self._plain_batch)
        self._step(batch)
        self._flop = counter.get_total_flops()
        plain, ours = (_gradient(network) for network in networks)
        self._apart = float((ours - plain).norm() / plain.norm())
        for network in networks:
            network.train()
        self._plain_mb = self._memory(lambda: self._plain(self._plain_batch))
        self._ours_mb = self._memory(lambda: self._step(batch))

    def time_steps(self) -> None:
        """Every part on its own, in turn, then the loop of the training as it runs."""
        for _ in range(self._settings.repeats):
            self._timed("plain", lambda: self._plain(self._plain_batch))
            batch = self._timed("fetch", self._fetch)
            self._timed("ours", partial(self._step, batch))
        steps = self._settings.repeats

        def loop() -> None:
            losses = []
            for _ in range(steps):
                losses.append(self._step(self._fetch()))
                if losses[:-1]:
                    losses[-2].item()

        self._timed("loop", loop)
        self._seconds["loop"][-1] /= steps

    def report(self) -> dict:
        """Everything measured, the matrix peak last."""
        plain, ours, fetch, loop = (statistics.median(self._seconds[n]) for n in ("plain", "ours", "fetch", "loop"))
        on_cpu = self._device.type == "cpu"
        peaks = {name: matrix_peak(self._device, name) / 1e9 for name in dict.fromkeys(("fp32", self.precision))}
        row = StageResult(
            reference_s=round(plain, 6),
            ours_s=round(ours, 6),
            ratio=round(plain / ours, 2),
            reference_peak_mb=self._plain_mb,
            ours_peak_mb=self._ours_mb,
            max_error=self._apart,
            error="relative difference of the gradients",
        )
        settings = {**asdict(self._settings), "network": network_dict(self._settings.network)}
        return {
            "software": f"DL-CTPM {__version__}",
            "simulated": True,
            "device": self._device.type,
            "device_name": _device_name(self._device),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "settings": settings,
            "precision": self.precision,
            "parameters": sum(parameter.numel() for parameter in self._ours.network.parameters()),
            "lungs_per_s": round(self._settings.training.batch_size / (fetch + ours if on_cpu else loop), 3),
            "gflop_per_step": round(self._flop / 1e9, 6),
            "matrix_peak_gflops": {name: round(peak, 1) for name, peak in peaks.items()},
            "peak_share": round(self._flop / 1e9 / ours / peaks[self.precision], 5),
            "plain_peak_share": round(self._flop / 1e9 / plain / peaks["fp32"], 5),
            "step_over_plain": round(ours / plain, 3),
            "loading": {
                "fetch_s": round(fetch, 6),
                "loop_s": round(loop, 6),
                "share": round(fetch / (fetch + ours) if on_cpu else max(0.0, 1 - ours / loop), 4),
                "resident": self._batches.resident,
            },
            "stages": {STAGE: asdict(row)},
        }

    def _fetch(self) -> LungBatch:
        training = self._settings.training
        drawn = draw(len(self._batches), training.jitter, training.movement, torch.Generator().manual_seed(1))
        return self._batches(self._chosen, drawn.of(self._chosen))

    def _step(self, batch: LungBatch) -> Tensor:
        with convolutions_for(self._settings.training.precision):
            return self._ours(batch, self._settings.training.learning_rate)

    def _timed(self, name: str, part: Callable):
        self._wait()
        start = time.perf_counter()
        result = part()
        self._wait()
        self._seconds[name].append(time.perf_counter() - start)
        return result

    def _memory(self, part: Callable) -> float | None:
        """Megabytes that a part adds at its highest; on a GPU of its own memory."""
        if self._device.type != "cuda":
            with PeakMemory() as memory:
                part()
            return memory.megabytes
        self._wait()
        before = torch.cuda.memory_allocated(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        part()
        self._wait()
        return round((torch.cuda.max_memory_allocated(self._device) - before) / 1e6, 1)

    def _wait(self) -> None:
        _wait_for(self._device)


def matrix_peak(device: torch.device, precision: str) -> float:
    """FLOP/s of the best of some large square matrix products in "fp32", "tf32" or "bf16"."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    before, best = torch.get_float32_matmul_precision(), 0.0
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        for size in _MATRIX_SIZES.get(device.type, _MATRIX_SIZES["cpu"]):
            a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
            a @ b
            stop = time.perf_counter() + _MATRIX_S
            while time.perf_counter() < stop:
                _wait_for(device)
                start = time.perf_counter()
                a @ b
                _wait_for(device)
                best = max(best, 2 * size**3 / (time.perf_counter() - start))
    finally:
        torch.set_float32_matmul_precision(before)
    return best


def random_lungs(count: int, grid_shape: tuple[int, int, int], network: NetworkSettings, seed: int) -> Samples:
    """Lungs without anatomy, which take a step as long as real ones: noise in an ellipsoid."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*((2 * np.arange(n) + 1) / n - 1 for n in grid_shape), indexing="ij")
    mask = np.repeat((sum(axis**2 for axis in axes) < 1)[None], count, axis=0)
    enhanced = rng.integers(0, FULL_SCALE + 1, (count, network.input_channels, *grid_shape), dtype=np.uint8)
    target = rng.integers(0, FULL_SCALE + 1, mask.shape, dtype=np.uint8) * mask
    names = np.array([f"SYNTH-{i}" for i in range(count)])
    return Samples(names, names, enhanced * mask[:, None], target, mask, np.ones(count), np.ones(count))


def _gradient(network: PerfusionNetwork) -> Tensor:
    return torch.cat([p.grad.detach().float().flatten().cpu() for p in network.parameters()])


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()})"
