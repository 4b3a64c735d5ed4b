"""CTs as any scanner's file would be, made from virtual patients; what they are made from is the truth."""

from dataclasses import replace

from DLCTPMTrainingLib.cli.main import main
from DLCTPMTrainingLib.patients.virtual_patient import VirtualPatientSettings, simulate_patient

SPACING_MM = 5.0


def a_chest(seed=1, diagnosis="healthy"):
    """CT, labels with lobes, and hila (LPS, mm) of a virtual patient, with nothing that says so."""
    settings = VirtualPatientSettings(
        "SYNTH-0001", seed, diagnosis, ct_spacing_mm=(SPACING_MM,) * 3, core_spacing_mm=SPACING_MM
    )
    patient = simulate_patient(settings)
    for image in (patient.ct, patient.lungs):
        for key in image.GetMetaDataKeys():
            image.EraseMetaData(key)
    return patient


def quick(settings):
    """Settings of a patient that is made in a moment."""
    return replace(settings, spect="analytic", core_spacing_mm=SPACING_MM)


def ask(folder, out, patients=2, *more):
    places = ["--ct-folder", str(folder), "--out", str(out), "--progress", "none"]
    return main(
        ["cohort", "simulate", "--patients", str(patients), "--seed", "5", "--spect", "analytic", *places, *more]
    )
