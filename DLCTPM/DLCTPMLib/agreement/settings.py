"""What decides the agreement of a map with a SPECT."""

from __future__ import annotations

from dataclasses import dataclass

from DLCTPMLib.common.settings import StageSettings
from DLCTPMLib.function.definitions import DEFAULT, Definition, parse_definition
from DLCTPMLib.preprocessing.settings import PreprocessingSettings


@dataclass(frozen=True)
class AgreementSettings(StageSettings):
    """Every choice that changes an agreement figure.

    Attributes:
        function: definition of high-functional lung (``function.definitions``), for map and SPECT each by its own
            values; islands stay, whatever it says of them, since a SPECT voxel is as large as they are.
        hir_percentile: percentile of the SPECT in the lungs that defines its high intensity region (Eq. 2).
        hir_scope: "patient" takes it over both lungs, "lung" for each lung by itself.
        clip_at: multiple of the HIR that counts as 1, as in the model's training target.
        core_erosions: iterations of binary erosion at the SPECT grid that leave each lung's core.
    """

    WHAT = "agreement settings"

    function: str = DEFAULT.name
    hir_percentile: float = 75.0
    hir_scope: str = "patient"
    clip_at: float = 1.0
    core_erosions: int = 2

    def __post_init__(self):
        parse_definition(self.function)
        self.require(
            {
                "hir_percentile must lie above 0 and at most at 100": 0 < self.hir_percentile <= 100,
                'hir_scope must be "patient" or "lung"': self.hir_scope in ("patient", "lung"),
                "clip_at must be positive": self.clip_at > 0,
                "core_erosions must be at least 1": self.core_erosions >= 1,
            }
        )

    @property
    def definition(self) -> Definition:
        """Of high-functional lung."""
        return parse_definition(self.function)

    @classmethod
    def for_model(cls, preprocessing: PreprocessingSettings) -> AgreementSettings:
        """The settings under which a model's SPECT was standardised: the same number serves both."""
        return cls(
            hir_percentile=preprocessing.hir_percentile,
            hir_scope=preprocessing.hir_scope,
            clip_at=preprocessing.clip_at,
        )
