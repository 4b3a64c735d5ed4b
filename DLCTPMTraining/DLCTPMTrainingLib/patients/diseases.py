"""What each diagnosis of the paper's Table 1 does to a chest, to its CT and to its perfusion.

A disease has two parts: ``reshape`` changes the chest before it is built, ``affect`` the lung after. Both draw from
the disease's own random streams, so the same seed without the disease is the same person's healthy twin. What a
disease does to the flow and no CT shows is drawn from ``LungState.unseen``; acute embolism writes only
``silent_flow``. Dense lung of each kind is made in ``dense_lung``, lost lobes in ``volume_loss``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from DLCTPMTrainingLib.common.grid import RandomField
from DLCTPMTrainingLib.common.parameters import chance, draw, value
from DLCTPMTrainingLib.patients.chest_shape import LEFT, RIGHT, ChestShape
from DLCTPMTrainingLib.patients.dense_lung import (
    collapse,
    consolidate,
    effusion,
    expand,
    fill,
    ground_glass,
    lump,
    mass,
    veil,
)
from DLCTPMTrainingLib.patients.findings_of_age import emphysema
from DLCTPMTrainingLib.patients.lung_tissue import LungState
from DLCTPMTrainingLib.patients.volume_loss import (
    LEFT_UPPER,
    LOBES,
    RIGHT_UPPER,
    collapsed,
    resected,
    side_of,
    without_volume,
)

Rng = np.random.Generator
Reshape = Callable[[ChestShape, Rng], ChestShape]
Affect = Callable[[LungState, Rng], None]


@dataclass(frozen=True)
class Disease:
    """A diagnosis: how it reshapes the chest and affects the lung (None: not at all)."""

    reshape: Reshape | None = None
    affect: Affect | None = None


def _domes(shape: ChestShape, change_mm: float) -> ChestShape:
    return replace(shape, dome=tuple(d + change_mm for d in shape.dome))


def obstruct(state: LungState, rng: Rng, obstructed: float, residual: str, share: tuple[float, float]) -> np.ndarray:
    """Obstruct branches that each feed ``share`` of all terminals until ``obstructed`` of the lung is reached.

    Returns the factor on the flow of each terminal: 1 where open.
    """
    factor = np.ones(len(state.arteries.terminals))
    candidates = rng.permutation(state.arteries.branches_feeding(share))
    for branch in candidates:
        if np.mean(factor < 1) >= obstructed:
            break
        part = slice(state.arteries.first[branch], state.arteries.last[branch])
        if np.any(factor[part] < 1):
            continue
        factor[part] = draw(rng, residual)
    return factor


def acute_embolism(state: LungState, rng: Rng) -> None:
    """Segmental and subsegmental defects that leave the CT as it is: all of it is drawn unseen."""
    share = draw(state.unseen, "embolism.obstructed")
    state.silent_flow *= obstruct(state, state.unseen, share, "embolism.residual_flow", (0.012, 0.09))
    state.findings.append(f"acute embolism of {100 * np.mean(state.silent_flow < 1):.0f} % of the lung")


def chronic_embolism(state: LungState, rng: Rng) -> None:
    """Mosaic attenuation: dark wedges with thin vessels and little flow, beside lung that gets more blood."""
    share = draw(rng, "embolism.obstructed")
    factor = obstruct(state, rng, share, "cteph.residual_flow", (0.012, 0.11))
    blocked = factor < 1
    attenuation, calibre = draw(rng, "cteph.attenuation"), draw(rng, "cteph.vessel_factor")
    weight = np.where(blocked, (1 - factor) / 0.75, 0)
    state.terminal_flow *= factor
    state.vessel_scale *= 1 - (1 - calibre) * np.clip(weight, 0, 1)
    gain = 1 + 0.5 * value("blood.share") * np.mean(1 - factor)  # the flow that is turned away goes elsewhere
    change = np.where(blocked, 1 - (1 - attenuation) * np.clip(weight, 0, 1.2), gain)
    state.density *= ndimage.gaussian_filter(state.of_terminal(change), 2.0 / state.anatomy.grid.spacing_mm[0])
    state.cv *= draw(state.unseen, "cteph.cv_factor")
    if chance(rng, "cteph.scar_probability"):
        _scars(state, rng, blocked)
    state.findings.append(f"chronic embolism of {100 * np.mean(blocked):.0f} % of the lung")


def _scars(state: LungState, rng: Rng, blocked: np.ndarray) -> None:
    """Small subpleural wedges left by old infarcts, of little flow."""
    depth = -state.anatomy.lung_mm
    rim = (depth < 14) & (state.of_terminal(blocked * 1.0) == 1) & (state.territory >= 0)
    patch = state.patches(rng, 16.0, 1.5 * rim, 0.015) * rim
    veil(state, patch, 0.45, draw(state.unseen, "scar.flow_left"))


def pulmonary_hypertension(state: LungState, rng: Rng) -> None:
    """Uneven flow that no longer follows gravity; thin outer vessels; mosaic attenuation in some."""
    state.cv *= draw(state.unseen, "ph.cv_factor")
    state.gradient_percent_per_cm *= draw(state.unseen, "ph.gradient_factor")
    pruning = draw(rng, "ph.pruning")
    state.vessel_scale *= pruning
    mosaic = chance(rng, "ph.mosaic_probability")
    pattern = RandomField(rng, 26.0).on(state.anatomy.grid)
    if mosaic:
        patch = np.clip(0.5 + 0.6 * pattern, 0, 1)
        state.density *= (1.10 - 0.20 * patch).astype(np.float32)
        state.flow *= (1.10 - 0.20 * patch).astype(np.float32)
    state.findings.append("pulmonary arterial hypertension" + (" with mosaic attenuation" if mosaic else ""))


def _ph_shape(shape: ChestShape, rng: Rng) -> ChestShape:
    return replace(
        shape, heart=shape.heart * draw(rng, "ph.heart_factor"), pulmonary_trunk=draw(rng, "ph.trunk_factor")
    )


def _half_ph_shape(shape: ChestShape, rng: Rng) -> ChestShape:
    grown = _ph_shape(shape, rng)
    return replace(grown, heart=0.5 * (grown.heart + shape.heart), pulmonary_trunk=0.5 * (1 + grown.pulmonary_trunk))


def obstructive_disease(state: LungState, rng: Rng) -> None:
    """Emphysema, mostly of the upper zones."""
    pattern = str(rng.choice(["upper", "upper", "upper", "diffuse", "diffuse", "lower"]))
    emphysema(state, draw(rng, "copd.extent"), pattern, rng)
    state.cv *= value("copd.cv_factor")


def _hyperinflated(shape: ChestShape, rng: Rng) -> ChestShape:
    change = draw(rng, "copd.hyperinflation_mm")
    return replace(_domes(shape, -change), dome_drop=shape.dome_drop - 0.6 * change, heart=shape.heart * 0.93)


def lung_cancer(state: LungState, rng: Rng) -> None:
    """A mass and what it does: flow lost downstream or in a whole lung, collapse, fluid; often emphysema.

    After an operation there is no mass, but a lobe is gone.
    """
    shape = state.anatomy.shape
    with_emphysema = chance(rng, "cancer.emphysema_probability")
    extent = 0.5 * draw(rng, "copd.extent")
    if with_emphysema:
        emphysema(state, extent, "upper", rng)
    expand(state)
    if shape.lost_by == "resection":
        state.findings.append("after lobectomy for lung cancer")
        return
    central = shape.lost_by == "collapse" or chance(rng, "cancer.central_probability")
    diameter = draw(rng, "cancer.diameter_mm")
    residual = draw(rng, "cancer.residual_flow")
    if shape.lost_lobe:
        branch = int(state.arteries.branches_feeding((0, 1), (shape.lost_lobe,))[0])  # the lobe's own root
    else:
        branch = int(rng.choice(state.arteries.branches_feeding((0.05, 0.24) if central else (0.004, 0.04))))
    part = slice(state.arteries.first[branch], state.arteries.last[branch])
    centre = state.arteries.end[branch] if central else state.arteries.terminals[part].mean(axis=0)
    radius = 0.5 * diameter * (1.15 if central else 1.0)
    if shape.lost_lobe:
        collapse(state, rng)
    else:
        state.terminal_flow[part] *= residual
        state.vessel_scale[part] *= 0.6 + 0.4 * residual
    near = np.linalg.norm(state.arteries.terminals - centre, axis=1) < radius + 6
    state.terminal_flow[near] *= 0.4
    side = RIGHT if state.arteries.lobe_of_branch[branch] in (4, 5, 6) else LEFT
    if central and chance(rng, "cancer.hilar_probability"):
        _narrow_main_artery(state, draw(rng, "cancer.hilar_flow_left"), side)
    mass(state, rng, centre, radius)
    if chance(rng, "cancer.effusion_probability"):
        effusion(state, rng, draw(rng, "cancer.effusion_mm"), side)
    state.findings.append(f"{'central' if central else 'peripheral'} mass, {diameter:.0f} mm")


def _narrow_main_artery(state: LungState, left: float, side: int) -> None:
    """A tumour round the artery of one lung: all of that lung has less flow and thinner vessels."""
    mine = (state.arteries.lobe <= 6) == (side == RIGHT)
    state.terminal_flow[mine] *= left
    state.vessel_scale[mine] *= 0.75 + 0.25 * left
    state.findings.append(f"{'right' if side == RIGHT else 'left'} pulmonary artery narrowed")


def _cancer_shape(shape: ChestShape, rng: Rng) -> ChestShape:
    """Some have lost a lobe, to an operation or behind a closed bronchus."""
    resection, closed = chance(rng, "cancer.resected_probability"), chance(rng, "cancer.collapse_probability")
    lobe = int(rng.choice(LOBES, p=_LOBE_ODDS))
    if resection:
        return resected(shape, lobe)
    return collapsed(shape, lobe, rng) if closed else shape


_LOBE_ODDS = (0.29, 0.08, 0.23, 0.24, 0.16)
"""How lung cancers share themselves among the lobes (right upper, middle, lower, left upper, lower; assumption: upper
lobes are the commoner)."""


def fibrosis(state: LungState, rng: Rng, part: float = 1.0) -> None:
    """Dense, reticular lung at the bases beneath the pleura, with little flow; ``part`` of the usual extent."""
    extent = part * draw(rng, "fibrosis.extent")
    gain, left = draw(rng, "fibrosis.density_gain"), draw(state.unseen, "fibrosis.flow_left")
    rim = np.exp(state.anatomy.lung_mm / np.float32(11)) * 3.0
    patch = state.patches(rng, 15.0, rim - 2.4 * state.height_in_lung(), extent)
    net = np.clip(1 + 0.8 * RandomField(rng, 4.5).on(state.anatomy.grid), 0.1, 2.5)
    before = state.density.copy()
    state.density += (gain * patch * net).astype(np.float32)
    state.flow *= ((1 - (1 - left) * patch) * before / state.density).astype(np.float32)  # the share is of each ml's
    state.findings.append(f"fibrosis of {100 * extent:.0f} % of the lung")


def _raised(name: str) -> Reshape:
    return lambda shape, rng: _domes(shape, draw(rng, name))


def congestion(state: LungState, rng: Rng) -> None:
    """Heart failure: flow redistributed upwards, dependent ground glass, wide vessels, effusions."""
    state.gradient_percent_per_cm = draw(state.unseen, "oedema.gradient")
    gain = draw(rng, "oedema.density_gain")
    y = state.anatomy.grid.axis(1)[None, :, None]
    back = np.clip((y + 40) / 120, 0, 1.3)
    cloud = np.clip(0.6 + 0.4 * RandomField(rng, 28.0).on(state.anatomy.grid), 0, 1.6)
    where = back * np.clip(cloud, 0, 1) * (1.1 - 0.5 * state.height_in_lung())
    veil(state, np.clip(where, 0, 1.2), gain, draw(state.unseen, "oedema.flow_left"))
    state.vessel_scale *= 1.12
    for side in (RIGHT, LEFT):
        effusion(state, rng, draw(rng, "effusion.depth_mm") * (1.0 if side == RIGHT else 0.7), side)
    state.findings.append("congestion")


def pneumonia(state: LungState, rng: Rng) -> None:
    """Consolidation of one or two segments, sometimes of a second place; now and then fluid beside it."""
    places = 2 if chance(rng, "pneumonia.second_probability") else 1
    side = LEFT
    for _ in range(places):
        share = draw(rng, "pneumonia.share")
        branch = int(rng.choice(state.arteries.branches_feeding((0.4 * share, 1.6 * share))))
        side = RIGHT if state.arteries.lobe_of_branch[branch] <= 6 else LEFT
        consolidate(state, rng, branch)
    if chance(rng, "pneumonia.effusion_probability"):
        effusion(state, rng, draw(rng, "effusion.depth_mm"), side)


def fever(state: LungState, rng: Rng) -> None:
    """Fever of unknown cause: pneumonia in some, else little to see."""
    (pneumonia if chance(rng, "fever.pneumonia_probability") else nonspecific)(state, rng)


def post_covid(state: LungState, rng: Rng) -> None:
    """Peripheral, mostly lower ground glass that remains, with less flow in it."""
    extent = draw(rng, "covid.extent")
    rim = 2.0 * np.exp(state.anatomy.lung_mm / np.float32(14))
    patch = state.patches(rng, 24.0, rim - 1.0 * state.height_in_lung(), extent)
    ground_glass(state, rng, patch)
    state.cv *= 1.1
    state.findings.append(f"ground glass of {100 * extent:.0f} % of the lung")


def tuberculosis(state: LungState, rng: Rng) -> None:
    """Old disease of an upper lobe that has shrunk: scars, a cavity, calcified nodules, thin vessels, little flow."""
    lobe = state.anatomy.shape.lost_lobe
    expand(state)
    inside = ((state.anatomy.lobe == lobe) & (state.anatomy.lung_mm < 3)).astype(np.float32)
    mine = np.clip(ndimage.gaussian_filter(inside, 1.5), 0, 1)
    apex = np.clip((state.height_in_lung() - 0.62) / 0.38, 0, 1)
    other = 0.35 * apex * (state.anatomy.side != side_of(lobe))  # the other top is touched too
    spread = np.clip(mine + other, 0, 1)
    left = draw(state.unseen, "tuberculosis.flow_left")
    veil(state, spread, draw(rng, "tuberculosis.density_gain"), left)
    scar = np.clip(state.patches(rng, 13.0, 2.4 * spread, draw(rng, "tuberculosis.extent")) * (spread > 0.05), 0, 1)
    fill(state, scar, draw(rng, "consolidation.density"), draw(state.unseen, "scar.flow_left"))
    tops = state.arteries.terminals[state.arteries.lobe == lobe]
    tops = tops[tops[:, 2] > np.quantile(tops[:, 2], 0.65)]
    centre = tops[rng.integers(len(tops))]
    z, y, x = state.anatomy.grid.zyx
    distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    hole = draw(rng, "tuberculosis.cavity_mm")
    fill(state, np.clip(1 - np.abs(distance - hole - 2.5) / 3, 0, 1), 0.95, draw(state.unseen, "scar.flow_left"))
    cavity = distance < hole
    state.density[cavity] = 0.01
    state.flow[cavity] = 0
    state.not_lung |= cavity
    for _ in range(int(rng.integers(2, 7))):
        _calcified(state, tops[rng.integers(len(tops))], float(rng.uniform(1.5, 3.5)))
    state.vessel_scale[state.arteries.lobe == lobe] *= 0.75
    state.findings.append("tuberculous scars with a cavity in a shrunken lobe")


def _tuberculous_shape(shape: ChestShape, rng: Rng) -> ChestShape:
    lobe = RIGHT_UPPER if rng.random() < 0.6 else LEFT_UPPER
    return without_volume(shape, lobe, draw(rng, "tuberculosis.volume_left"), "scar")


def _calcified(state: LungState, centre: np.ndarray, radius: float) -> None:
    z, y, x = state.anatomy.grid.zyx
    distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    inside = np.clip(0.5 - (distance - radius) / 2, 0, 1).astype(np.float32)
    fill(state, inside, 1.35, 0.0)


def malformation(state: LungState, rng: Rng) -> None:
    """One or two arteriovenous malformations: a sac with its artery and vein; particles pass it into the body."""
    deep = np.flatnonzero(np.isin(state.arteries.lobe, (5, 6, 8)))
    for _ in range(int(rng.integers(1, 3))):
        sac = draw(rng, "avm.sac_mm") / 2
        end = state.arteries.terminals[deep[rng.integers(len(deep))]]
        side = RIGHT if end[0] < 0 else LEFT
        hilum = state.anatomy.points["right hilum" if side == RIGHT else "left hilum"]
        lump(state, rng, end, sac, 1.042, 0.0)
        for offset in (np.array([0, 6.0, 4.0]), np.array([0, -8.0, -8.0])):
            bend = 0.5 * (hilum + end) + offset * 2
            state.extra_tubes += [(hilum + offset, bend, 0.36 * sac + 1.2), (bend, end, 0.36 * sac + 1.0)]
        near = np.linalg.norm(state.arteries.terminals - end, axis=1) < 3.2 * sac
        state.terminal_flow[near] *= 0.35  # what flows through the sac is not caught
    state.body_background = draw(state.unseen, "shunt.body_background")
    state.findings.append("arteriovenous malformation")


def hepatopulmonary(state: LungState, rng: Rng) -> None:
    """Wide vessels at the bases; particles pass into the body."""
    low = 1 - state.height_in_lung()
    at = np.round(state.anatomy.grid.index_of(state.arteries.terminals)).astype(int)[:, 0]
    state.vessel_scale *= 1 + 0.35 * low[np.clip(at, 0, len(low) - 1), 0, 0]
    state.flow *= (1 - 0.25 * low * np.clip(0.6 + 0.5 * RandomField(rng, 30.0).on(state.anatomy.grid), 0, 1)).astype(
        np.float32
    )
    state.body_background = draw(state.unseen, "shunt.body_background")
    state.findings.append("basal vascular dilatation, shunt")


def hypoplastic_right(state: LungState, rng: Rng) -> None:
    """A small right lung with a small artery."""
    mine = np.isin(state.arteries.lobe, (4, 5, 6))
    state.terminal_flow[mine] *= draw(rng, "hypoplasia.flow")
    state.vessel_scale[mine] *= 0.65
    state.findings.append("hypoplastic right lung")


def _hypoplastic_shape(shape: ChestShape, rng: Rng) -> ChestShape:
    size = draw(rng, "hypoplasia.size")
    return replace(
        shape,
        width_of_side=(size, 1.0),
        mediastinal_shift=-75 * (1 - size),
        dome=(shape.dome[0] + 22, shape.dome[1] - 4),
    )


def lupus(state: LungState, rng: Rng) -> None:
    """Some of: mild fibrosis, a small effusion, arteriopathy, small silent emboli."""
    has = {name: chance(rng, f"lupus.{name}_probability") for name in ("fibrosis", "effusion")}
    parts = rng.spawn(2)
    if has["fibrosis"]:
        fibrosis(state, parts[0], part=0.3)
    if has["effusion"]:
        effusion(state, parts[1], 0.5 * draw(rng, "effusion.depth_mm"), LEFT)
    if chance(state.unseen, "lupus.embolism_probability"):
        _small_emboli(state)
    state.cv *= value("copd.cv_factor")
    state.findings.append("lupus")


def _small_emboli(state: LungState) -> None:
    """Emboli without symptoms, which no CT shows."""
    share = value("dvt.obstructed")
    state.silent_flow *= obstruct(state, state.unseen, share, "embolism.residual_flow", (0.006, 0.03))


def dissection(state: LungState, rng: Rng) -> None:
    """A small left effusion beside a wide aorta."""
    effusion(state, rng, 0.6 * draw(rng, "effusion.depth_mm"), LEFT)
    state.findings.append("wide aorta")


def renal_failure(state: LungState, rng: Rng) -> None:
    """Fluid overload: a little oedema, a small right effusion."""
    cloud = np.clip(0.6 + 0.4 * RandomField(rng, 30.0).on(state.anatomy.grid), 0, 1.4)
    veil(state, np.minimum(cloud, 1), 0.4 * draw(rng, "oedema.density_gain"), draw(state.unseen, "oedema.flow_left"))
    state.gradient_percent_per_cm *= 0.5
    effusion(state, rng, 0.5 * draw(rng, "effusion.depth_mm"), RIGHT)
    state.findings.append("fluid overload")


def venous_thrombosis(state: LungState, rng: Rng) -> None:
    """A third of these patients have small emboli without symptoms."""
    if chance(state.unseen, "dvt.silent_embolism_probability"):
        _small_emboli(state)
        state.findings.append("silent embolism")


def nonspecific(state: LungState, rng: Rng) -> None:
    """Symptoms with little to see: slightly more uneven flow, sometimes a small dependent opacity."""
    state.cv *= 1 + 0.25 * state.unseen.random()
    if chance(rng, "nonspecific.opacity_probability"):
        rim = np.exp(state.anatomy.lung_mm / np.float32(9))
        y = state.anatomy.grid.axis(1)[None, :, None] / 60
        patch = state.patches(rng, 14.0, 1.5 * rim + y - state.height_in_lung(), 0.012)
        fill(state, patch, draw(rng, "atelectasis.density"), draw(state.unseen, "atelectasis.flow_left"))
        state.findings.append("dependent atelectasis")


DISEASES: dict[str, Disease] = {
    "healthy": Disease(),
    "pulmonary hypertension": Disease(_ph_shape, pulmonary_hypertension),
    "chronic pulmonary embolism": Disease(_half_ph_shape, chronic_embolism),
    "acute pulmonary embolism": Disease(None, acute_embolism),
    "lung cancer": Disease(_cancer_shape, lung_cancer),
    "chest pain": Disease(None, nonspecific),
    "chronic obstructive airway disease": Disease(_hyperinflated, obstructive_disease),
    "systemic lupus erythematosus": Disease(_raised("lupus.shrinking_mm"), lupus),
    "pulmonary fibrosis": Disease(_raised("lupus.shrinking_mm"), fibrosis),
    "hypoxia": Disease(None, nonspecific),
    "congestive heart failure": Disease(
        lambda s, rng: replace(s, heart=s.heart * draw(rng, "failure.heart_factor")), congestion
    ),
    "aortic dissection": Disease(
        lambda s, rng: replace(s, aorta=s.aorta * draw(rng, "dissection.aorta_factor")), dissection
    ),
    "pulmonary arteriovenous malformation": Disease(None, malformation),
    "chronic renal failure": Disease(None, renal_failure),
    "hepatopulmonary syndrome": Disease(None, hepatopulmonary),
    "fever": Disease(None, fever),
    "post COVID-19": Disease(None, post_covid),
    "shortness of breath": Disease(None, nonspecific),
    "hypoplastic right lung": Disease(_hypoplastic_shape, hypoplastic_right),
    "tuberculosis": Disease(_tuberculous_shape, tuberculosis),
    "pneumonia": Disease(None, pneumonia),
    "deep venous thrombosis": Disease(None, venous_thrombosis),
}
"""Every diagnosis a virtual patient can have."""
