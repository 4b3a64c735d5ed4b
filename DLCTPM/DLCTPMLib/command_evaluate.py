"""``dlctpm evaluate``: agreement of a perfusion map with a SPECT, without predicting."""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import replace
from pathlib import Path

import SimpleITK as sitk

from DLCTPMLib.agreement import evaluate_agreement
from DLCTPMLib.command_predict import agreement_table
from DLCTPMLib.commands import say
from DLCTPMLib.errors import InputError, naming
from DLCTPMLib.image_files import Scan, describe, read_ct, read_image, read_spect
from DLCTPMLib.lungs import read_lungs
from DLCTPMLib.mapping import Stopwatch
from DLCTPMLib.model_bundle import load_bundle
from DLCTPMLib.output_folder import OutputFolder, check_disk
from DLCTPMLib.patient_axes import same_grid
from DLCTPMLib.preprocessing import PreprocessingSettings
from DLCTPMLib.progress import Progress
from DLCTPMLib.registration import read_transform
from DLCTPMLib.result_file import header, json_ready, notes_for, write_json
from DLCTPMLib.spect_comparison import AgreementSettings

EVALUATION_FILES = ("result.json",)
"""What an evaluation writes."""


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Read, compare, print, and write ``result.json`` where a folder was named."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(OutputFolder(options.out, EVALUATION_FILES)) if options.out else None
        result = evaluate(options, progress)
        if folder is not None:
            write_json(folder.work / "result.json", result)
            check_disk(folder.work / "result.json")
    progress("Done", 1.0)
    lines = [f"warning: {warning}" for warning in result["warnings"]]
    say(options, "\n".join([*lines, agreement_table(result["agreement"]), result["research_use_only"]]))


def evaluate(options: argparse.Namespace, progress: Progress) -> dict:
    """The content of ``result.json`` of an evaluation."""
    stopwatch, warnings = Stopwatch(), []
    progress("Reading the images", 0.0)
    with stopwatch("reading"):
        prediction = read_image(options.prediction)
        spect = read_spect(options.spect, options.spect_series)
        ct = read_ct(options.ct, options.series) if options.ct else None
        transform = read_transform(options.transform) if options.transform else None
        grid = prediction if ct is None else _on_grid(ct, prediction, warnings)
        lungs = read_lungs(options.lungs, grid)
    warnings += [*spect.warnings, *lungs.warnings]
    preprocessing = load_bundle(options.model).preprocessing if options.model else PreprocessingSettings()
    settings = replace(AgreementSettings.for_model(preprocessing), threshold=options.threshold)
    if options.hir_scope:
        settings = replace(settings, hir_scope=options.hir_scope)
    progress("Comparing with the SPECT", 0.3)
    with stopwatch("agreement"), naming(options.spect):
        agreement = evaluate_agreement(
            prediction, spect.image, lungs.labels, transform, settings, None if ct is None else grid, preprocessing
        )
    described = {
        **describe(prediction, Path(options.prediction), "perfusion map"),
        "lungs": {"source": lungs.source},
        "spect": spect.description,
        "transform": options.transform,
    }
    if ct is not None:
        described["ct"] = ct.description
    return json_ready(
        {
            **header(),
            "notes": notes_for(preprocessing.hir_percentile, preprocessing.clip_at),
            "settings": {"agreement": settings.to_dict(), "preprocessing": preprocessing.to_dict()},
            "input": described,
            "agreement": agreement,
            "timings_s": stopwatch.seconds,
            "warnings": list(dict.fromkeys(warnings)),
        }
    )


def _on_grid(ct: Scan, prediction: sitk.Image, warnings: list[str]) -> sitk.Image:
    """The CT on the map's grid."""
    warnings += ct.warnings
    if same_grid(ct.image, prediction):
        return ct.image
    lowest = float(sitk.GetArrayViewFromImage(ct.image).min())
    brought = sitk.Resample(ct.image, prediction, sitk.Transform(), sitk.sitkLinear, lowest, sitk.sitkFloat32)
    if sitk.GetArrayViewFromImage(brought).max() <= lowest:
        raise InputError(f"{ct.description['path']}: the CT does not overlap the map; give the CT it was made from")
    warnings.append(f"{ct.description['path']} is on another grid than the map and was brought over (linear)")
    return brought
