"""What may be chosen about a prediction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from DLCTPMLib.agreement.settings import AgreementSettings
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.settings import StageSettings, setting
from DLCTPMLib.function.definitions import DEFAULT, Definition, parse_definition
from DLCTPMLib.registration.settings import RIGID

if TYPE_CHECKING:
    from DLCTPMLib.preprocessing.settings import PreprocessingSettings


@dataclass(frozen=True)
class PredictionSettings(StageSettings):
    """What may be chosen about a prediction; all of it is written into ``result.json``.

    Attributes:
        function: definition of high-functional lung (``function.definitions``).
        registration: "rigid", "affine", or "none" where SPECT and CT share their coordinates.
        hir_scope: "patient" or "lung" for Eq. 2, None for the model's own.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16.
    """

    function: str = setting(
        DEFAULT.name,
        "what counts as high-functional lung: p75:0.66 (share of the SPECT's 75th percentile, so of the map's 1), "
        "max:0.2 (share of the maximum), percentile:70, fixed:0.5 or tertiles; ,specks:ML after it removes islands",
        metavar="DEFINITION",
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
        parse_definition(self.function)
        self.require(
            {
                "registration must be rigid, affine or none": self.registration in ("rigid", "affine", "none"),
                "hir_scope must be patient or lung": self.hir_scope in (None, "patient", "lung"),
            }
        )

    @property
    def definition(self) -> Definition:
        """Of high-functional lung."""
        return parse_definition(self.function)

    def agreement(self, preprocessing: PreprocessingSettings) -> AgreementSettings:
        """How the SPECT is standardised and compared, after the model's own settings."""
        settings = replace(AgreementSettings.for_model(preprocessing), function=self.function)
        return settings if self.hir_scope is None else replace(settings, hir_scope=self.hir_scope)


def check_pdf() -> None:
    """Refuse a PDF where the library that draws it is not installed.

    Raises:
        InputError: it is not.
    """
    if find_spec("reportlab") is None:
        raise InputError(
            "--pdf: needs ReportLab, which is not there; pip install 'dlctpm[pdf]' (or reportlab), or leave --pdf out"
        )
