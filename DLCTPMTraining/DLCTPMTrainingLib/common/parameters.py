"""Every number that makes a virtual patient, in one table: value or range, unit, where it comes from.

The third column is the evidence: **literature**, the source gives the figure or range; **derived**, it follows from
the source's finding (a mean and its spread turned into a range, a description into a factor); **assumption**, no
figure was found and a plausible range was taken, for the reason given. None is tuned to reach any agreement figure.
Sources named were looked up, mostly in the abstract or one table; where one gives another figure, the row says so
("above the …"), as the values stay with the cohorts that were made from them.

A value is one number (fixed), two numbers (drawn evenly between them) or ``mean ± SD`` (normal, cut at two SD).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_TABLE = """
# persons
age.years | 67 ± 14 | literature | years | the paper, Table 1
height_m.male | 1.66 ± 0.06 | assumption | m | older men of Hong Kong, shorter than the young ones of NCD-RisC \
2020 (Lancet 396:1511)
height_m.female | 1.54 ± 0.06 | assumption | m | the same for women
inspiration_fraction | 0.68 0.95 | derived | of predicted TLC | Yamada 2020, Respiration 99:598: supine \
breath-hold CT 0.90 of standing, which is near TLC; free breathing less
# chest
chest.width_factor | 0.94 1.06 | assumption | ratio | spread about the mean of one sex and height; women are \
narrower (Bellemare 2003, Am J Respir Crit Care Med 168:305)
chest.depth_to_width | 0.64 0.76 | assumption | ratio | chests of older adults on CT
diaphragm.dome_mm | 64 84 | derived | mm above the recess | above the 51 ± 11 mm of upright full inspiration \
(Alghamdi 2021, Int J Biomed 11:206), as supine and less full
diaphragm.right_above_left_mm | 6 18 | derived | mm | Alghamdi 2021: 51 mm right, 38 mm left
diaphragm.drop_mm | 64 80 | assumption | mm | depth of the posterior recess below the dome on CT
heart.size | 0.92 1.06 | assumption | ratio | cardiothoracic ratio below one half
heart.per_year | 0.0015 | assumption | ratio per year from 60 | heart grows slightly with age
aorta.size | 0.90 1.08 | derived | ratio | Wolak 2008, JACC Cardiovasc Imaging 1:200: ascending aorta 33 ± 4 mm
aorta.per_year | 0.004 | assumption | ratio per year from 60 | grows with age (Wolak 2008, no rate in what was \
read), about 1.3 mm a decade
body.wall_mm | 26 46 | assumption | mm | from pleura to skin at the side, thin to stout
body.fat_mm | 7 22 | assumption | mm | subcutaneous part of it; women 1.25 times as much
body.breast_mm | 4 26 | assumption | mm | height when supine
lobe_share.right lower | 0.494 ± 0.040 | derived | of right lung | Yamada 2020, Table 3, supine: 26.5 ± 2.6 of \
53.6 %; SD a little narrower
lobe_share.right middle | 0.173 ± 0.027 | derived | of right lung | the same: 9.3 ± 1.6 of 53.6 %
lobe_share.left lower | 0.500 ± 0.040 | derived | of left lung | the same: 23.2 ± 2.4 of 46.4 %
# tree
tree.terminal_ml | 1.6 | derived | ml | about 9 acini of 187 mm³, Haefeli-Bleuer & Weibel 1988, Anat Rec 220:401
tree.advance | 0.42 | assumption | of the way to the centroid | the algorithm is that of Tawhai 2000, Ann Biomed \
Eng 28:793; its share, usually 0.4, was not read there
tree.split_sd | 0.09 | assumption | SD of one child's share | flow follows the volume supplied (Kitaoka 1999, J \
Appl Physiol 87:2207); the spread is not from there
artery.main_radius_mm | 8.0 9.8 | derived | mm | trunk 27 ± 3 mm wide (Edwards 1998, Br J Radiol 71:1018), halved \
area
artery.radius_exponent | 0.38 | derived | 1 | between 1/2.9 (Dong 2020, Am J Physiol Heart Circ Physiol 319:H432) \
and 1/2.3 (Nakamura & Awa 2014, Physiol Rep 2:e00236)
vein.radius_factor | 0.8 | assumption | ratio | the drawn venous tree is coarser
airway.to_artery | 0.55 0.75 | derived | lumen/artery | 0.62 ± 0.13 at sea level (J Comput Assist Tomogr, March \
1997, PMID 9071307); below old age, where 41 % exceed 1 (Matsuoka 2003, AJR 180:513)
# density of the healthy lung
density.mean | 0.138 ± 0.014 | derived | g/ml without drawn vessels | CT of −850…−800 HU, vessels add 0.03; \
peripheral lung 0.07 at TLC and 0.27 at residual volume (Millar & Denison 1989, Thorax 44:485)
density.per_mm_diaphragm | 0.006 | derived | per mm higher | same mass in 27 ml less of 4.5 l a millimetre
density.gradient | 2.2 4.0 | derived | % per cm dorsal | Brudin 1987, J Appl Physiol 63:1324: dorsal to ventral \
1.34 in quiet breathing; steep for deep inspiration (slight at TLC, Millar & Denison 1989)
density.dependent_rim | 0.0 0.10 | assumption | g/ml | dependent density of supine CT
density.texture | 0.05 0.10 | assumption | CV | lobule-to-lobule attenuation
blood.share | 0.5 | derived | of parenchymal mass | below the 0.18 of 0.28 g/ml (0.64) of Brudin 1987, which \
counts the large vessels
blood.exponent | 0.4 | assumption | blood volume ∝ flow^k | between fixed volume (0) and fixed transit time (1)
# flow of the healthy lung, supine
flow.gradient | 1.5 3.5 | derived | % per cm dorsal, per gram | with density 5.5 (3.3–7.0) % per cm by PET \
(Winkler 2022, Respir Res 23, doi 10.1186/s12931-022-02239-8, Table 2), 2.6 by CT with none per gram \
(PMC4294417): upper half steep, healthy virtual patients have 6.0–7.8
flow.periphery | 0.80 0.95 | derived | ratio at the pleura | falls from hilum to pleura in sheep, r² 0.20 \
(Walther 1997, J Appl Physiol 82:678)
flow.periphery_mm | 22 | assumption | mm | over which it recovers
flow.cv | 0.20 0.30 | derived | CV at 1.6 ml without gravity | 0.20 (0.14–0.26) by PET in man, with gravity 0.30 \
(0.24–0.40) (Winkler 2022); pieces of 2 ml 0.30 ± 0.07 in prone sheep (Walther 1997). Virtual patients with \
normal lungs smoothed to 13 mm: 0.20–0.28, with gravity 0.31–0.42, above Winkler
flow.fractal_dimension | 1.15 | derived | 1 | a little below the 1.2 of rats, dogs, pigs and horses (Glenny, \
Bernard & Robertson, J Appl Physiol, "Pulmonary blood flow remains fractal"); method for PET: Venegas & Galletti \
2000, J Appl Physiol 88:1365
flow.right_to_left | 1.0 ± 0.04 | derived | flow per gram | 52.5:47.5 ± 2.1 % in 206 normal scans (Cheng 2006, \
Congenit Heart Dis 1:210) beside volumes of 53.6:46.4 would be 0.96
flow.cardiac_output | 4.0 6.0 | assumption | l/min | at rest; only relative perfusion is used
# what age brings to any lung
incidental.emphysema_probability | 0.25 | derived | above 60 years | 24 % of 52,726 people screened, most of them \
smokers (Steiger 2021, Clin Imaging); far above 2.9 % in a screening in Nagano (7,847 people)
incidental.emphysema_extent | 0.01 0.08 | assumption | of the lung | mild
incidental.band_probability | 0.35 | assumption | 1 | plate atelectasis, Westcott & Cole 1985, Radiology 155:1, \
who do not say how frequent
# emphysema, obstructive disease
copd.extent | 0.10 0.42 | derived | of the lung | 2.6–68 % of the lung in COPD (PMC17692); grows with airflow \
obstruction (Schroeder 2013, AJR 201:W460)
copd.hyperinflation_mm | 8 30 | assumption | mm lower diaphragm | flattened diaphragm
copd.cv_factor | 1.25 | assumption | × | more uneven flow in smokers with early emphysema ("Heterogeneity of \
pulmonary perfusion", PNAS 2010); the factor is not from there
emphysema.density_left | 0.15 0.35 | derived | ratio | below −950 HU, Gevenois 1995, Am J Respir Crit Care Med \
152:653
emphysema.flow_left | 0.15 0.50 | assumption | ratio per gram | capillaries are lost with the walls; per ml COPD \
loses 29–52 % (Hueper 2015, Am J Respir Crit Care Med 192:570)
emphysema.vessel_left | 0.5 | assumption | × calibre | vessels are few and thin in it
# pulmonary hypertension
ph.cv_factor | 1.4 2.1 | assumption | × | diffuse patchy scans (JACC Cardiovasc Imaging 2018, 11:1487); above the \
1.1 of PET, 0.22 in 4 patients beside 0.20 in 5 others without gravity (Winkler 2022), where the virtual ones \
have 0.26–0.51
ph.gradient_factor | 0.1 0.5 | derived | × | Winkler 2022: 3.1 (2.3–4.8) beside 5.5 % per cm, density included; \
virtual patients 3.3–5.4
ph.trunk_factor | 1.15 1.5 | derived | × | Tan 1998, Chest 113:1250: trunk of 35 ± 6 beside 27 ± 2 mm
ph.heart_factor | 1.03 1.16 | assumption | × | dilated right heart
ph.pruning | 0.65 0.95 | derived | × calibre | Rahaghi 2016, Pulm Circ 6:70 (thromboembolic): small vessels hold \
2.7 instead of 3.2; the lower end goes further
ph.mosaic_probability | 0.35 | derived | 1 | 74 % of vascular, 5–12 % of other causes (Sherrick 1997, AJR \
169:79); above 18 % of 189 patients (Diseases 2015, 3:205)
# embolism
embolism.obstructed | 0.15 0.50 | assumption | of the lung | moderate to severe obstruction on perfusion scans; \
below the defect score of 59 ± 13 % of chronic disease (PMID 34785945)
embolism.residual_flow | 0.03 0.35 | assumption | ratio | full or partial occlusion
cteph.residual_flow | 0.08 0.45 | assumption | ratio | partly reopened
cteph.attenuation | 0.68 0.86 | assumption | × density | dark regions of the mosaic (Bergin 1996, AJR 166:1371); \
the factor is not from there
cteph.vessel_factor | 0.45 0.70 | derived | × calibre | Bergin 1996: segmental vessels differ measurably in size
cteph.cv_factor | 1.1 1.5 | assumption | × | arteriopathy in open branches
cteph.scar_probability | 0.4 | assumption | 1 | peripheral scars are one of the signs of Bergin 1996
dvt.silent_embolism_probability | 0.32 | literature | 1 | Stein 2010, Am J Med 123:426: 1665 of 5233
dvt.obstructed | 0.07 | assumption | of the lung | small emboli
# lung cancer
cancer.diameter_mm | 14 62 | derived | mm | T1 to T3 reach 70 mm (Detterbeck, Boffa, Kim & Tanoue, The Eighth \
Edition Lung Cancer Stage Classification)
cancer.central_probability | 0.45 | assumption | 1 | about half; no share read in Hollings & Shaw 2002, Eur \
Respir J 19:722
cancer.residual_flow | 0.05 0.50 | assumption | ratio downstream | narrowed to closed artery
cancer.emphysema_probability | 0.5 | derived | 1 | emphysema on CT in 59 % (PMC4809346); COPD in 53 % of women \
and 73 % of men (Loganathan 2006, Chest 129:1305)
cancer.collapse_probability | 0.3 | assumption | 1 if central | tumours cause collapse (27 of 50, Woodring 1988, \
AJR 150:757); how many do is not told
# fibrosis
fibrosis.extent | 0.15 0.45 | assumption | of the lung | mild to advanced; extent foretells survival (Best 2008, \
Radiology 246:935), figures not read
fibrosis.density_gain | 0.15 0.42 | assumption | g/ml | reticulation of −700…−450 HU
fibrosis.flow_left | 0.25 0.60 | derived | ratio per ml | Strickland 1993, AJR 161:719: honeycombing is \
unperfused; more is left where fibrosis is milder
# fluid
oedema.density_gain | 0.04 0.14 | assumption | g/ml | ground glass (forms of oedema: Gluecker 1999, Radiographics \
19:1507)
oedema.gradient | -2.0 0.0 | derived | % per cm dorsal, per gram | West 1965, Circ Res 17:191: oedema raises the \
resistance of dependent dog lung; SPECT gradients show it (PMC6165926)
failure.heart_factor | 1.10 1.22 | assumption | × | cardiomegaly
effusion.depth_mm | 12 46 | derived | mm | Moy 2013, Chest 143:1054: small below 30 mm, moderate below 100 mm
# infection
pneumonia.share | 0.05 0.15 | assumption | of the lung | one or two segments
pneumonia.density | 0.55 0.95 | assumption | g/ml | partly aerated to full consolidation
pneumonia.flow_left | 0.15 0.50 | assumption | ratio per ml | hypoxic vasoconstriction
covid.extent | 0.06 0.25 | assumption | of the lung | changes remain after six months (Han 2021, Radiology \
299:E177), extent not read
covid.density_gain | 0.10 0.28 | assumption | g/ml | ground glass
covid.flow_left | 0.50 0.85 | assumption | ratio per ml | defects in 57 % after mild disease (Egypt J Radiol Nucl \
Med 2021, doi 10.1186/s43055-021-00521-1); acute opacities mostly hold more blood (Poschenrieder 2021, PLoS One \
16:e0252478)
tuberculosis.extent | 0.11 | assumption | of the lung, scars | post-primary disease of the upper lobes
tuberculosis.cavity_mm | 7 15 | assumption | mm radius | the same
tuberculosis.flow_lost | 0.55 | assumption | at the affected apex | scarred vessels
# the others
hypoplasia.size | 0.70 0.84 | assumption | × width | a mild form; the malformation: Berrocal 2004, Radiographics \
24:e17
hypoplasia.flow | 0.3 0.6 | assumption | × flow per gram | small right pulmonary artery
lupus.shrinking_mm | 6 24 | assumption | mm higher diaphragm | raised diaphragm; every patient has it here, 1.1 % \
in Borrell 2016, Medicine 95:e4626
lupus.fibrosis_probability | 0.6 | assumption | 1 | of some degree on CT; above 38 % of 29 (PMID 9307858) and 11 \
% of 505 (Chen 2020, Arch Rheumatol 35:239)
lupus.effusion_probability | 0.4 | assumption | 1 | serositis; above pleuropericardial signs in 17 % of 29 (PMID \
9307858)
lupus.embolism_probability | 0.4 | assumption | 1 | antiphospholipid antibodies
dissection.aorta_factor | 1.3 1.7 | assumption | × | dilated aorta
avm.sac_mm | 9 22 | assumption | mm | a nodule of up to some centimetres; feeding artery 4.1 ± 1.9 mm (Ma 2022, \
Respir Res 23, doi 10.1186/s12931-022-02030-9)
shunt.body_background | 0.10 0.30 | assumption | of lung level | far above what a shunt of 23 ± 16 % (PMID \
1481178) leaves if spread evenly, about 0.02
nonspecific.opacity_probability | 0.35 | assumption | 1 | a small dependent opacity
# CT
ct.noise_hu | 14 34 | assumption | HU SD at 0.98 × 0.98 × 1.25 mm | low-dose SPECT/CT to diagnostic dose
ct.noise_blur_mm | 0.45 0.90 | assumption | mm SD | lung to soft kernel
ct.offset_hu | 0 ± 6 | assumption | HU | scanner calibration
ct.blood_hu | 35 50 | literature | HU | unenhanced aorta 40–50 HU, with anaemia 24–37, quartiles of 325 people \
(Research Square rs-1420003)
# SPECT
spect.fwhm_mm | 13.0 15.0 | derived | mm | about 14 mm after 2 × 10 OSEM and a 9 mm filter, beside breathing
spect.breathing_mm | 7 16 | derived | mm at the base | liver 11.9 (5.1–17.3) mm, Liang 2018, J Appl Clin Med Phys \
19:94
spect.noise | 0.06 0.12 | derived | SD/mean in the lung | 4–5 million counts
spect.noise_fwhm_mm | 10.0 13.0 | derived | mm, autocorrelation | post-filtered OSEM
spect.noise_power | 0.75 | derived | SD ∝ value^k | Poisson 0.5, EM 1 (Barrett 1994, Phys Med Biol 39:833)
spect.scatter | 0.02 0.05 | assumption | of counts | left after window-based correction
spect.scatter_mm | 38 | assumption | mm SD | scatter tail in the chest
spect.body_background | 0.006 0.020 | assumption | of lung level | free pertechnetate and a normal shunt of 2.7 % \
(PMID 1481178)
spect.shift_mm | 0 ± 3.5 | derived | mm along each axis, emission against CT | heart misplaced moderately or \
severely in 42 % (Goetze & Wahl 2007, J Nucl Cardiol 14:200), by more than a pixel in 73 % of 248 studies (J Nucl \
Med, September 2009)
spect.high_ph | 1800 5600 | derived | raw value at the 75th percentile | the paper: 1,000 to 12,000 in \
hypertension
spect.high_other | 900 2300 | derived | raw value at the 75th percentile | the paper: typically less than 5,000
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
