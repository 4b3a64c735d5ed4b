"""Where patients come from, virtual, simulated on a real CT, or measured, and how every output says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

RESEARCH_USE = "Research use only; not for diagnosis or treatment decisions."
NOT_FOR_PATIENTS = "shows the workflow; not for any use on patients."
RESEARCH_STAMP = "Research use only"
REAL_PEOPLE = "Pictures show CTs of real people: do not publish them without their consent."


class HasOrigin(Protocol):
    """A ``CohortRow`` or ``PatientFacts``."""

    @property
    def simulated(self) -> bool:
        """Whether perfusion and SPECT are simulated."""

    @property
    def real_ct(self) -> bool:
        """Whether they are simulated on a real person's CT."""


@dataclass(frozen=True)
class Origin:
    """How many patients are of which kind.

    Attributes:
        virtual: of no person; CT, perfusion and SPECT are simulated.
        real_cts: perfusion and SPECT are simulated on the CT of a real person.
        measured: CT and SPECT of a real person.
    """

    virtual: int = 0
    real_cts: int = 0
    measured: int = 0

    @classmethod
    def of(cls, patients: Iterable[HasOrigin]) -> Origin:
        """Count patients."""
        simulated = [(one.simulated, one.simulated and one.real_ct) for one in patients]
        return cls(simulated.count((True, False)), simulated.count((True, True)), simulated.count((False, False)))

    @property
    def count(self) -> int:
        """All patients."""
        return self.virtual + self.real_cts + self.measured

    @property
    def simulated(self) -> int:
        """Patients whose perfusion and SPECT are simulated."""
        return self.virtual + self.real_cts

    @property
    def real_people(self) -> int:
        """Patients whose CT is a real person's."""
        return self.real_cts + self.measured

    def kind(self, simulated: str = "simulated") -> str:
        """ "simulated patients" and the like, without their number; ``simulated`` is how that word is written."""
        if not self.real_people:
            return f"{simulated} patients"
        if not self.simulated:
            return "patients"
        parts = [
            f"{count} {words}"
            for count, words in (
                (self.virtual, simulated),
                (self.real_cts, f"real CTs with {simulated} perfusion"),
                (self.measured, "measured"),
            )
            if count
        ]
        return f"patients ({', '.join(parts) if len(parts) > 1 else f'real CTs, {simulated} perfusion'})"

    @property
    def tag(self) -> str:
        """What stands behind the title of a table; "" if nothing is simulated."""
        if self.measured:
            return "partly simulated" if self.simulated else ""
        return "simulated perfusion" if self.real_cts else "simulated"

    @property
    def intended_use(self) -> str:
        """What a model is for that learned from these patients."""
        if not self.simulated:
            return RESEARCH_USE
        if self.count == self.virtual:
            return f"Trained on simulated patients only; {NOT_FOR_PATIENTS}"
        if self.count == self.real_cts:
            return f"Trained on real CTs with simulated perfusion only; {NOT_FOR_PATIENTS}"
        return f"Trained on {self.count} {self.kind()}; {NOT_FOR_PATIENTS}"

    @property
    def stamp(self) -> str:
        """What stands under a figure."""
        if not self.simulated:
            return RESEARCH_STAMP
        if not self.real_people:
            return "SIMULATED: virtual patients, not persons – research use only"
        if self.count == self.real_cts:
            return "SIMULATED perfusion and SPECT on real CTs – research use only"
        cts = f", {self.real_people} of {self.count} CTs are real"
        return f"SIMULATED perfusion and SPECT in {self.simulated} of {self.count} patients{cts} – research use only"

    @property
    def banner(self) -> str:
        """What a report says at its top; "" if nothing is simulated."""
        if not self.simulated:
            return ""
        nothing = "nothing about how well perfusion of real patients is mapped."
        if self.measured:
            return f"Partly simulated: {self.count} {self.kind()}. Figures that mix them say {nothing}"
        what = "patients, images and every number here are virtual."
        if self.real_cts:
            cts = f"{'the' if not self.virtual else f'{self.real_cts} of {self.count}'} CTs are real people's; "
            what = f"{cts}perfusion and SPECT were computed, not measured, so that every number here is virtual."
        return f"Simulated: {what} They show that the chain works; they say {nothing}"

    @property
    def warning(self) -> str:
        """What whoever would publish a report must know; "" if no real person is shown."""
        return REAL_PEOPLE if self.real_people else ""
