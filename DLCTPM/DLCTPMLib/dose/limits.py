"""Published dose limits of functional lung, quoted with their source: for orientation, never as advice."""

from __future__ import annotations

from dataclasses import dataclass

VENTILATION_2023 = (
    "Flakus MJ et al. Metrics of dose to highly ventilated lung are predictive of radiation-induced pneumonitis in "
    "lung cancer patients. Radiother Oncol 2023 (PMC10283046)"
)
VENTILATION_MEANING = (
    "90 patients with non-small cell lung cancer, 60–66 Gy in 30–33 fractions; functional lung: CT ventilation above "
    "the median of the population, minus ITV; best ROC points for pneumonitis of grade 2 or more"
)


@dataclass(frozen=True)
class PublishedLimit:
    """One published limit.

    Attributes:
        figure: mean_gy, or the dose in Gy of a share of functional lung that gets at least that.
        at_most: Gy or percent.
        meaning: whom it was found in, and what functional lung was there.
        source: where it was published.
    """

    figure: str
    at_most: float
    meaning: str
    source: str

    @property
    def name(self) -> str:
        """As people write it."""
        return "fMLD" if self.figure == "mean_gy" else f"fV{self.figure}"

    @property
    def unit(self) -> str:
        """Of ``at_most``."""
        return "Gy" if self.figure == "mean_gy" else "%"

    def here(self, figures: dict) -> float | None:
        """The same figure of a result (``DoseHistogram.figures``)."""
        return figures["mean_gy"] if self.figure == "mean_gy" else figures["at_least_percent"][self.figure]


PUBLISHED = tuple(
    PublishedLimit(figure, at_most, VENTILATION_MEANING, VENTILATION_2023)
    for figure, at_most in (("mean_gy", 12.3), ("5", 54.0), ("20", 19.0))
)
"""None of them was found with a perfusion map made from a CT: they do not carry over."""
