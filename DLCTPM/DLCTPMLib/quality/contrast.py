"""Contrast medium in the blood: by the HU between the lungs, beside what the DICOM header states."""

from __future__ import annotations

import numpy as np

from DLCTPMLib.quality.chest import PASS, WARN, Check, ChestMeasurements

CONTRAST_HU = 80.0
"""Upper quartile of the tissue between the lungs above which blood carries contrast medium.

Without it blood has 20 + 75 HU times its haematocrit, by the densities of plasma and red cells (1.02, 1.10 g/ml) and
their mass attenuation, which is nearly water's: 65 HU at a haematocrit of 0.6, to which noise may add 10. Contrast
medium adds 80 HU or more in the venous phase, 170 to 220 in the arterial one (docs/engineering-notes.md).
"""


def contrast_check(chest: ChestMeasurements) -> Check:
    """Whether blood carries contrast medium, and whether the header says the same."""
    name, level = "intravenous contrast", _mediastinum_hu(chest)
    stated = None if chest.header is None else bool(chest.header.get("contrast_agent_stated"))
    if level is None:
        said = "; the header states one" if stated else ""
        message = f"Contrast medium could not be looked for: there is no tissue between two lungs{said}."
        return name, WARN, None, message
    message = f"A quarter of the tissue between the lungs has more than {level:.0f} HU"
    limit = f"{CONTRAST_HU:.0f} HU is the limit"
    if level > CONTRAST_HU:
        header = {
            None: "",
            True: ", as the header states",
            False: ", though the header states none: it lost the entry, or what lies between the lungs is not blood",
        }[stated]
        consequence = "it makes lung denser, and the method is meant for CT without"
        return name, WARN, level, f"{message} ({limit}): contrast medium in the blood{header}; {consequence}."
    if stated:
        message += (
            f" ({limit}): no sign of contrast medium, though the header states an agent: a scan before the "
            "injection, another way than into a vein, or a header of another scan; look whether it is the one meant."
        )
        return name, WARN, level, message
    return (
        name,
        PASS,
        level,
        f"{message}: no sign of contrast medium{'' if stated is None else ', nor in the header'}.",
    )


def _mediastinum_hu(chest: ChestMeasurements) -> float | None:
    """Upper quartile of the HU of heart, great vessels and muscle between the lungs; None where there is too little.

    What lies between the two lungs on a line from right to left, at 15 to 55 % of the lungs' depth: behind the
    sternum and in front of the spine. Blocks of about 6 mm are averaged first, so that noise counts for little;
    those with lung, fat or air are left out. The quartile, since contrast may fill the right heart alone.
    """
    blocks = chest.blocks(6.0)
    if blocks is None:
        return None
    depth = blocks.hu.shape[1]
    front = np.s_[:, round(0.15 * depth) : round(0.55 * depth)]
    hu = blocks.hu[front][blocks.between_lungs()[front]]
    tissue = hu[(hu > 0) & (hu < 500)]
    return float(np.percentile(tissue, 75)) if len(tissue) >= 100 else None
