"""Predicted postoperative FEV1 (ppo-FEV1) by the share of perfusion that a resection removes."""

from __future__ import annotations

from dataclasses import dataclass

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.common.settings import StageSettings, setting

SIDES = ("right lung", "left lung")
"""The two lungs, which may be removed whole."""
LOBES_OF_SIDE = (3, 2)
"""How many lobes the lungs of ``SIDES`` have."""
PARTS = {
    "RUL": "right upper lobe",
    "RML": "right middle lobe",
    "RLL": "right lower lobe",
    "LUL": "left upper lobe",
    "LLL": "left lower lobe",
    "right": SIDES[0],
    "left": SIDES[1],
}
"""What may be removed, and the regions that they are; spelled out, since the command line knows them."""
LARGEST_L = 12.0
"""More than anybody's FEV1, in litres: what is typed beyond it is in another unit."""

FORMULA = "ppo-FEV1 = FEV1 × (1 − removed share of perfusion / 100)"

GUIDELINES = (
    {
        "source": "ACCP: Brunelli A, et al. Chest 2013;143(5 Suppl):e166S–e190S",
        "text": "“If the % PPO FEV1 and % PPO DLCO values are both > 60%, the patient is considered at low risk of "
        "anatomic lung resection, and no further tests are indicated. If either the % PPO FEV1 or % PPO DLCO are "
        "within 60% and 30% predicted, a low technology exercise test should be performed as a screening test.” "
        "“A cardiopulmonary exercise test is indicated when the PPO FEV1 or PPO DLCO (or both) are < 30%”.",
    },
    {
        "source": "ERS/ESTS: Brunelli A, et al. Eur Respir J 2009;34:17–41",
        "text": "ppo-FEV1 is not to be used alone to select patients for resection; 30 % of the predicted value is "
        "suggested as a high-risk threshold within an algorithm that assesses the pulmonary reserve.",
    },
)
"""What guidelines say of the figure, to be shown beside it with its source; this program draws nothing from it."""


@dataclass(frozen=True)
class Resection(StageSettings):
    """An operation that is thought of, and the spirometry before it.

    Attributes:
        fev1: before the operation, litres; None where no operation is thought of.
        predicted_fev1: the reference value of such a person, litres; None leaves percentages out.
        removed: what would be removed, as ``PARTS`` with commas between them.

    Raises:
        InputError: one without the other, a volume that can be none in litres, parts that do not exist, overlap or
            leave no lung.
    """

    WHAT = "ppo-FEV1"

    fev1: float | None = setting(
        None, "FEV1 before a resection, in litres: with --removed, ppo-FEV1 is reported", metavar="L", parse=float
    )
    predicted_fev1: float | None = setting(
        None, "the predicted (reference) FEV1, in litres: ppo-FEV1 in percent of it too", metavar="L", parse=float
    )
    removed: str | None = setting(
        None, f"what the resection would remove: {', '.join(PARTS)}, several with commas", metavar="PART,…"
    )

    def __post_init__(self):
        if (self.fev1 is None) != (self.removed is None) or (self.fev1 is None and self.predicted_fev1 is not None):
            raise InputError("--fev1, --removed: ppo-FEV1 needs both; give --fev1 L --removed PART, or neither")
        for option, litres in (("fev1", self.fev1), ("predicted-fev1", self.predicted_fev1)):
            if litres is not None and not 0 < litres < LARGEST_L:
                raise InputError(f"--{option} {litres:g}: is no FEV1 in litres; give a number such as 2.1")
        if self.removed is not None:
            self._check_parts()

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that would be removed; none where no operation is thought of."""
        if self.removed is None:
            return ()
        shorts = {short.lower(): name for short, name in PARTS.items()}
        return tuple(shorts.get(part.strip().lower(), "") for part in self.removed.split(","))

    def of(self, regions: dict[str, dict]) -> dict | None:
        """``ppo_fev1`` of ``result.json``; None where no operation is thought of.

        Args:
            regions: the region table.

        Raises:
            InputError: the lungs have no such lobe.
        """
        if self.fev1 is None:
            return None
        self.check_there(regions)
        rows = [regions[name] for name in self.regions]
        shares = [row["perfusion_percent"] for row in rows]
        removed = None if None in shares else sum(shares)
        left = None if removed is None else self.fev1 * (1 - removed / 100)
        return {
            "fev1_l": self.fev1,
            "predicted_fev1_l": self.predicted_fev1,
            "fev1_percent": self._percent(self.fev1),
            "removed": list(self.regions),
            "removed_percent": removed,
            "ppo_fev1_l": left,
            "ppo_fev1_percent": self._percent(left),
            "formula": FORMULA,
            "guidelines": list(GUIDELINES),
        }

    def check_there(self, names: object) -> None:
        """Refuse what these lungs do not have.

        Args:
            names: of the regions there are (anything that ``in`` works on).

        Raises:
            InputError: one is missing.
        """
        for name in self.regions:
            if name not in names:
                raise InputError(
                    f"--removed {self.removed}: these lungs have no {name}; give a mask with lobes by --lungs, or "
                    "remove a lung"
                )

    def _percent(self, litres: float | None) -> float | None:
        return None if None in (litres, self.predicted_fev1) else 100 * litres / self.predicted_fev1

    def _check_parts(self) -> None:
        chosen = self.regions
        of_side = {side: [name for name in chosen if name.startswith(side.split()[0])] for side in SIDES}
        if "" in chosen:
            raise InputError(f"--removed {self.removed}: give some of {', '.join(PARTS)}, with commas between them")
        twice = len(set(chosen)) < len(chosen) or any(
            side in names and len(names) > 1 for side, names in of_side.items()
        )
        if twice:
            raise InputError(f"--removed {self.removed}: names a part of the lungs twice; give each once")
        gone = [
            side in names or len(names) == lobes
            for (side, names), lobes in zip(of_side.items(), LOBES_OF_SIDE, strict=True)
        ]
        if all(gone):
            raise InputError(f"--removed {self.removed}: leaves no lung; give what would be removed")


NO_RESECTION = Resection()
