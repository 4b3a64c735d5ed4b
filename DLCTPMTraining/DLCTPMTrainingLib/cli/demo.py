"""``dlctpm demo``: the whole chain on one virtual patient, from CT to report."""

from __future__ import annotations

import argparse
from pathlib import Path

from DLCTPMLib.cli.shared.arguments import add_model
from DLCTPMLib.cli.shared.command import Command
from DLCTPMLib.cli.shared.printed import summary
from DLCTPMLib.common.console import say
from DLCTPMLib.common.options import add_options, given
from DLCTPMLib.common.progress import Progress, within
from DLCTPMLib.results.settings import PredictionSettings

DIAGNOSIS = "chronic pulmonary embolism"
"""A disease that a CT shows something of, and perfusion more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which virtual patient, the model, and where the results go."""
    parser.add_argument("--out", default="dlctpm-demo", metavar="DIR", help="results (default ./dlctpm-demo)")
    parser.add_argument("--seed", type=int, default=1, metavar="K", help="which virtual patient (default 1)")
    add_model(parser)
    add_options(parser, PredictionSettings(), "device")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Simulate, map, compare, report."""
    from DLCTPMLib.common.atomic_output import OutputFolder
    from DLCTPMLib.common.stopwatch import Stopwatch
    from DLCTPMLib.lungs.masks import lungs_from_labels
    from DLCTPMLib.networks.bundle import load_bundle
    from DLCTPMLib.results.prediction import RESULT_FILES, PatientImages, predict_to_folder
    from DLCTPMLib.volumes.reading import Scan, describe, write_image
    from DLCTPMTrainingLib.patients.virtual_patient import VirtualPatientSettings, simulate_patient

    stopwatch = Stopwatch()
    out = Path(options.out)
    with OutputFolder(out, (*RESULT_FILES, "ct.nrrd", "spect.nrrd")) as folder:
        bundle = load_bundle(options.model)
        progress("Making a virtual patient", 0.0)
        with stopwatch("virtual patient"):
            settings = VirtualPatientSettings(f"SYNTH-{options.seed:04d}", options.seed, DIAGNOSIS)
            patient = simulate_patient(settings)
        for name, image in (("ct", patient.ct), ("spect", patient.spect)):
            write_image(image, folder.work / f"{name}.nrrd")
        source = f"virtual patient {patient.patient_id} ({DIAGNOSIS}), simulated"
        images = PatientImages(
            Scan(patient.ct, describe(patient.ct, out / "ct.nrrd", source), simulated=True),
            lungs_from_labels(patient.lungs, patient.ct, source),
            Scan(patient.spect, describe(patient.spect, out / "spect.nrrd", source), simulated=True),
        )
        chosen = PredictionSettings(**given(options, PredictionSettings, "device"))
        result = predict_to_folder(images, bundle, chosen, folder.work, stopwatch, within(progress, 0.4, 1.0))
    progress("Done", 1.0)
    say(options, summary(result, out))


COMMAND = Command(
    "demo",
    "Map a virtual patient and compare with its simulated SPECT.",
    add_arguments,
    run,
    ("dlctpm demo --out demo",),
)
