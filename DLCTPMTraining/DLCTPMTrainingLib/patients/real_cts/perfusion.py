"""Perfusion simulated on a real chest: what its CT shows lowers it, and a disease that no CT shows may be added.

Perfusion is flow per gram times density, as in virtual patients, but the density is the measured one. The same
gravity, the same fall towards the pleura, the same branching. Supine, as SPECT/CT is acquired.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from DLCTPMTrainingLib.common.parameters import draw, value
from DLCTPMTrainingLib.patients.chest_shape import LEFT, RIGHT
from DLCTPMTrainingLib.patients.diseases import acute_embolism, pulmonary_hypertension
from DLCTPMTrainingLib.patients.lung_tissue import LungState, UnseenStreams, lung_at_rest
from DLCTPMTrainingLib.patients.real_cts.anatomy import RealChest
from DLCTPMTrainingLib.patients.vessel_tree import VesselTree, grow

AS_SHOWN = "as the CT shows"
"""The diagnosis of a patient to whom nothing was added."""
EMPHYSEMA_DENSITY = (0.07, 0.03)
"""g/ml at which emphysema begins and is complete: about 0.05, −950 HU (Gevenois 1995, Am J Respir Crit Care Med
152:653), within the noise of a density averaged over millimetres (assumption)."""
OPACITY_DENSITY = (0.30, 0.60)
"""g/ml from which denser lung is no longer better perfused, and at which it is consolidated (assumption: −700 HU is
the dependent lung of a shallow breath, −400 HU half-filled)."""


def uneven_flow(state: LungState, rng: np.random.Generator) -> None:
    """Pulmonary hypertension as in virtual patients, in the flow alone: this CT was not taken of it."""
    measured = state.density.copy()
    pulmonary_hypertension(state, rng)
    state.density = measured
    state.findings[-1] = "pulmonary hypertension in the flow alone, without its signs on the CT"


ADDED: dict[str, Callable[[LungState, np.random.Generator], None] | None] = {
    "pulmonary hypertension": uneven_flow,
    "acute pulmonary embolism": acute_embolism,
    AS_SHOWN: None,
}
"""Diagnoses that can be simulated on a CT that stays as it is. Every other one would have to change the CT."""
SHARES = {"pulmonary hypertension": 25, "acute pulmonary embolism": 12, AS_SHOWN: 36}
"""Of 73 patients, by the paper's Table 1: its hypertensions, its embolisms (acute: chronic ones show), the rest."""


def arteries_of(chest: RealChest, rng: np.random.Generator) -> VesselTree:
    """A tree grown from the hila through the lobes of a real chest; it is not that of its own vessels."""
    points = chest.anatomy.points
    hila = {RIGHT: points["right hilum"], LEFT: points["left hilum"]}
    return grow(chest.anatomy, hila, value("tree.terminal_ml"), draw(rng, "artery.main_radius_mm"), rng)


def measured_lung(chest: RealChest, arteries: VesselTree, unseen: UnseenStreams) -> LungState:
    """The lung as its CT shows it: measured density, resting flow, less of it in emphysema and opacities."""
    state = lung_at_rest(chest.anatomy, arteries, arteries, chest.density, unseen)  # veins are only drawn into a CT
    _what_the_ct_shows(state, unseen.disease)
    return state


def _what_the_ct_shows(state: LungState, rng: np.random.Generator) -> None:
    """Less flow where the measured density is that of emphysema, or of consolidation, fibrosis, mass."""
    density, inside = state.density, state.anatomy.lung_mm < 0
    begins, complete = EMPHYSEMA_DENSITY
    severity = np.clip((begins - density) / (begins - complete), 0, 1)
    state.flow *= 1 - np.float32(1 - draw(rng, "emphysema.flow_left")) * severity
    begins, complete = OPACITY_DENSITY
    opacity = np.clip((density - begins) / (complete - begins), 0, 1)
    usual = np.float32(np.median(density[inside]))
    left = draw(rng, "consolidation.flow_left")  # per ml of the usual lung, so less per gram of this
    state.flow *= 1 - opacity + opacity * left * usual / density
    for name, part in (("low density (emphysema)", severity > 0.5), ("opacities", opacity > 0.5)):
        share = 100 * float(part[inside].mean())
        if share >= 0.5:
            state.findings.append(f"{name} in {share:.0f} % of the lung on the CT")
