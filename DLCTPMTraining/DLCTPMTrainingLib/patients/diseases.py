"""What each diagnosis of the paper's Table 1 does to a chest, to its CT and to its perfusion.

A disease has two parts: ``reshape`` changes the chest before it is built, ``affect`` the lung after. Both draw from
the disease's own random streams, so the same seed without the disease is the same person's healthy twin. Acute
embolism writes only ``silent_flow``, which no CT shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from DLCTPMTrainingLib.common.grid import RandomField
from DLCTPMTrainingLib.common.parameters import chance, draw, value
from DLCTPMTrainingLib.patients.chest_shape import LEFT, RIGHT, ChestShape
from DLCTPMTrainingLib.patients.lung_tissue import LungState, emphysema

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
    """Segmental and subsegmental defects that leave the CT as it is."""
    share = draw(rng, "embolism.obstructed")
    state.silent_flow *= obstruct(state, rng, share, "embolism.residual_flow", (0.012, 0.09))
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
    state.cv *= draw(rng, "cteph.cv_factor")
    if chance(rng, "cteph.scar_probability"):
        _scars(state, rng, blocked)
    state.findings.append(f"chronic embolism of {100 * np.mean(blocked):.0f} % of the lung")


def _scars(state: LungState, rng: Rng, blocked: np.ndarray) -> None:
    """Small subpleural wedges left by old infarcts."""
    depth = -state.anatomy.lung_mm
    rim = (depth < 14) & (state.of_terminal(blocked * 1.0) == 1) & (state.territory >= 0)
    patch = state.patches(rng, 16.0, 1.5 * rim, 0.015) * rim
    state.density += (0.45 * patch).astype(np.float32)


def pulmonary_hypertension(state: LungState, rng: Rng) -> None:
    """Uneven flow that no longer follows gravity; thin outer vessels; mosaic attenuation in some."""
    state.cv *= draw(rng, "ph.cv_factor")
    state.gradient_percent_per_cm *= draw(rng, "ph.gradient_factor")
    pruning = draw(rng, "ph.pruning")
    state.vessel_scale *= pruning
    mosaic = chance(rng, "ph.mosaic_probability")
    pattern = RandomField(rng, 26.0).on(state.anatomy.grid)
    if mosaic:
        patch = np.clip(0.5 + 0.6 * pattern, 0, 1)
        state.density *= (1.12 - 0.26 * patch).astype(np.float32)
        state.flow *= (1.25 - 0.6 * patch).astype(np.float32)
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
    """A mass; everything downstream of the artery at it loses flow; often emphysema, sometimes collapse."""
    central = chance(rng, "cancer.central_probability")
    diameter = draw(rng, "cancer.diameter_mm")
    with_emphysema = chance(rng, "cancer.emphysema_probability")
    extent = 0.5 * draw(rng, "copd.extent")
    collapse = chance(rng, "cancer.collapse_probability")
    residual = draw(rng, "cancer.residual_flow")
    if with_emphysema:
        emphysema(state, extent, "upper", rng)
    branch = int(rng.choice(state.arteries.branches_feeding((0.05, 0.24) if central else (0.004, 0.04))))
    part = slice(state.arteries.first[branch], state.arteries.last[branch])
    centre = state.arteries.end[branch] if central else state.arteries.terminals[part].mean(axis=0)
    radius = 0.5 * diameter * (1.15 if central else 1.0)
    mass = mass_at(state, rng, centre, radius)
    state.terminal_flow[part] *= residual
    state.vessel_scale[part] *= 0.6 + 0.4 * residual
    near = np.linalg.norm(state.arteries.terminals - centre, axis=1) < radius + 6
    state.terminal_flow[near] *= 0.4
    if central and collapse:
        fed = ndimage.gaussian_filter(state.territory_of(part), 2.0 / state.anatomy.grid.spacing_mm[0])
        beyond = np.clip(fed, 0, 1) * state.patches(rng, 30.0, 0 * mass, 0.5)
        state.density += (0.5 * beyond).astype(np.float32)
        state.flow *= (1 - 0.6 * beyond).astype(np.float32)
    state.findings.append(f"{'central' if central else 'peripheral'} mass, {diameter:.0f} mm")


def mass_at(state: LungState, rng: Rng, centre: np.ndarray, radius_mm: float, density: float = 1.035) -> np.ndarray:
    """Put a solid lump with an uneven margin into the lung; returns its soft outline (0…1)."""
    z, y, x = state.anatomy.grid.zyx
    distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    uneven = 0.16 * radius_mm * RandomField(rng, max(0.6 * radius_mm, 5.0)).on(state.anatomy.grid)
    outline = np.clip(0.5 - (distance + uneven - radius_mm) / 3.0, 0, 1).astype(np.float32)
    state.density += outline * (np.float32(density) - state.density)
    state.flow *= 1 - np.clip(2 * outline, 0, 1)
    state.not_lung |= outline > 0.5
    return outline


def fibrosis(state: LungState, rng: Rng, part: float = 1.0) -> None:
    """Dense, reticular lung at the bases beneath the pleura, with little flow; ``part`` of the usual extent."""
    extent = part * draw(rng, "fibrosis.extent")
    gain, left = draw(rng, "fibrosis.density_gain"), draw(rng, "fibrosis.flow_left")
    rim = np.exp(state.anatomy.lung_mm / np.float32(11)) * 3.0
    patch = state.patches(rng, 15.0, rim - 2.4 * state.height_in_lung(), extent)
    net = np.clip(1 + 0.8 * RandomField(rng, 4.5).on(state.anatomy.grid), 0.1, 2.5)
    state.density += (gain * patch * net).astype(np.float32)
    # flow is given per ml: less flow per gram makes up for the greater density
    state.flow *= ((1 - (1 - left) * patch) / (1 + patch * gain / 0.2)).astype(np.float32)
    state.findings.append(f"fibrosis of {100 * extent:.0f} % of the lung")


def _raised(name: str) -> Reshape:
    return lambda shape, rng: _domes(shape, draw(rng, name))


def congestion(state: LungState, rng: Rng) -> None:
    """Heart failure: flow redistributed upwards, dependent ground glass, wide vessels, effusions."""
    state.gradient_percent_per_cm = draw(rng, "oedema.gradient")
    gain = draw(rng, "oedema.density_gain")
    y = state.anatomy.grid.axis(1)[None, :, None]
    back = np.clip((y + 40) / 120, 0, 1.3)
    cloud = np.clip(0.6 + 0.4 * RandomField(rng, 28.0).on(state.anatomy.grid), 0, 1.6)
    state.density += (gain * back * cloud * (1.1 - 0.5 * state.height_in_lung())).astype(np.float32)
    state.flow *= (1 - 0.45 * back * (1 - state.height_in_lung()) * np.clip(cloud, 0, 1)).astype(np.float32)
    state.vessel_scale *= 1.12
    for side in (RIGHT, LEFT):
        effusion(state, draw(rng, "effusion.depth_mm") * (1.0 if side == RIGHT else 0.7), side)
    state.findings.append("congestion")


def effusion(state: LungState, depth_mm: float, side: int) -> None:
    """Free fluid layering at the back of one pleural space, with a rim of compressed lung in front of it."""
    anatomy = state.anatomy
    mine = (anatomy.side == side) & (anatomy.lung_mm < 4)
    y = anatomy.grid.axis(1)
    columns = np.flatnonzero((mine & (anatomy.lung_mm < 0)).any(axis=(0, 2)))
    back = y[columns[-1]]
    height = state.height_in_lung()
    level = (back - depth_mm * np.clip(1.15 - 1.35 * height, 0, 1)).astype(np.float32)
    into = y[None, :, None] - level
    fluid = mine & (into > 0)
    anatomy.surroundings_hu[fluid] = 14
    anatomy.lung_mm[mine] = np.maximum(anatomy.lung_mm, into.astype(np.float32))[mine]
    squeezed = np.where(mine & (into > -60), np.exp(np.clip(into, -60, 0) / 6), 0) * (height < 0.8) * (depth_mm > 8)
    state.density += (0.45 * squeezed).astype(np.float32)
    state.flow *= (1 - 0.75 * squeezed).astype(np.float32)
    state.findings.append(f"{'right' if side == RIGHT else 'left'} pleural effusion, {depth_mm:.0f} mm")


def pneumonia(state: LungState, rng: Rng) -> None:
    """Consolidation of one or two segments with ground glass around it; vessels there constrict."""
    share = draw(rng, "pneumonia.share")
    branch = int(rng.choice(state.arteries.branches_feeding((0.4 * share, 1.6 * share))))
    part = slice(state.arteries.first[branch], state.arteries.last[branch])
    soft = ndimage.gaussian_filter(state.territory_of(part), 5.0 / state.anatomy.grid.spacing_mm[0])
    cloud = np.clip(soft * (1.1 + 0.55 * RandomField(rng, 16.0).on(state.anatomy.grid)), 0, 1)
    target, left = draw(rng, "pneumonia.density"), draw(rng, "pneumonia.flow_left")
    before = state.density.copy()
    state.density += (cloud**1.5 * np.clip(target - state.density, 0, None)).astype(np.float32)
    state.flow *= ((1 - (1 - left) * cloud) * before / np.maximum(state.density, before)).astype(np.float32)
    state.findings.append("consolidation")


def post_covid(state: LungState, rng: Rng) -> None:
    """Peripheral, mostly lower ground glass that remains, with less flow in it."""
    extent = draw(rng, "covid.extent")
    gain, left = draw(rng, "covid.density_gain"), draw(rng, "covid.flow_left")
    rim = 2.0 * np.exp(state.anatomy.lung_mm / np.float32(14))
    patch = state.patches(rng, 24.0, rim - 1.0 * state.height_in_lung(), extent)
    before = state.density.copy()
    state.density += (gain * patch).astype(np.float32)
    state.flow *= ((1 - (1 - left) * patch) * before / state.density).astype(np.float32)
    state.cv *= 1.1
    state.findings.append(f"ground glass of {100 * extent:.0f} % of the lung")


def tuberculosis(state: LungState, rng: Rng) -> None:
    """Old disease of one or both tops: scars, a cavity, calcified nodules, thin vessels, little flow."""
    side = RIGHT if rng.random() < 0.6 else LEFT
    apex = np.clip((state.height_in_lung() - 0.62) / 0.38, 0, 1)
    mine = np.where(state.anatomy.side == side, 1.0, 0.35)
    scar = np.clip(state.patches(rng, 13.0, 2.4 * apex * mine, value("tuberculosis.extent")) * (apex > 0.05), 0, 1)
    before = state.density.copy()
    state.density += (0.55 * scar).astype(np.float32)
    state.flow *= (
        (1 - 0.8 * scar) * (1 - value("tuberculosis.flow_lost") * apex * mine) * before / state.density
    ).astype(np.float32)
    state.density *= (1 - 0.2 * apex * mine * (1 - scar)).astype(np.float32)
    lobe = 4 if side == RIGHT else 7
    tops = state.arteries.terminals[state.arteries.lobe == lobe]
    tops = tops[tops[:, 2] > np.quantile(tops[:, 2], 0.65)]
    centre = tops[rng.integers(len(tops))]
    z, y, x = state.anatomy.grid.zyx
    distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    hole = draw(rng, "tuberculosis.cavity_mm")
    wall = np.clip(1 - np.abs(distance - hole - 2.5) / 3, 0, 1)
    state.density += (wall * np.clip(0.95 - state.density, 0, None)).astype(np.float32)
    cavity = distance < hole
    state.density[cavity] = 0.01
    state.not_lung |= cavity
    for _ in range(int(rng.integers(2, 7))):
        _calcified(state, tops[rng.integers(len(tops))], float(rng.uniform(1.5, 3.5)))
    top_terminals = np.isin(state.arteries.lobe, [lobe])
    state.vessel_scale[top_terminals] *= 0.75
    state.findings.append("tuberculous scars with a cavity")


def _calcified(state: LungState, centre: np.ndarray, radius: float) -> None:
    z, y, x = state.anatomy.grid.zyx
    distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    inside = np.clip(0.5 - (distance - radius) / 2, 0, 1).astype(np.float32)
    state.density += inside * (np.float32(1.35) - state.density)


def malformation(state: LungState, rng: Rng) -> None:
    """One or two arteriovenous malformations: a sac with its artery and vein; particles pass it into the body."""
    deep = np.flatnonzero(np.isin(state.arteries.lobe, (5, 6, 8)))
    for _ in range(int(rng.integers(1, 3))):
        sac = draw(rng, "avm.sac_mm") / 2
        end = state.arteries.terminals[deep[rng.integers(len(deep))]]
        side = RIGHT if end[0] < 0 else LEFT
        hilum = state.anatomy.points["right hilum" if side == RIGHT else "left hilum"]
        mass_at(state, rng, end, sac, 1.042)
        for offset in (np.array([0, 6.0, 4.0]), np.array([0, -8.0, -8.0])):
            bend = 0.5 * (hilum + end) + offset * 2
            state.extra_tubes += [(hilum + offset, bend, 0.36 * sac + 1.2), (bend, end, 0.36 * sac + 1.0)]
        near = np.linalg.norm(state.arteries.terminals - end, axis=1) < 3.2 * sac
        state.terminal_flow[near] *= 0.35  # what flows through the sac is not caught
    state.body_background = draw(rng, "shunt.body_background")
    state.findings.append("arteriovenous malformation")


def hepatopulmonary(state: LungState, rng: Rng) -> None:
    """Wide vessels at the bases; particles pass into the body."""
    low = 1 - state.height_in_lung()
    at = np.round(state.anatomy.grid.index_of(state.arteries.terminals)).astype(int)[:, 0]
    state.vessel_scale *= 1 + 0.35 * low[np.clip(at, 0, len(low) - 1), 0, 0]
    state.flow *= (1 - 0.25 * low * np.clip(0.6 + 0.5 * RandomField(rng, 30.0).on(state.anatomy.grid), 0, 1)).astype(
        np.float32
    )
    state.body_background = draw(rng, "shunt.body_background")
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
    has = {name: chance(rng, f"lupus.{name}_probability") for name in ("fibrosis", "effusion", "embolism")}
    parts = rng.spawn(2)
    if has["fibrosis"]:
        fibrosis(state, parts[0], part=0.3)
    if has["effusion"]:
        effusion(state, 0.5 * draw(rng, "effusion.depth_mm"), LEFT)
    if has["embolism"]:
        state.silent_flow *= obstruct(
            state, parts[1], value("dvt.obstructed"), "embolism.residual_flow", (0.006, 0.03)
        )
    state.cv *= value("copd.cv_factor")
    state.findings.append("lupus")


def dissection(state: LungState, rng: Rng) -> None:
    """A small left effusion beside a wide aorta."""
    effusion(state, 0.6 * draw(rng, "effusion.depth_mm"), LEFT)
    state.findings.append("wide aorta")


def renal_failure(state: LungState, rng: Rng) -> None:
    """Fluid overload: a little oedema, a small right effusion."""
    cloud = np.clip(0.6 + 0.4 * RandomField(rng, 30.0).on(state.anatomy.grid), 0, 1.4)
    state.density += (0.4 * draw(rng, "oedema.density_gain") * cloud).astype(np.float32)
    state.gradient_percent_per_cm *= 0.5
    effusion(state, 0.5 * draw(rng, "effusion.depth_mm"), RIGHT)
    state.findings.append("fluid overload")


def venous_thrombosis(state: LungState, rng: Rng) -> None:
    """A third of these patients have small emboli without symptoms."""
    if chance(rng, "dvt.silent_embolism_probability"):
        state.silent_flow *= obstruct(state, rng, value("dvt.obstructed"), "embolism.residual_flow", (0.006, 0.03))
        state.findings.append("silent embolism")


def nonspecific(state: LungState, rng: Rng) -> None:
    """Symptoms with little to see: slightly more uneven flow, sometimes a small dependent opacity."""
    state.cv *= 1 + 0.25 * rng.random()
    if chance(rng, "nonspecific.opacity_probability"):
        rim = np.exp(state.anatomy.lung_mm / np.float32(9))
        y = state.anatomy.grid.axis(1)[None, :, None] / 60
        patch = state.patches(rng, 14.0, 1.5 * rim + y - state.height_in_lung(), 0.03)
        state.density += (0.3 * patch).astype(np.float32)
        state.flow *= (1 - 0.6 * patch).astype(np.float32)
        state.findings.append("dependent opacity")


DISEASES: dict[str, Disease] = {
    "healthy": Disease(),
    "pulmonary hypertension": Disease(_ph_shape, pulmonary_hypertension),
    "chronic pulmonary embolism": Disease(_half_ph_shape, chronic_embolism),
    "acute pulmonary embolism": Disease(None, acute_embolism),
    "lung cancer": Disease(None, lung_cancer),
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
    "fever": Disease(None, nonspecific),
    "post COVID-19": Disease(None, post_covid),
    "shortness of breath": Disease(None, nonspecific),
    "hypoplastic right lung": Disease(_hypoplastic_shape, hypoplastic_right),
    "tuberculosis": Disease(None, tuberculosis),
    "pneumonia": Disease(None, pneumonia),
    "deep venous thrombosis": Disease(None, venous_thrombosis),
}
"""Every diagnosis a virtual patient can have."""
