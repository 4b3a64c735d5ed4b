"""``slicer.parameterNodeWrapper``, written anew for the types and widgets that the DL-CTPM panels bind.

Values are kept in the parameter node in Slicer's own form, so a scene saved here reads in Slicer.
"""

from slicer.parameterNodeWrapper.annotations import (
    Choice,
    Decimals,
    Default,
    FloatRange,
    Maximum,
    Minimum,
    RangeBounds,
    SingleStep,
    WithinRange,
)
from slicer.parameterNodeWrapper.wrapper import parameterNodeWrapper

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "FloatRange",
    "Maximum",
    "Minimum",
    "RangeBounds",
    "SingleStep",
    "WithinRange",
    "parameterNodeWrapper",
]
