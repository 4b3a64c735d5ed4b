"""The main job from opened images to a folder of results: map, functional regions, agreement, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from DLCTPMLib.agreement.comparison import SpectComparison, on_spect_grid
from DLCTPMLib.agreement.files import COMPARISON_FILES, write_comparison
from DLCTPMLib.agreement.regions import regional_agreement, spect_shares
from DLCTPMLib.agreement.scores import agreement_of, dice_curves
from DLCTPMLib.agreement.spect_grid import SpectGrid
from DLCTPMLib.common.atomic_output import check_disk
from DLCTPMLib.common.background import preload
from DLCTPMLib.common.errors import naming
from DLCTPMLib.common.progress import Progress, no_progress, within
from DLCTPMLib.common.stopwatch import Stopwatch
from DLCTPMLib.function.curve import CURVE_THRESHOLDS, volume_curve
from DLCTPMLib.function.partitions import lung_and_lobe_names
from DLCTPMLib.function.regions import FunctionalLung, percentile_in_lungs
from DLCTPMLib.function.resection import NO_RESECTION, Resection
from DLCTPMLib.function.segments import write_function_segments
from DLCTPMLib.function.zones import zone_scores
from DLCTPMLib.lungs.masks import Lungs
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.mapping.mapping import PerfusionMap, map_perfusion
from DLCTPMLib.networks.bundle import ModelBundle
from DLCTPMLib.quality.gate import failures, forced_notes, passed_checks
from DLCTPMLib.quality.map_scale import map_scale_check
from DLCTPMLib.registration.for_position import settings_for_position
from DLCTPMLib.registration.search import Registration, register, write_transform
from DLCTPMLib.registration.settings import RegistrationSettings
from DLCTPMLib.results.finished import REPORT_PDF
from DLCTPMLib.results.result_json import header, json_ready, notes_for, write_json
from DLCTPMLib.results.settings import PredictionSettings
from DLCTPMLib.viewer.page import Viewer
from DLCTPMLib.viewer.panes import ViewedImages
from DLCTPMLib.volumes.patient_axes import patient_array
from DLCTPMLib.volumes.reading import Scan, content_sha256, voxels_sha256, write_image
from DLCTPMLib.volumes.simulated import mark

RESULT_FILES = (
    "perfusion.nrrd",
    "perfusion_spread.nrrd",
    "lungs.nrrd",
    "function.seg.nrrd",
    "spect_to_ct.tfm",
    *COMPARISON_FILES,
    "report.html",
    REPORT_PDF,
    "result.json",
)
"""Every file that a prediction may write."""

DOSE_FILES = ("dose.json", "dose.html")
"""What ``dlctpm dose`` writes beside them; a new prediction in the same folder removes it."""


@dataclass(frozen=True)
class PatientImages:
    """The opened images of one patient.

    Attributes:
        ct: the CT and where it came from.
        lungs: on the CT's grid.
        spect: None where there is none.
        resection: an operation that is thought of, and the spirometry before it.
    """

    ct: Scan
    lungs: Lungs
    spect: Scan | None = None
    resection: Resection = NO_RESECTION


def predict_to_folder(
    images: PatientImages,
    bundle: ModelBundle,
    settings: PredictionSettings,
    folder: Path,
    stopwatch: Stopwatch,
    progress: Progress = no_progress,
    force: bool = False,
    pdf: bool = False,
    interactive: bool = False,
) -> dict:
    """Map a patient's perfusion and write every result into ``folder`` (an ``OutputFolder``'s ``work``).

    Args:
        images: of the patient.
        bundle: the model.
        settings: what was chosen.
        folder: an existing folder.
        stopwatch: keeps the seconds of earlier stages too.
        progress: told the stage and the fraction of this job.
        force: map also where a check of the input FAILs; every picture and file then says so.
        pdf: write the report as PDF too.
        interactive: put the interactive view into the report.

    Returns:
        the content of ``result.json``.

    Raises:
        InputError: a PDF is wanted, and ReportLab is not installed; the lungs lack what a resection would remove.
        FailedChecksError: a check of the input FAILs, and nobody forces the map.
    """
    ct, lungs = images.ct.image, images.lungs.upright
    images.resection.check_there(lung_and_lobe_names(lungs))
    warnings = [*images.ct.warnings, *images.lungs.warnings]
    with stopwatch("quality"):
        quality = passed_checks(images.ct, lungs, bundle.metadata, force=force, task="map it")
    preload("DLCTPMLib.networks.inference", "DLCTPMLib.results.report")  # in this order: the report is needed last
    mapped = map_perfusion(
        ct,
        lungs,
        bundle,
        settings.device,
        settings.precision,
        within(progress, 0.02, 0.5 if images.spect else 0.75),
    )
    for stage, seconds in mapped.timings_s.items():
        stopwatch.seconds[stage] = stopwatch.seconds.get(stage, 0.0) + seconds
    warnings += mapped.warnings
    progress("Measuring regions", 0.5 if images.spect else 0.76)
    with stopwatch("regions"):
        function = FunctionalLung.of(mapped.perfusion, lungs, settings.definition.on_map(bundle.scale))
        map_p75 = percentile_in_lungs(mapped.perfusion, lungs, 75)
        quality += map_scale_check(map_p75, bundle.scale)
        curve = {"thresholds": list(CURVE_THRESHOLDS), "high_ml": volume_curve(mapped.perfusion, lungs)}

    comparison = registration = shares = None
    how = RegistrationSettings()
    if images.spect is not None:
        with stopwatch("registration"), naming(images.spect.path):
            notes: list[str] = []
            if settings.registration != "none":
                how, notes = settings_for_position(ct, lungs, images.ct.description.get("dicom"))
            registration = _registered(images, settings, how, within(progress, 0.52, 0.68))
        if images.spect.simulated and not images.ct.simulated:
            notes.append("the SPECT is simulated, on the CT of a person: the comparison says nothing about a scan")
        warnings += [*images.spect.warnings, *notes, *registration.warnings]
        progress("Comparing with the SPECT", 0.68)
        with stopwatch("agreement"), naming(images.spect.path):
            grid = SpectGrid.of(lungs, images.spect.image, registration.transform)
            comparison = _comparison(images, mapped, registration, bundle, settings, grid)
            shares = spect_shares(grid, comparison.spect, lungs)
            curve |= dice_curves(comparison, CURVE_THRESHOLDS)

    progress("Writing images", 0.78)
    result = prediction_result(
        images, bundle, settings, mapped, function, map_p75, quality, registration, comparison, how
    )
    result["function_curve"] = curve
    if ppo := images.resection.of(result["regions"]):
        result["ppo_fev1"] = ppo
    if shares is not None:
        result["regional_agreement"] = regional_agreement(result["regions"], shares)
    with stopwatch("writing"):
        _write_images(folder, images.lungs, function, mapped.spread, result)
        if registration is not None:
            write_transform(registration.transform, folder / "spect_to_ct.tfm")
            write_comparison(folder, comparison, images.spect.image)
    result["warnings"] = list(dict.fromkeys(warnings))
    result["timings_s"] = stopwatch.seconds
    result = json_ready(result)
    with stopwatch("report"):
        from DLCTPMLib.results.report import ReportImages, write_report  # matplotlib, imported while the network ran

        shown = ReportImages(ct, images.lungs.labels, function, comparison)
        transform = None if registration is None else registration.transform
        viewed = (ct, mapped.perfusion, lungs, mapped.spread, comparison, transform)
        viewer = Viewer.of(ViewedImages.of(*viewed)) if interactive else None
        drawing = within(progress, 0.85, 0.99)
        write_report(folder / "report.html", result, shown, bundle, progress=drawing, pdf=pdf, viewer=viewer)
    result["timings_s"] = json_ready({name: round(seconds, 4) for name, seconds in stopwatch.seconds.items()})
    write_json(folder / "result.json", result)
    check_disk(folder / "result.json")
    return result


def prediction_result(
    images: PatientImages,
    bundle: ModelBundle,
    settings: PredictionSettings,
    mapped: PerfusionMap,
    function: FunctionalLung,
    map_p75: float,
    quality: list[dict],
    registration: Registration | None,
    comparison: SpectComparison | None,
    how: RegistrationSettings,
) -> dict:
    """``result.json`` but for ``warnings`` and ``timings_s``; not-a-number values still in it."""
    preprocessing = bundle.preprocessing
    used = {
        "preprocessing": preprocessing.to_dict(),
        "network": bundle.metadata["network"],
        "functional_regions": function.settings(),
    }
    described = {
        **images.ct.description,
        "sha256": content_sha256(images.ct.image),
        "voxels_sha256": voxels_sha256(images.ct.image),
        "lungs": {"source": images.lungs.source},
    }
    result = {
        **header(images.ct.simulated),
        "notes": notes_for(
            preprocessing.hir_percentile, preprocessing.clip_at, bundle.scale, map_p75, bundle.balance
        ),
        "model": bundle.identity(),
        "settings": used,
        "device": mapped.device,
        "input": described,
        "regions": (regions := function.table()),
        "zones": zone_scores(regions),
        "map_p75": map_p75,
        **({"scale": bundle.scale.to_dict()} if bundle.scale else {}),
        **({"balance": bundle.balance.to_dict()} if bundle.balance else {}),
        **({"spread": _spread(mapped, images.lungs.upright)} if mapped.spread else {}),
        "quality": quality,
        "forced": [check["message"] for check in failures(quality)],
    }
    if comparison is not None and registration is not None:
        described["spect"] = {**images.spect.description, "sha256": content_sha256(images.spect.image)}
        used["agreement"] = comparison.described()
        found_by = {} if settings.registration == "none" else how.to_dict()
        used["registration"] = {"kind": settings.registration, **found_by}
        result["registration"] = {
            "kind": settings.registration,
            "metric_before": registration.metric_before,
            "metric_after": registration.metric_after,
            "improved": registration.improved,
        }
        result["agreement"] = agreement_of(comparison)
    return result


def _registered(
    images: PatientImages, settings: PredictionSettings, how: RegistrationSettings, progress: Progress
) -> Registration:
    if settings.registration == "none":
        progress("Taking the SPECT in the CT's coordinates", 1.0)
        return Registration(sitk.Transform(3, sitk.sitkIdentity), None, None, False, [])
    return register(images.ct.image, images.spect.image, settings.registration, images.lungs.upright, how, progress)


def _comparison(
    images: PatientImages,
    mapped: PerfusionMap,
    registration: Registration,
    bundle: ModelBundle,
    settings: PredictionSettings,
    grid: SpectGrid,
) -> SpectComparison:
    return on_spect_grid(
        mapped.perfusion,
        images.spect.image,
        images.lungs.upright,
        registration.transform,
        settings.agreement(bundle.preprocessing),
        images.ct.image,
        bundle.preprocessing,
        bundle.scale,
        grid,
    )


def _spread(mapped: PerfusionMap, lungs: UprightLungs) -> dict:
    """``spread`` of ``result.json``: how far an ensemble's members lie apart."""
    values = patient_array(mapped.spread)[lungs.box][lungs.sides > 0]
    return {
        "mean": float(values.mean(dtype=float)),
        "percentile_95": float(np.percentile(values, 95)),
        "meaning": "standard deviation of the networks' maps about their mean, in relative perfusion; how far the "
        "networks differ, not how far the map is from the truth",
    }


def _write_images(
    folder: Path, lungs: Lungs, function: FunctionalLung, spread: sitk.Image | None, result: dict
) -> None:
    perfusion, marks = function.perfusion, forced_notes(result["quality"])
    for image, name in ((perfusion, "perfusion.nrrd"), (spread, "perfusion_spread.nrrd")):
        if image is not None:
            if result["simulated"]:
                mark(image)
            write_image(image, folder / name, marks)
    write_image(lungs.labels, folder / "lungs.nrrd", marks)
    write_function_segments(folder / "function.seg.nrrd", function, {**_provenance(result), **marks})


def _provenance(result: dict) -> dict[str, str]:
    """What the header of the segments says of how they were made, in ASCII."""
    model, software = result["model"], result["software"]
    said = {
        "DLCTPM_Software": f"{software['name']} {software['version']}",
        "DLCTPM_Model": f"{model['name']} {model['version']}",
        "DLCTPM_ModelSHA256": model["sha256"],
        "DLCTPM_Simulated": "yes: every voxel comes from a virtual patient" if result["simulated"] else "no",
        "DLCTPM_UseOnlyFor": result["research_use_only"],
    }
    return {key: text.encode("ascii", "replace").decode() for key, text in said.items()}
