"""What a map should not mind: another model, a tilt of the grid, the mask's border, the kernel; and dense lung."""

from DLCTPMLib.common.lazy import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__, figures="ScannedLungs figures_of pair_figures", report="run_robustness"
)
