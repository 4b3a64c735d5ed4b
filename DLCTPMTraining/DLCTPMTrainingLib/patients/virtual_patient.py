"""One virtual patient from one seed: anatomy, disease, perfusion, CT with labels, SPECT. Everything is *simulated*.

Each stage draws from its own random stream, so a change in one leaves the others as they were; the healthy twin of a
patient is the same seed, sex and age with the diagnosis "healthy".
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.simulated import mark
from DLCTPMTrainingLib.common.grid import Grid
from DLCTPMTrainingLib.common.parameters import draw, parameters
from DLCTPMTrainingLib.patients.anatomy import Anatomy, build_anatomy
from DLCTPMTrainingLib.patients.chest_shape import chest_grid, sample_shape
from DLCTPMTrainingLib.patients.ct_rendering import render_ct, vessels_of
from DLCTPMTrainingLib.patients.diseases import DISEASES
from DLCTPMTrainingLib.patients.findings_of_age import findings_of_age
from DLCTPMTrainingLib.patients.lung_tissue import (
    LungState,
    UnseenStreams,
    couple_blood_volume,
    healthy_lung,
    perfusion,
)
from DLCTPMTrainingLib.patients.tubes import cover_of
from DLCTPMTrainingLib.patients.vessel_tree import VesselTree, arteries_and_veins, branching_noise, fractal_flow
from DLCTPMTrainingLib.spect.analytic import AnalyticSpectSettings, blurred_spect, lung_centre, misalignment
from DLCTPMTrainingLib.spect.kinds import ANALYTIC, KINDS

GENERATOR_VERSION = 4
"""Raised whenever the same settings would give other voxels."""

UNSEEN = ("unseen at rest", "unseen branching", "unseen disease", "counts")
"""Streams of what no CT shows: flow at rest beside the density, branching, what diseases do to the flow, counts."""
STREAMS = ("person", "anatomy", "disease shape", "tree", "tissue", "disease", "flow", "ct", "spect", "place", *UNSEEN)
"""The random streams, one a stage; new ones are added at the end."""


@dataclass(frozen=True)
class VirtualPatientSettings:
    """What a virtual patient is made from.

    Attributes:
        patient_id: as "SYNTH-0001".
        seed: of all its random streams.
        diagnosis: one of ``diseases.DISEASES``.
        sex: "F" or "M".
        age: years, 18…100.
        ct_spacing_mm: CT voxels (x, y, z).
        ct_matrix: pixels along both edges of a CT slice; None covers the chest.
        core_spacing_mm: edge of the cubic voxels on which anatomy and perfusion are made.
        spect: one of ``KINDS``.
        misalignment_mm, misalignment_degrees: movement of the patient from CT to SPECT (LPS x, y, z).
        redraw: 0, or the number of another draw of what no CT shows (``UNSEEN``) beneath the same CT.
    """

    patient_id: str
    seed: int
    diagnosis: str = "healthy"
    sex: str = "F"
    age: int = 67
    ct_spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.0)
    core_spacing_mm: float = 2.0
    ct_matrix: int | None = None
    spect: str = ANALYTIC
    misalignment_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    misalignment_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    redraw: int = 0

    def __post_init__(self):
        if self.diagnosis not in DISEASES:
            raise InputError(f"unknown diagnosis {self.diagnosis!r}; use one of: {', '.join(sorted(DISEASES))}")
        if self.sex not in ("F", "M"):
            raise InputError(f"unknown sex {self.sex!r}; use F or M")
        if not 18 <= self.age <= 100:
            raise InputError(f"age {self.age} is outside 18…100 years")
        if min(self.ct_spacing_mm) < 0.4 or max(self.ct_spacing_mm) > 12:
            raise InputError(f"CT spacing {self.ct_spacing_mm} mm is outside 0.4…12 mm")
        check_simulation(self.core_spacing_mm, self.spect)
        for name in ("seed", "redraw"):
            number = getattr(self, name)
            if not isinstance(number, int) or number < 0:
                raise InputError(f"{name} {number!r} is not a whole number from 0 up")

    def to_dict(self) -> dict:
        """Plain values for JSON."""
        return asdict(self)

    @property
    def sha256(self) -> str:
        """Hash of everything that decides the voxels: settings, parameter table, generator version."""
        content = json.dumps([GENERATOR_VERSION, self.to_dict(), parameter_table()], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def stream(self, name: str) -> np.random.Generator:
        """The random stream of a stage."""
        return random_stream(self.seed, name, self.redraw)

    def simulate(self) -> VirtualPatient:
        """The patient (``simulate_patient``): what a cohort asks of whatever it is planned from."""
        return simulate_patient(self)


def check_simulation(core_spacing_mm: float, spect: str) -> None:
    """Refuse what no patient's perfusion and SPECT can be made with."""
    if not 1.5 <= core_spacing_mm <= 6:
        raise InputError(f"core spacing {core_spacing_mm} mm is outside 1.5…6 mm")
    if spect not in KINDS:
        raise InputError(f"unknown kind of SPECT {spect!r}; use {' or '.join(KINDS)}")


def parameter_table() -> dict[str, list]:
    """The values of the parameter table, as configuration hashes hold them."""
    return {name: [entry.kind, entry.low, entry.high] for name, entry in parameters().items()}


def random_stream(seed: int, name: str, redraw: int = 0) -> np.random.Generator:
    """The random stream of a stage (one of ``STREAMS``) of a patient's seed; ``redraw`` renews ``UNSEEN``."""
    key = (STREAMS.index(name),) if redraw == 0 or name not in UNSEEN else (STREAMS.index(name), redraw)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def unseen_streams(settings) -> UnseenStreams:
    """The streams of a patient's flow that no CT shows."""
    return UnseenStreams(settings.stream("unseen at rest"), settings.stream("unseen disease"))


@dataclass
class VirtualPatient:
    """A simulated patient; images in LPS millimetres.

    Attributes:
        ct: HU, int16.
        lungs: CIP labels on the CT's grid, uint16 (lobes 4…8, airways, trachea).
        spect: raw counts, float32, 128³ at 4.42 mm.
        perfusion: true blood flow, ml/min in each ml, float32, on the core grid (the CT's grid at equal spacing).
        info: settings, drawn values, findings; ``simulated`` is True.
    """

    patient_id: str
    ct: sitk.Image
    lungs: sitk.Image
    spect: sitk.Image
    perfusion: sitk.Image
    info: dict


def simulate_patient(settings: VirtualPatientSettings) -> VirtualPatient:
    """Make one virtual patient. The same settings give the same voxels."""
    chest = SimulatedChest.of(settings)
    core = chest.state.anatomy.grid
    ct_grid = _ct_grid(settings, chest)
    rendered = render_ct(chest.state, ct_grid, settings.stream("ct"), chest.vessels if ct_grid is core else None)
    images = {
        "ct": ct_grid.image(rendered.hu, chest.offset_mm),
        "lungs": ct_grid.image(rendered.labels, chest.offset_mm),
        "perfusion": core.image(chest.perfusion, chest.offset_mm),
    }
    images["spect"], drawn = scan(settings, chest, images["ct"], images["perfusion"])
    for image in images.values():
        mark(image)
        image.SetMetaData("patient_id", settings.patient_id)
    info = {
        "simulated": True,
        "generator_version": GENERATOR_VERSION,
        "configuration_sha256": settings.sha256,
        "settings": settings.to_dict(),
        "findings": chest.state.findings,
        "lung_volume_ml": round(float(np.count_nonzero(chest.state.lung)) * core.voxel_ml, 1),
        "spect": drawn,
    }
    return VirtualPatient(settings.patient_id, **images, info=info)


@dataclass(frozen=True)
class Anatomies:
    """What a patient's disease has not touched yet: the anatomy, its trees, body and place in the scanner."""

    anatomy: Anatomy
    arteries: VesselTree
    veins: VesselTree
    raised_mm: float
    body: np.ndarray
    margin_mm: tuple[float, float]
    offset_mm: tuple[float, float, float]

    @classmethod
    def of(cls, settings: VirtualPatientSettings) -> Anatomies:
        """Shape, anatomy and trees, in this order."""
        disease = DISEASES[settings.diagnosis]
        person = sample_shape(settings.stream("anatomy"), settings.sex, settings.age)
        shape = disease.reshape(person, settings.stream("disease shape")) if disease.reshape else person
        place = settings.stream("place")
        offset = tuple(float(v) for v in np.round(place.uniform((-12, -190, -900), (12, -110, 300)), 1))
        margin = (float(place.uniform(8, 30)), float(place.uniform(8, 26)))

        anatomy = build_anatomy(shape, settings.core_spacing_mm, margin)
        body = anatomy.surroundings_hu > -700
        arteries, veins = arteries_and_veins(anatomy, settings.stream("tree"))
        raised_mm = float(np.clip(person.dome[0] - 74, -10, 14))
        return cls(anatomy, arteries, veins, raised_mm, body, margin, offset)


@dataclass
class SimulatedChest:
    """The truth of one patient before any scanner: lungs, blood flow, body, place in the scanner."""

    state: LungState
    vessels: np.ndarray
    perfusion: np.ndarray
    body: np.ndarray
    margin_mm: tuple[float, float]
    offset_mm: tuple[float, float, float]

    @classmethod
    def of(cls, settings: VirtualPatientSettings, made: Anatomies | None = None) -> SimulatedChest:
        """Tissue, disease and flow, in this order, in the anatomy of the settings (``made``, if it is there)."""
        made = Anatomies.of(settings) if made is None else made
        anatomy = replace(  # a disease changes them
            made.anatomy,
            lung_mm=made.anatomy.lung_mm.copy(),
            surroundings_hu=made.anatomy.surroundings_hu.copy(),
        )
        arteries, tissue = made.arteries, settings.stream("tissue")
        state = healthy_lung(anatomy, arteries, made.veins, made.raised_mm, tissue, unseen_streams(settings))
        findings_of_age(state, settings.age, tissue)
        branches, hidden = settings.stream("flow"), settings.stream("unseen branching")
        shown = branches.standard_normal(len(arteries.parent))
        couple_blood_volume(state, fractal_flow(arteries, draw(branches, "flow.cv"), shown))
        disease = DISEASES[settings.diagnosis]
        if disease.affect:
            disease.affect(state, settings.stream("disease"))
        noise = branching_noise(shown, hidden, draw(hidden, "blood.flow_correlation"))
        flow = fractal_flow(arteries, state.cv, noise)
        output = draw(settings.stream("person"), "flow.cardiac_output")
        vessels = cover_of(vessels_of(state), anatomy.grid)
        truth = perfusion(state, vessels, flow, output)
        return cls(state, vessels, truth, made.body, made.margin_mm, made.offset_mm)


def scan(settings, chest, ct: sitk.Image, perfusion: sitk.Image) -> tuple[sitk.Image, dict]:
    """The SPECT stage: its own settings, its own stream, only the truth from the stages before.

    Args:
        settings: ``VirtualPatientSettings``, or the ``RealCtPatientSettings`` of a patient made on a real CT.
        chest: the truth: ``state``, ``perfusion``, ``body`` and ``offset_mm`` on the core grid.
        ct: HU.
        perfusion: ``chest.perfusion`` as an image.

    Returns:
        The SPECT, and what was drawn for it.
    """
    stream, counts = settings.stream("spect"), settings.stream("counts")
    high_value = draw(stream, raw_level(settings))
    core = chest.state.anatomy.grid
    if settings.spect == ANALYTIC:
        protocol = AnalyticSpectSettings(
            shift_mm=settings.misalignment_mm, turn_degrees=settings.misalignment_degrees
        )
        return blurred_spect(
            chest.perfusion,
            chest.body,
            core,
            chest.offset_mm,
            high_value,
            chest.state.body_background,
            protocol,
            stream,
            counts,
        )
    from DLCTPMTrainingLib.spect.scan import PatientScanner  # needs torch, which the quick way does without

    scanner = PatientScanner(perfusion, ct, movement_of(settings, chest), high_value, stream)
    return scanner.spect(perfusion, chest.state.body_background, counts)


def raw_level(settings) -> str:
    """The parameter that scales the raw values of a patient's SPECT."""
    return "spect.high_ph" if settings.diagnosis == "pulmonary hypertension" else "spect.high_other"


def movement_of(settings, chest) -> sitk.AffineTransform:
    """The patient's movement from CT to SPECT that the settings ask for, about the lungs' centre."""
    matrix = misalignment(settings.misalignment_mm, settings.misalignment_degrees)
    centre = lung_centre(chest.perfusion > 0, chest.state.anatomy.grid) + chest.offset_mm
    return sitk.AffineTransform(matrix[:3, :3].ravel().tolist(), matrix[:3, 3].tolist(), centre.tolist())


def _ct_grid(settings: VirtualPatientSettings, chest: SimulatedChest) -> Grid:
    """The CT's grid: over the same chest, or a square matrix round it where one is asked for."""
    core = chest.state.anatomy.grid
    if tuple(settings.ct_spacing_mm) == core.spacing_mm and settings.ct_matrix is None:
        return core
    shape = chest.state.anatomy.shape
    grid = chest_grid(shape, tuple(float(s) for s in settings.ct_spacing_mm), chest.margin_mm)
    if settings.ct_matrix is None:
        return grid
    count, spacing = settings.ct_matrix, grid.spacing_mm
    middle = [o + 0.5 * (n - 1) * s for o, n, s in zip(grid.origin_mm, grid.shape[::-1], spacing, strict=True)]
    origin = tuple(m - 0.5 * (count - 1) * s for m, s in zip(middle[:2], spacing[:2], strict=True))
    return replace(grid, origin_mm=(*origin, grid.origin_mm[2]), shape=(grid.shape[0], count, count))
