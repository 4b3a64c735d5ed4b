"""Dense lung, each kind by itself: consolidation, ground glass, collapse, mass, effusion.

What fills or empties a piece of lung raises its density; its blood does not rise with it. So each kind sets its own
density (HU = 1000 (density − 1)) and its own flow *per millilitre*, as a share of what the same place had before:
flow per gram falls by as much as the density rises, and further by what hypoxic vasoconstriction, pressure or
destruction take.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from DLCTPMTrainingLib.common.grid import RandomField
from DLCTPMTrainingLib.common.parameters import draw, value
from DLCTPMTrainingLib.patients.chest_shape import LEFT, RIGHT
from DLCTPMTrainingLib.patients.lung_tissue import LungState, sigmoid

Rng = np.random.Generator


def fill(state: LungState, cloud: np.ndarray, density: float, flow_left: float) -> None:
    """Fill lung up to a density, where ``cloud`` (0…1) is; a share ``flow_left`` of each ml's flow is left."""
    before = np.maximum(state.density, np.float32(0.02))
    gain = cloud * np.clip(density - state.density, 0, None)
    state.density += gain.astype(np.float32)
    state.flow *= ((1 - (1 - flow_left) * cloud) * before / np.maximum(state.density, before)).astype(np.float32)


def veil(state: LungState, cloud: np.ndarray, gain: float, flow_left: float) -> None:
    """Ground glass: ``gain`` g/ml more tissue or fluid where ``cloud`` is, ``flow_left`` of each ml's flow."""
    before = state.density.copy()
    state.density += (gain * cloud).astype(np.float32)
    state.flow *= ((1 - (1 - flow_left) * cloud) * before / np.maximum(state.density, before)).astype(np.float32)


def consolidate(state: LungState, rng: Rng, branch: int) -> None:
    """Consolidation of the lung that a branch feeds, its bronchi open, with ground glass around it."""
    part = slice(state.arteries.first[branch], state.arteries.last[branch])
    spacing = state.anatomy.grid.spacing_mm[0]
    soft = ndimage.gaussian_filter(state.territory_of(part), 5.0 / spacing)
    cloud = np.clip(soft * (1.25 + 0.55 * RandomField(rng, 16.0).on(state.anatomy.grid)), 0, 1)
    target = draw(rng, "consolidation.density")
    halo = np.clip(ndimage.gaussian_filter(cloud, 9.0 / spacing) - cloud, 0, 1)
    veil(state, np.clip(2 * halo, 0, 1), draw(rng, "ground_glass.density_gain"), _ground_glass_flow(state))
    fill(state, cloud**1.5, target, draw(state.unseen, "consolidation.flow_left"))
    share = state.arteries.size[branch] / len(state.arteries.terminals)
    state.findings.append(f"consolidation of {100 * share:.0f} % of the lung")


def ground_glass(state: LungState, rng: Rng, patch: np.ndarray) -> None:
    """Ground glass of one depth where ``patch`` is."""
    veil(state, patch, draw(rng, "ground_glass.density_gain"), _ground_glass_flow(state))


def _ground_glass_flow(state: LungState) -> float:
    return draw(state.unseen, "ground_glass.flow_left")


def collapse(state: LungState, rng: Rng) -> None:
    """The lobe that the chest's shape has lost to a closed bronchus: airless, its vessels close together."""
    lobe = state.anatomy.shape.lost_lobe
    mine = (state.anatomy.lobe == lobe) & (state.anatomy.lung_mm < 3)
    cloud = np.clip(ndimage.gaussian_filter(mine.astype(np.float32), 1.0), 0, 1)
    fill(state, cloud, draw(rng, "atelectasis.density"), draw(state.unseen, "atelectasis.flow_left"))
    state.airless |= mine
    state.findings.append("lobar collapse")


def expand(state: LungState) -> None:
    """Lung that takes up the room of a lost lobe keeps its tissue: less of it, and less blood, in each millilitre."""
    shape = state.anatomy.shape
    for index, side in enumerate((RIGHT, LEFT)):
        if shape.stretch[index] != 1:
            others = (state.anatomy.side == side) & (state.anatomy.lobe != shape.lost_lobe)
            state.density[others] /= np.float32(shape.stretch[index])


def mass(state: LungState, rng: Rng, centre: np.ndarray, radius_mm: float) -> np.ndarray:
    """A solid tumour; bronchial arteries feed it, little of the pulmonary blood. Returns its soft outline (0…1)."""
    density = 1 + draw(rng, "mass.hu") / 1000
    return lump(state, rng, centre, radius_mm, density, draw(state.unseen, "mass.flow_left"))


def lump(
    state: LungState, rng: Rng, centre: np.ndarray, radius_mm: float, density: float, flow_share: float
) -> np.ndarray:
    """Put something solid with an uneven margin into the lung, which is then no lung; returns its outline (0…1).

    ``flow_share`` is its flow per ml as a share of the lung's median.
    """
    z, y, x = state.anatomy.grid.zyx
    distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    uneven = 0.16 * radius_mm * RandomField(rng, max(0.6 * radius_mm, 5.0)).on(state.anatomy.grid)
    outline = np.clip(0.5 - (distance + uneven - radius_mm) / 3.0, 0, 1).astype(np.float32)
    usual = float(np.median((state.density * state.flow)[state.anatomy.lung_mm < 0][::7]))
    state.density += outline * (np.float32(density) - state.density)
    core = np.clip(2 * outline, 0, 1)
    fed = state.density * np.maximum(state.of_terminal(state.terminal_flow), np.float32(0.02))
    state.flow += core * (np.float32(flow_share * usual) / fed - state.flow)
    state.not_lung |= outline > 0.5
    return outline


def effusion(state: LungState, rng: Rng, depth_mm: float, side: int) -> None:
    """Free fluid layering at the back of one pleural space; it displaces the lung and compresses what lies on it."""
    anatomy = state.anatomy
    mine = (anatomy.side == side) & (anatomy.lung_mm < 4)
    y = anatomy.grid.axis(1)
    columns = np.flatnonzero((mine & (anatomy.lung_mm < 0)).any(axis=(0, 2)))
    back = y[columns[-1]]
    height = state.height_in_lung()
    depth = (depth_mm * np.clip(1.15 - 1.35 * height, 0, 1)).astype(np.float32)
    into = y[None, :, None] - (back - depth)
    fluid = mine & (into > 0)
    anatomy.surroundings_hu[fluid] = draw(rng, "effusion.hu")
    anatomy.lung_mm[mine] = np.maximum(anatomy.lung_mm, into.astype(np.float32))[mine]
    # what the fluid displaces is partly compressed: a layer of airless lung, thin beside the fluid's depth
    layer = value("effusion.compressed_share") * depth
    rim = np.where(mine, sigmoid(1.5 * (into + layer)), 0) * (depth > 4)
    fill(state, rim, draw(rng, "atelectasis.density"), draw(state.unseen, "atelectasis.flow_left"))
    state.findings.append(f"{'right' if side == RIGHT else 'left'} pleural effusion, {depth_mm:.0f} mm")
