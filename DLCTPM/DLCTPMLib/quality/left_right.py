"""Left and right: signs of the anatomy that do not depend on one another, against an image that is mirrored.

Collapse, effusion and surgery move the heart, a liver may reach far to the left: no sign proves anything alone.
Where liver and great vessels or heart lie on the wrong side together, and nothing on the right one, the image is
mirrored, or the organs are (situs inversus totalis: about 1 person in 10 000). A small lung draws heart and aorta to
its side, so that on that side they prove nothing; then liver and gas together tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DLCTPMLib.quality.anatomy import Landmarks
from DLCTPMLib.quality.chest import FAIL, PASS, WARN, Blocks, Check, ChestMeasurements
from DLCTPMLib.quality.lung_checks import USUAL_RIGHT_PERCENT

HEART_MM = 6.0
"""How far the tissue between the lungs lies beside the spine before it tells (virtual and real ones: −4 to 19)."""

AORTA_MM = 6.0
"""How much farther one lung keeps from the spine's front than the other before it tells (ordinary ones: 9 to 24; 1
with a collapsed lobe, −14 with a hypoplastic right lung)."""

LIVER_TELLS = 0.2
"""Difference of the solid shares below the two domes before it tells (virtual and real ones: 0.26 to 0.71)."""

GAS = "gas of stomach and colon"
GAS_ML = 10.0
"""Gas below one dome more than below the other before it tells of stomach and colon."""

LUNG_PERCENT = 48.0, 52.0
"""Shares of the right lung, which is the larger one, outside which the volumes tell."""

SOLID_HU = -10.0, 200.0
"""Liver, fatty or enhanced, lies within; fat and gas do not."""

BELOW_DOME_MM = 9.0, 45.0
BONE_HU = 180.0
"""Mean of a block of about 3 mm from which it is bone."""


@dataclass(frozen=True)
class SideSigns:
    """What was measured: above 0 where the image lies as its header says; None where it could not be seen.

    Attributes:
        heart_mm: how far the tissue between the lungs lies to the left of the spine.
        aorta_mm: how much farther the left lung keeps from the spine's front, where the descending aorta runs.
        liver: solid share of what lies below the right dome of the diaphragm, less that below the left one.
        gas_ml: gas below the left dome (stomach, colon), less that below the right one.
        right_percent: the right lung's share of both.
    """

    heart_mm: float | None
    aorta_mm: float | None
    liver: float | None
    gas_ml: float | None
    right_percent: float | None

    @classmethod
    def of(cls, chest: ChestMeasurements, landmarks: Landmarks) -> SideSigns:
        """Measure."""
        share = chest.right_percent
        if share in (None, 0, 100):
            return cls(landmarks.heart_mm, None, None, None, None)
        fine, coarse = chest.blocks(3.0), chest.blocks(6.0, 70.0)
        liver, gas = (None, None) if coarse is None else _below_domes(coarse)
        return cls(landmarks.heart_mm, None if fine is None else _aorta(fine), liver, gas, share)

    def told(self) -> dict[str, int]:
        """What each sign says: 1 as the header, −1 the other way round, 0 nothing clear."""
        low, high = LUNG_PERCENT
        share = self.right_percent
        return {
            "heart": _sign(self.heart_mm, HEART_MM),
            "descending aorta": _sign(self.aorta_mm, AORTA_MM),
            "liver": _sign(self.liver, LIVER_TELLS),
            GAS: _sign(self.gas_ml, GAS_ML),
            "larger lung": 0 if share is None else int(share > high) - int(share < low),
        }


def _sign(value: float | None, limit: float) -> int:
    return 0 if value is None or abs(value) < limit else (1 if value > 0 else -1)


def _below_domes(blocks: Blocks) -> tuple[float | None, float | None]:
    """Solid share right less left, and ml of gas left less right, 9 to 45 mm below the domes of the diaphragm.

    Only columns whose lowest lung lies in the lower half of that lung: beneath the others is the heart.
    """
    height = np.arange(len(blocks.hu))[:, None, None]
    solid_share, gas_ml = [], []
    for lung in (blocks.right > 0.5, blocks.left > 0.5):
        slices = np.flatnonzero(lung.any(axis=(1, 2)))
        if not len(slices):
            return None, None
        base = np.where(lung.any(axis=0), lung.argmax(axis=0), len(lung))
        dome = (base <= slices[0] + 0.45 * (slices[-1] - slices[0])) & (base > 0)
        depth = (base - height) * blocks.mm[0]
        zone = dome & (depth >= BELOW_DOME_MM[0]) & (depth <= BELOW_DOME_MM[1]) & (blocks.right + blocks.left == 0)
        hu = blocks.hu[zone]
        if len(hu) * blocks.ml < 100:  # the CT ends at the diaphragm
            return None, None
        solid_share.append(np.mean((hu > SOLID_HU[0]) & (hu < SOLID_HU[1])))
        gas_ml.append(np.count_nonzero(hu < -300) * blocks.ml)
    return float(solid_share[0] - solid_share[1]), float(gas_ml[1] - gas_ml[0])


def _aorta(blocks: Blocks) -> float | None:
    """How much farther the left lung keeps from the spine than the right one, in front of the vertebrae, mm.

    In the middle of the lungs' height, from 24 mm in front of the bone to 3 mm behind its front.
    """
    right, left = blocks.right > 0.5, blocks.left > 0.5
    columns = np.arange(right.shape[2])
    middle = round(np.mean([(c @ columns) / c.sum() for c in (right.sum(axis=(0, 1)), left.sum(axis=(0, 1)))]))
    reach = round(30 / blocks.mm[2])
    first = max(middle - reach, 0)
    bone = blocks.hu[:, :, first : middle + reach + 1] > BONE_HU
    bone[:, : bone.shape[1] // 2] = False
    counts = bone.sum(axis=(0, 1))
    if counts.sum() * blocks.ml < 10:
        return None
    spine = round(first + counts @ np.arange(len(counts)) / counts.sum())
    differences = []
    ahead, behind = round(24 / blocks.mm[1]), round(3 / blocks.mm[1])
    for z in range(round(0.3 * len(bone)), round(0.7 * len(bone))):
        rows = np.flatnonzero(bone[z].sum(axis=1) * blocks.mm[2] > 8)
        for y in range(max(rows[0] - ahead, 0), rows[0] + behind) if len(rows) else ():
            to_right, to_left = right[z, y, spine::-1], left[z, y, spine:]
            if to_right.any() and to_left.any():
                away = np.array([to_right.argmax(), to_left.argmax()]) * blocks.mm[2]
                if away.max() < 60:
                    differences.append(away[1] - away[0])
    return float(np.mean(differences)) if len(differences) >= 20 else None


def left_and_right(signs: SideSigns) -> Check:
    """Whether left and right are where the header says: FAIL only where several signs agree that they are not."""
    told = signs.told()
    as_said, mirrored = ([name for name, sign in told.items() if sign == way] for way in (1, -1))
    value = float(sum(told.values()))
    chest = {"heart", "descending aorta"}
    strong = {*chest, "liver"}
    apart = "liver" in mirrored and chest & set(mirrored) and not strong & set(as_said)
    drawn = signs.right_percent is not None and signs.right_percent > USUAL_RIGHT_PERCENT[1]  # to a small left lung
    if apart or (drawn and {"liver", GAS} <= set(mirrored)):
        message = (
            f"Left and right are exchanged ({', '.join(mirrored)} on the other side): the image is mirrored, or "
            "it is situs inversus, which the examination's record or another image would say; correct the "
            "orientation, or force the map where the organs do lie so."
        )
        return "left and right", FAIL, value, message
    if strong & set(mirrored) or len(mirrored) > 1:
        sides = f"{', '.join(mirrored)} on the other side; {', '.join(as_said) or 'nothing'} where expected"
        message = (
            f"Left and right do not lie as usual ({sides}): a shift after surgery, collapse or effusion, situs "
            "inversus, or an image that is mirrored; look at it yourself."
        )
        return "left and right", WARN, value, message
    if not as_said:
        return "left and right", PASS, value, "Nothing tells left from right clearly: look at it yourself."
    return "left and right", PASS, value, f"Left and right are where the header says ({', '.join(as_said)})."
