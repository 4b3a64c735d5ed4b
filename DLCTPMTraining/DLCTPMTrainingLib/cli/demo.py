"""``dlctpm demo``: the whole chain on one virtual patient, from CT to report."""

from __future__ import annotations

import argparse
from pathlib import Path

from DLCTPMLib.cli.predict import summary
from DLCTPMLib.common.atomic_output import OutputFolder
from DLCTPMLib.common.console import say
from DLCTPMLib.common.progress import Progress, within
from DLCTPMLib.common.stopwatch import Stopwatch
from DLCTPMLib.lungs.masks import lungs_from_labels
from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.results.prediction import RESULT_FILES, PatientImages, PredictionSettings, predict_to_folder
from DLCTPMLib.volumes.reading import Scan, describe, write_image

DEMO_FILES = (*RESULT_FILES, "ct.nrrd", "spect.nrrd")
"""Every file that the demonstration writes."""

DIAGNOSIS = "chronic pulmonary embolism"
"""A disease that a CT shows something of, and perfusion more."""


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Simulate, map, compare, report."""
    from DLCTPMTrainingLib.patients.virtual_patient import VirtualPatientSettings, simulate_patient

    stopwatch = Stopwatch()
    out = Path(options.out)
    with OutputFolder(out, DEMO_FILES) as folder:
        bundle = load_bundle(options.model)
        progress("Making a virtual patient", 0.0)
        with stopwatch("virtual patient"):
            settings = VirtualPatientSettings(f"SYNTH-{options.seed:04d}", options.seed, DIAGNOSIS)
            patient = simulate_patient(settings)
        for name, image in (("ct", patient.ct), ("spect", patient.spect)):
            write_image(image, folder.work / f"{name}.nrrd")
        source = f"virtual patient {patient.patient_id} ({DIAGNOSIS}), simulated"
        images = PatientImages(
            Scan(patient.ct, describe(patient.ct, out / "ct.nrrd", source)),
            lungs_from_labels(patient.lungs, patient.ct, source),
            Scan(patient.spect, describe(patient.spect, out / "spect.nrrd", source)),
            simulated=True,
        )
        chosen = PredictionSettings(device=options.device)
        result = predict_to_folder(images, bundle, chosen, folder.work, stopwatch, within(progress, 0.4, 1.0))
    progress("Done", 1.0)
    say(options, summary(result, out))
