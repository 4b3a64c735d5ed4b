"""The work of ``dlctpm evaluate``, apart from its arguments: agreement of a perfusion map with a SPECT."""

from __future__ import annotations

import argparse
from pathlib import Path

import SimpleITK as sitk

from DLCTPMLib.agreement.comparison import on_spect_grid
from DLCTPMLib.agreement.files import COMPARISON_FILES, write_comparison
from DLCTPMLib.agreement.regions import regional_agreement, spect_shares
from DLCTPMLib.agreement.scores import agreement_of, dice_curves
from DLCTPMLib.agreement.spect_grid import SpectGrid
from DLCTPMLib.cli.shared.arguments import function_of, names_chosen, refuse_idle
from DLCTPMLib.common.errors import InputError, naming
from DLCTPMLib.common.options import given
from DLCTPMLib.common.progress import Progress, within
from DLCTPMLib.common.stopwatch import Stopwatch
from DLCTPMLib.function.curve import CURVE_THRESHOLDS, volume_curve
from DLCTPMLib.function.regions import FunctionalLung
from DLCTPMLib.function.zones import zone_scores
from DLCTPMLib.lungs.masks import AUTO, read_lungs
from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.registration.search import read_transform
from DLCTPMLib.results.finished import REPORT_PDF, read_result, scale_of
from DLCTPMLib.results.report import ReportImages, write_report
from DLCTPMLib.results.result_json import header, json_ready, notes_for
from DLCTPMLib.results.settings import PredictionSettings, check_pdf
from DLCTPMLib.viewer.page import Viewer
from DLCTPMLib.viewer.panes import ViewedImages
from DLCTPMLib.volumes.patient_axes import same_grid
from DLCTPMLib.volumes.reading import Scan, content_sha256, describe, read_ct, read_map, read_spect

EVALUATION_FILES = ("result.json", "report.html", REPORT_PDF, *COMPARISON_FILES)
"""What an evaluation may write; the report only with the prediction's own result."""
GIVEN = "given"
"""Kind of registration of a SPECT that came with its transform."""


def evaluate(options: argparse.Namespace, progress: Progress, folder: Path | None = None) -> dict:
    """The content of ``result.json`` of an evaluation.

    Args:
        options: as the command line gives them.
        progress: told the stage and the fraction.
        folder: where the compared images and the report go; None writes nothing.
    """
    names = names_chosen(
        {
            "map": options.prediction,
            "SPECT": options.spect,
            "lungs": options.lungs,
            "CT": options.ct,
            "transform": options.transform,
        },
        options,
    )
    if options.ct is None:
        refuse_idle(options, ("series", "acquisition"), "goes with --ct; give both, or neither")
    if options.result is None:
        refuse_idle(options, ("pdf", "interactive"), "is of the report; give --result, or leave it out")
    elif options.pdf:
        check_pdf()
    predicted = _predicted(options) if options.result else None
    stopwatch, warnings = Stopwatch(), []
    progress("Reading the images", 0.0)
    with stopwatch("reading"):
        prediction = read_map(options.prediction, options.orientation)
        spect = read_spect(options.spect, options.spect_series, orientation=options.orientation)
        ct = None
        if options.ct:
            ct = read_ct(options.ct, options.series, acquisition=options.acquisition, orientation=options.orientation)
        transform = read_transform(options.transform) if options.transform else None
        grid = prediction if ct is None else _on_grid(ct, prediction, warnings)
        lungs = read_lungs(
            options.lungs,
            grid,
            options.lungs_values or AUTO,
            orientation=options.orientation,
            frame_of_reference="" if ct is None else ct.frame_of_reference,
        )
    named_spect, named_ct = names.scan(spect, "SPECT"), None if ct is None else names.scan(ct, "CT")
    warnings = [*named_spect.warnings, *names.told([*warnings, *lungs.warnings])]
    if named_ct is not None:
        warnings += named_ct.warnings
    bundle = load_bundle(options.model) if options.model else None
    preprocessing = bundle.preprocessing if bundle else PreprocessingSettings()
    scale = bundle.scale if bundle else None
    if predicted is not None:
        with naming(options.result):
            preprocessing = PreprocessingSettings.from_dict(predicted["settings"]["preprocessing"])
        scale = scale_of(predicted)
        if bundle is not None and bundle.identity() != predicted["model"]:
            warnings.append(
                "the model given is another than the map's: the map's own standardisation of the SPECT was taken"
            )
    settings = PredictionSettings(**function_of(options), **given(options, PredictionSettings, "hir_scope"))
    settings = settings.agreement(preprocessing)
    progress("Comparing with the SPECT", 0.2)
    with stopwatch("agreement"), naming(options.spect):
        spect_grid = SpectGrid.of(lungs.upright, spect.image, transform)
        comparison = on_spect_grid(
            prediction,
            spect.image,
            lungs.upright,
            transform,
            settings,
            None if ct is None else grid,
            preprocessing,
            scale,
            spect_grid,
        )
        agreement = agreement_of(comparison)
    described = {
        **names.described(describe(prediction, Path(options.prediction), "perfusion map"), "map"),
        "sha256": content_sha256(prediction),
        "lungs": {"source": names["lungs"]},
        "spect": {**named_spect.description, "sha256": content_sha256(spect.image)},
        "transform": names["transform"] if options.transform else None,
    }
    if named_ct is not None:
        described["ct"] = {**named_ct.description, "sha256": content_sha256(ct.image)}
    result = {
        **header(spect.simulated or (ct is not None and ct.simulated)),
        "notes": notes_for(preprocessing.hir_percentile, preprocessing.clip_at),
        "settings": {"agreement": comparison.described(), "preprocessing": preprocessing.to_dict()},
        "input": described,
        "agreement": agreement,
        "timings_s": stopwatch.seconds,
        "warnings": list(dict.fromkeys(warnings)),
    }
    if folder is not None:
        progress("Writing images", 0.5)
        with stopwatch("writing"):
            write_comparison(folder, comparison, spect.image)
    if predicted is None:
        return json_ready(result)
    with stopwatch("regions"):
        function = FunctionalLung.of(prediction, lungs.upright, settings.definition.on_map(scale))
        curve = {"thresholds": list(CURVE_THRESHOLDS), "high_ml": volume_curve(prediction, lungs.upright)}
        curve |= dice_curves(comparison, CURVE_THRESHOLDS)
        shares = spect_shares(spect_grid, comparison.spect, lungs.upright)
    joined = json_ready(_joined(predicted, {**result, "function_curve": curve}, function, shares))
    same = bundle if bundle is not None and bundle.identity() == predicted["model"] else None
    images = ReportImages(grid, lungs.labels, function, comparison)
    viewed = (grid, prediction, lungs.upright, None, comparison, transform)
    viewer = Viewer.of(ViewedImages.of(*viewed)) if options.interactive else None
    drawing = within(progress, 0.6, 0.99)
    write_report(folder / "report.html", joined, images, same, progress=drawing, pdf=options.pdf, viewer=viewer)
    return joined


def _predicted(options: argparse.Namespace) -> dict:
    """The prediction's own ``result.json``, with what the report needs."""
    if not (options.ct and options.out):
        raise InputError("--result writes the report anew; give --ct and --out too")
    return read_result(options.result)


def _joined(predicted: dict, evaluated: dict, function: FunctionalLung, shares: dict[str, float | None]) -> dict:
    """A prediction's result with the comparison in it, as if the prediction had been given the SPECT."""
    compared, regions = evaluated["input"], function.table()
    result = {key: value for key, value in predicted.items() if key != "registration"}
    return {
        **result,
        "settings": {
            **predicted["settings"],
            "functional_regions": function.settings(),
            "agreement": evaluated["settings"]["agreement"],
            "registration": {"kind": GIVEN if compared["transform"] else "none"},
        },
        "input": {**predicted["input"], "spect": compared["spect"], "transform": compared["transform"]},
        "regions": regions,
        "zones": zone_scores(regions),
        "regional_agreement": regional_agreement(regions, shares),
        "function_curve": evaluated["function_curve"],
        "agreement": evaluated["agreement"],
        "timings_s": {**predicted["timings_s"], **evaluated["timings_s"]},
        "warnings": list(dict.fromkeys([*predicted["warnings"], *evaluated["warnings"]])),
    }


def _on_grid(ct: Scan, prediction: sitk.Image, warnings: list[str]) -> sitk.Image:
    """The CT on the map's grid."""
    if same_grid(ct.image, prediction):
        return ct.image
    lowest = float(sitk.GetArrayViewFromImage(ct.image).min())
    brought = sitk.Resample(ct.image, prediction, sitk.Transform(), sitk.sitkLinear, lowest, sitk.sitkFloat32)
    if sitk.GetArrayViewFromImage(brought).max() <= lowest:
        raise InputError(f"{ct.path}: the CT does not overlap the map; give the CT it was made from")
    warnings.append(f"{ct.path} is on another grid than the map and was brought over (linear)")
    return brought
