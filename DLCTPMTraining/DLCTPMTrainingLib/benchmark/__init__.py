"""Speed and memory, as ratios to a plain reference in one run."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    mapping="BenchmarkSettings run_benchmark",
    training="TrainingBenchmarkSettings run_training_benchmark",
)
