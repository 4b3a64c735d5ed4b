"""Every number that makes a virtual patient, in one table: value or range, unit, where it comes from.

The third column is the evidence: **literature**, the source gives the figure or range; **derived**, it follows from
the source's finding (a mean and its spread turned into a range, a description into a factor); **assumption**, no
figure was found and a plausible range was taken, for the reason given. None is tuned to reach any agreement figure.

A value is one number (fixed), two numbers (drawn evenly between them) or ``mean ± SD`` (normal, cut at two SD).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_TABLE = """
# persons
age.years | 67 ± 14 | literature | years | the paper, Table 1
height_m.male | 1.66 ± 0.06 | derived | m | NCD-RisC 2020, Lancet 396:1511 (Hong Kong), less the loss with age
height_m.female | 1.54 ± 0.06 | derived | m | the same
inspiration_fraction | 0.68 0.95 | derived | of predicted TLC | Yamada 2020, Respiration 99:598: supine breath-hold \
CT about 0.9 of TLC; free breathing less
# chest
chest.width_factor | 0.94 1.06 | derived | ratio | Bellemare 2003, Am J Respir Crit Care Med 168:305
chest.depth_to_width | 0.64 0.76 | derived | ratio | Bellemare 2003
diaphragm.dome_mm | 64 84 | derived | mm above the recess | Suwatanapongched 2003, Chest 123:2019
diaphragm.right_above_left_mm | 6 18 | literature | mm | Felson, Chest Roentgenology, 1973
diaphragm.drop_mm | 64 80 | assumption | mm | depth of the posterior recess below the dome on CT
heart.size | 0.92 1.06 | derived | ratio | cardiothoracic ratio below 0.5, Danzer 1919, Am J Med Sci 157:513
heart.per_year | 0.0015 | assumption | ratio per year from 60 | heart grows slightly with age
aorta.size | 0.90 1.08 | derived | ratio | Wolak 2008, JACC Cardiovasc Imaging 1:200: ascending aorta 33 ± 4 mm
aorta.per_year | 0.004 | derived | ratio per year from 60 | Wolak 2008: about 1.3 mm a decade
body.wall_mm | 26 46 | assumption | mm | from pleura to skin at the side, thin to stout
body.fat_mm | 7 22 | assumption | mm | subcutaneous part of it; women 1.25 times as much
body.breast_mm | 4 26 | assumption | mm | height when supine
lobe_share.right lower | 0.494 ± 0.040 | literature | of right lung | Yamada 2020 Table 3, supine: 26.5 of 53.6 %
lobe_share.right middle | 0.173 ± 0.027 | literature | of right lung | the same: 9.3 of 53.6 %
lobe_share.left lower | 0.500 ± 0.040 | literature | of left lung | the same: 23.2 of 46.4 %
# tree
tree.terminal_ml | 1.6 | derived | ml | about 9 acini of 187 mm³, Haefeli-Bleuer & Weibel 1988, Anat Rec 220:401
tree.advance | 0.42 | literature | of the way to the centroid | Tawhai 2000, Ann Biomed Eng 28:793: 0.4
tree.split_sd | 0.09 | derived | SD of one child's share | Kitaoka 1999, J Appl Physiol 87:2207: flow-dividing ratio
artery.main_radius_mm | 8.0 9.8 | derived | mm | trunk 27 mm wide (Edwards 1998, Br J Radiol 71:1018), halved area
artery.radius_exponent | 0.38 | derived | 1 | Huang 1996, J Appl Physiol 81:2123: diameter ratio 1.58, branching 3.36
vein.radius_factor | 0.8 | assumption | ratio | the drawn venous tree is coarser
airway.to_artery | 0.55 0.75 | literature | lumen/artery | Kim 1995, J Comput Assist Tomogr 19:365: 0.62 ± 0.13
# density of the healthy lung
density.mean | 0.138 ± 0.014 | derived | g/ml without drawn vessels | CT of −850…−800 HU; vessels add 0.03
density.per_mm_diaphragm | 0.006 | derived | per mm higher | same mass in 27 ml less of 4.5 l a millimetre
density.gradient | 2.2 4.0 | derived | % per cm dorsal | Hopkins 2007, J Appl Physiol 103:240: dependent lung 40 % \
denser; Verschakelen 1993, AJR 161:713
density.dependent_rim | 0.0 0.10 | derived | g/ml | dependent density, Webb, High-Resolution CT of the Lung
density.texture | 0.05 0.10 | assumption | CV | lobule-to-lobule attenuation
blood.share | 0.5 | literature | of parenchymal mass | Brudin 1987, J Appl Physiol 63:1324: 0.16 of 0.29 g/ml
blood.exponent | 0.4 | assumption | blood volume ∝ flow^k | between fixed volume (0) and fixed transit time (1)
# flow of the healthy lung, supine
flow.gradient | 1.5 3.5 | derived | % per cm dorsal, per gram | Hopkins 2007; ventral about half of dorsal per ml
flow.periphery | 0.80 0.95 | derived | ratio at the pleura | Hakim 1987, J Appl Physiol 63:1114: higher centrally
flow.periphery_mm | 22 | assumption | mm | over which it recovers
flow.cv | 0.20 0.30 | derived | CV at 1.6 ml without gravity | Petersson & Glenny 2014, Eur Respir J 44:1023: \
gravity explains a minor part of the spread
flow.fractal_dimension | 1.15 | literature | 1 | Glenny & Robertson 1990, J Appl Physiol 69:532: 1.09 in dogs; \
Venegas & Galletti 2000, J Appl Physiol 88:1365: more by PET
flow.right_to_left | 1.0 ± 0.04 | derived | flow per gram | scintigraphic split 53:47 beside volumes of 53.6:46.4
flow.cardiac_output | 4.0 6.0 | literature | l/min | at rest
# what age brings to any lung
incidental.emphysema_probability | 0.25 | assumption | above 60 years | mild emphysema is common in older smokers
incidental.emphysema_extent | 0.01 0.08 | assumption | of the lung | the same
incidental.band_probability | 0.35 | assumption | 1 | plate atelectasis, Westcott & Cole 1985, Radiology 155:1
# emphysema, obstructive disease
copd.extent | 0.10 0.42 | literature | of the lung | Schroeder 2013, AJR 201:W460: share below −950 HU by GOLD stage
copd.hyperinflation_mm | 8 30 | assumption | mm lower diaphragm | flattened diaphragm
copd.cv_factor | 1.25 | assumption | × | Alford 2010, PNAS 107:7485: more uneven flow
emphysema.density_left | 0.15 0.35 | derived | ratio | below −950 HU, Gevenois 1996, Am J Respir Crit Care Med 154:187
emphysema.flow_left | 0.15 0.50 | assumption | ratio per gram | capillaries are lost with the walls
emphysema.vessel_left | 0.5 | assumption | × calibre | vessels are few and thin in it, Webb
# pulmonary hypertension
ph.cv_factor | 1.4 2.1 | assumption | × | patchy perfusion scans, ESC/ERS guidelines 2022
ph.gradient_factor | 0.1 0.5 | assumption | × | recruitment at high pressure levels flow out (West zones)
ph.trunk_factor | 1.15 1.5 | literature | × | Tan 1998, Chest 113:1250: trunk of 29 mm and more
ph.heart_factor | 1.03 1.16 | assumption | × | dilated right heart
ph.pruning | 0.65 0.95 | derived | × calibre | Rahaghi 2016, Pulm Circ 6:70: loss of small vessels
ph.mosaic_probability | 0.35 | derived | 1 | Sherrick 1997, AJR 169:79: most vascular causes, few others
# embolism
embolism.obstructed | 0.15 0.50 | assumption | of the lung | moderate to severe obstruction on perfusion scans
embolism.residual_flow | 0.03 0.35 | assumption | ratio | full or partial occlusion
cteph.residual_flow | 0.08 0.45 | assumption | ratio | partly reopened
cteph.attenuation | 0.68 0.86 | derived | × density | King 1994, Radiology 191:359: dark regions are hypoperfused
cteph.vessel_factor | 0.45 0.70 | derived | × calibre | Bergin 1996, AJR 166:1371: uneven segmental vessels
cteph.cv_factor | 1.1 1.5 | assumption | × | arteriopathy in open branches
cteph.scar_probability | 0.4 | assumption | 1 | subpleural scars of infarcts
dvt.silent_embolism_probability | 0.32 | literature | 1 | Stein 2010, Am J Med 123:426
dvt.obstructed | 0.07 | assumption | of the lung | small emboli
# lung cancer
cancer.diameter_mm | 14 62 | literature | mm | T1 to T3, Detterbeck 2017, Chest 151:193
cancer.central_probability | 0.45 | derived | 1 | Hollings & Shaw 2002, Eur Respir J 19:722
cancer.residual_flow | 0.05 0.50 | assumption | ratio downstream | narrowed to closed artery
cancer.emphysema_probability | 0.5 | literature | 1 | Loganathan 2006, Chest 129:1305: obstructive disease in half
cancer.collapse_probability | 0.3 | assumption | 1 if central | obstructed bronchus, Woodring 1988, AJR 150:757
# fibrosis
fibrosis.extent | 0.15 0.45 | derived | of the lung | Best 2008, Radiology 246:935
fibrosis.density_gain | 0.15 0.42 | derived | g/ml | reticulation of −700…−450 HU
fibrosis.flow_left | 0.25 0.60 | derived | ratio per ml | Strickland 1993, AJR 161:719: defects where CT is abnormal
# fluid
oedema.density_gain | 0.04 0.14 | derived | g/ml | ground glass, Gluecker 1999, Radiographics 19:1507
oedema.gradient | -2.0 0.0 | derived | % per cm dorsal, per gram | West 1965, Circ Res 17:191: oedema turns flow up
failure.heart_factor | 1.10 1.22 | assumption | × | cardiomegaly
effusion.depth_mm | 12 46 | derived | mm | Moy 2013, Chest 143:1054: small to moderate
# infection
pneumonia.share | 0.05 0.15 | assumption | of the lung | one or two segments
pneumonia.density | 0.55 0.95 | derived | g/ml | partly aerated to full consolidation
pneumonia.flow_left | 0.15 0.50 | assumption | ratio per ml | hypoxic vasoconstriction
covid.extent | 0.06 0.25 | derived | of the lung | Han 2021, Radiology 299:E177 (after six months)
covid.density_gain | 0.10 0.28 | derived | g/ml | ground glass
covid.flow_left | 0.50 0.85 | derived | ratio per ml | Dhawan 2021, Lancet Respir Med 9:107
tuberculosis.extent | 0.11 | assumption | of the lung, scars | post-primary disease of the upper lobes
tuberculosis.cavity_mm | 7 15 | assumption | mm radius | the same
tuberculosis.flow_lost | 0.55 | assumption | at the affected apex | scarred vessels
# the others
hypoplasia.size | 0.70 0.84 | derived | × width | Berrocal 2004, Radiographics 24:e17
hypoplasia.flow | 0.3 0.6 | assumption | × flow per gram | small right pulmonary artery
lupus.shrinking_mm | 6 24 | derived | mm higher diaphragm | Borrell 2016, Medicine 95:e4626
lupus.fibrosis_probability | 0.6 | assumption | 1 | of some degree on CT
lupus.effusion_probability | 0.4 | assumption | 1 | serositis
lupus.embolism_probability | 0.4 | assumption | 1 | antiphospholipid antibodies
dissection.aorta_factor | 1.3 1.7 | derived | × | dilated aorta
avm.sac_mm | 9 22 | literature | mm | Gossage & Kanj 1998, Am J Respir Crit Care Med 158:643
shunt.body_background | 0.10 0.30 | derived | of lung level | Whyte 1992, Thorax 47:790: particles in the body
nonspecific.opacity_probability | 0.35 | assumption | 1 | a small dependent opacity
# CT
ct.noise_hu | 14 34 | assumption | HU SD at 0.98 × 0.98 × 1.25 mm | low-dose SPECT/CT to diagnostic dose
ct.noise_blur_mm | 0.45 0.90 | assumption | mm SD | lung to soft kernel
ct.offset_hu | 0 ± 6 | assumption | HU | scanner calibration
ct.blood_hu | 35 50 | literature | HU | unenhanced blood
# SPECT
spect.fwhm_mm | 13.0 15.0 | derived | mm | about 14 mm after 2 × 10 OSEM and a 9 mm filter, beside breathing
spect.breathing_mm | 7 16 | derived | mm at the base | Seppenwoolde 2002, Int J Radiat Oncol Biol Phys 53:822: 12 mm
spect.noise | 0.06 0.12 | derived | SD/mean in the lung | 4–5 million counts
spect.noise_fwhm_mm | 10.0 13.0 | derived | mm, autocorrelation | post-filtered OSEM
spect.noise_power | 0.75 | derived | SD ∝ value^k | Poisson 0.5, EM 1 (Barrett 1994, Phys Med Biol 39:833)
spect.scatter | 0.02 0.05 | assumption | of counts | left after window-based correction
spect.scatter_mm | 38 | assumption | mm SD | scatter tail in the chest
spect.body_background | 0.006 0.020 | assumption | of lung level | free pertechnetate, small shunts
spect.shift_mm | 0 ± 3.5 | derived | mm along each axis, emission against CT | Goetze & Wahl 2007, \
J Nucl Cardiol 14:200: more than a pixel in four of ten patients
spect.high_ph | 1800 5600 | derived | raw value at the 75th percentile | the paper: 1,000–12,000 in hypertension
spect.high_other | 900 2300 | derived | raw value at the 75th percentile | the paper: mostly below 5,000
"""


@dataclass(frozen=True)
class Parameter:
    """One row: ``kind`` "fixed" (``low``), "uniform" (``low`` … ``high``) or "normal" (mean ``low``, SD ``high``)."""

    kind: str
    low: float
    high: float
    evidence: str
    unit: str
    source: str


def _parse(line: str) -> tuple[str, Parameter]:
    name, numbers, evidence, unit, source = (cell.strip() for cell in line.split("|"))
    if "±" in numbers:
        low, high = (float(part) for part in numbers.split("±"))
        kind = "normal"
    else:
        values = [float(part) for part in numbers.split()]
        low, high, kind = values[0], values[-1], "fixed" if len(values) == 1 else "uniform"
    return name, Parameter(kind, low, high, evidence, unit, source)


PARAMETERS: dict[str, Parameter] = dict(
    _parse(line) for line in _TABLE.splitlines() if line and not line.startswith("#")
)
"""The table by name (``topic.quantity``)."""


def draw(rng: np.random.Generator, name: str) -> float:
    """Draw a parameter that has a range; one number is taken from the stream."""
    entry = PARAMETERS[name]
    if entry.kind == "normal":
        return float(entry.low + entry.high * np.clip(rng.standard_normal(), -2, 2))
    if entry.kind == "fixed":
        raise KeyError(f"{name} is a fixed value: ask for value({name!r})")
    return float(entry.low + (entry.high - entry.low) * rng.random())


def chance(rng: np.random.Generator, name: str) -> bool:
    """Whether something of a fixed probability happens; one number is taken from the stream."""
    return bool(rng.random() < value(name))


def value(name: str) -> float:
    """The value of a fixed parameter."""
    entry = PARAMETERS[name]
    if entry.kind != "fixed":
        raise KeyError(f"{name} is a range: draw it")
    return entry.low
