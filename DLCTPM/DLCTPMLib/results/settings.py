"""What may be chosen about a prediction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from DLCTPMLib.agreement.settings import AgreementSettings
from DLCTPMLib.common.settings import StageSettings, setting
from DLCTPMLib.function.settings import FUNCTIONAL_THRESHOLD
from DLCTPMLib.registration.settings import RIGID

if TYPE_CHECKING:
    from DLCTPMLib.preprocessing.settings import PreprocessingSettings


COMPARED = ("threshold", "hir_scope")
"""The settings that decide an agreement figure, for who compares without predicting."""


@dataclass(frozen=True)
class PredictionSettings(StageSettings):
    """What may be chosen about a prediction; all of it is written into ``result.json``.

    Attributes:
        threshold: relative perfusion above which lung is high-functional.
        registration: "rigid", "affine", or "none" where SPECT and CT share their coordinates.
        hir_scope: "patient" or "lung" for Eq. 2, None for the model's own.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16.
    """

    threshold: float = setting(
        FUNCTIONAL_THRESHOLD, "relative perfusion above which lung is high-functional", metavar="T"
    )
    registration: str = setting(RIGID, "how the SPECT is moved", "register", choices=("rigid", "affine", "none"))
    hir_scope: str | None = setting(
        None,
        "normalise the SPECT over both lungs or each by itself (default: as the model was trained)",
        choices=("patient", "lung"),
    )
    device: str = setting("auto", "where to compute", choices=("auto", "cpu", "cuda", "mps"))
    precision: str = setting("auto", "of the network", choices=("auto", "fp32", "bf16"))

    WHAT = "prediction settings"

    def __post_init__(self):
        self.require(
            {
                "the threshold must lie between 0 and 1": 0 < self.threshold < 1,
                "registration must be rigid, affine or none": self.registration in ("rigid", "affine", "none"),
                "hir_scope must be patient or lung": self.hir_scope in (None, "patient", "lung"),
            }
        )

    def agreement(self, preprocessing: PreprocessingSettings) -> AgreementSettings:
        """How the SPECT is standardised and compared, after the model's own settings."""
        settings = replace(AgreementSettings.for_model(preprocessing), threshold=self.threshold)
        return settings if self.hir_scope is None else replace(settings, hir_scope=self.hir_scope)
