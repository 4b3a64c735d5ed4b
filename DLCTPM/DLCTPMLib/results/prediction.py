"""The main job from opened images to a folder of results: map, functional regions, agreement, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from DLCTPMLib.agreement.comparison import SpectComparison, on_spect_grid
from DLCTPMLib.agreement.files import COMPARISON_FILES, write_comparison
from DLCTPMLib.agreement.scores import agreement_of
from DLCTPMLib.common.atomic_output import check_disk
from DLCTPMLib.common.background import preload
from DLCTPMLib.common.errors import FailedChecksError, naming
from DLCTPMLib.common.progress import Progress, no_progress, within
from DLCTPMLib.common.stopwatch import Stopwatch
from DLCTPMLib.function.regions import HIGH, LOW, functional_labels, region_table
from DLCTPMLib.labels.chest_regions import terminology
from DLCTPMLib.labels.seg_nrrd import Segment, write_segments
from DLCTPMLib.lungs.masks import Lungs
from DLCTPMLib.mapping.mapping import PerfusionMap, map_perfusion
from DLCTPMLib.networks.bundle import ModelBundle
from DLCTPMLib.quality.checks import check_input, failures
from DLCTPMLib.registration.for_position import settings_for_position
from DLCTPMLib.registration.search import Registration, register, write_transform
from DLCTPMLib.registration.settings import RegistrationSettings
from DLCTPMLib.results.result_json import header, json_ready, notes_for, write_json
from DLCTPMLib.results.settings import PredictionSettings
from DLCTPMLib.volumes.reading import Scan, content_sha256, write_image

RESULT_FILES = (
    "perfusion.nrrd",
    "lungs.nrrd",
    "function.seg.nrrd",
    "uncertainty.nrrd",
    "spect_to_ct.tfm",
    *COMPARISON_FILES,
    "report.html",
    "result.json",
)
"""Every file that a prediction may write."""

FORCED_KEY = "DLCTPM_Forced"
"""Key in the headers of the map and its segments where the map was forced against a FAIL."""


@dataclass(frozen=True)
class PatientImages:
    """The opened images of one patient.

    Attributes:
        ct: the CT and where it came from.
        lungs: on the CT's grid.
        spect: None where there is none.
        simulated: whether it is a virtual patient.
    """

    ct: Scan
    lungs: Lungs
    spect: Scan | None = None
    simulated: bool = False


def predict_to_folder(
    images: PatientImages,
    bundle: ModelBundle,
    settings: PredictionSettings,
    folder: Path,
    stopwatch: Stopwatch,
    progress: Progress = no_progress,
    force: bool = False,
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

    Returns:
        the content of ``result.json``.

    Raises:
        FailedChecksError: a check of the input FAILs, and nobody forces the map.
    """
    ct, lungs = images.ct.image, images.lungs.upright
    warnings = [*images.ct.warnings, *images.lungs.warnings]
    with stopwatch("quality"):
        quality = check_input(ct, lungs, bundle.metadata, images.ct.description.get("dicom"))
    failed = failures(quality)
    if failed and not force:
        sentences = [check["message"] for check in failed]
        message = f"{images.ct.path}: {' '.join(sentences)} Correct that, or map it all the same with "
        raise FailedChecksError(f"{message}--force.", sentences)
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
        regions = region_table(mapped.perfusion, lungs, settings.threshold)

    comparison = registration = None
    how = RegistrationSettings()
    if images.spect is not None:
        with stopwatch("registration"), naming(images.spect.path):
            notes: list[str] = []
            if settings.registration != "none":
                how, notes = settings_for_position(ct, lungs, images.ct.description.get("dicom"))
            registration = _registered(images, settings, how, within(progress, 0.52, 0.68))
        warnings += [*images.spect.warnings, *notes, *registration.warnings]
        progress("Comparing with the SPECT", 0.68)
        with stopwatch("agreement"), naming(images.spect.path):
            comparison = _comparison(images, mapped, registration, bundle, settings)

    progress("Writing images", 0.78)
    with stopwatch("writing"):
        _write_images(folder, mapped.perfusion, images.lungs, settings.threshold, failed)
        if registration is not None:
            write_transform(registration.transform, folder / "spect_to_ct.tfm")
            write_comparison(folder, comparison, images.spect.image)
    result = prediction_result(images, bundle, settings, mapped, regions, quality, registration, comparison, how)
    result["warnings"] = list(dict.fromkeys(warnings))
    result["timings_s"] = stopwatch.seconds
    result = json_ready(result)
    with stopwatch("report"):
        from DLCTPMLib.results.report import ReportImages, write_report  # matplotlib, imported while the network ran

        shown = ReportImages(ct, images.lungs.labels, mapped.perfusion, comparison)
        write_report(folder / "report.html", result, shown, bundle, progress=within(progress, 0.85, 0.99))
    result["timings_s"] = json_ready({name: round(seconds, 4) for name, seconds in stopwatch.seconds.items()})
    write_json(folder / "result.json", result)
    check_disk(folder / "result.json")
    return result


def prediction_result(
    images: PatientImages,
    bundle: ModelBundle,
    settings: PredictionSettings,
    mapped: PerfusionMap,
    regions: dict,
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
        "functional_regions": {"threshold": settings.threshold},
    }
    described = {
        **images.ct.description,
        "sha256": content_sha256(images.ct.image),
        "lungs": {"source": images.lungs.source},
    }
    result = {
        **header(images.simulated),
        "notes": notes_for(preprocessing.hir_percentile, preprocessing.clip_at),
        "model": bundle.identity(),
        "settings": used,
        "device": mapped.device,
        "input": described,
        "regions": regions,
        "quality": quality,
        "forced": [check["message"] for check in failures(quality)],
    }
    if comparison is not None and registration is not None:
        described["spect"] = {**images.spect.description, "sha256": content_sha256(images.spect.image)}
        used["agreement"] = comparison.settings.to_dict()
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
) -> SpectComparison:
    return on_spect_grid(
        mapped.perfusion,
        images.spect.image,
        images.lungs.upright,
        registration.transform,
        settings.agreement(bundle.preprocessing),
        images.ct.image,
        bundle.preprocessing,
    )


def _write_images(
    folder: Path, perfusion: sitk.Image, lungs: Lungs, threshold: float, failed: Sequence[dict]
) -> None:
    notes = {}
    if failed:  # header texts are ASCII: the names of the checks, whose sentences result.json holds
        names = ", ".join(check["check"] for check in failed)
        notes[FORCED_KEY] = f"input checks FAILED, this map cannot be right: {names}"
        perfusion.SetMetaData(FORCED_KEY, notes[FORCED_KEY])
    write_image(perfusion, folder / "perfusion.nrrd")
    write_image(lungs.labels, folder / "lungs.nrrd")
    segments = [
        Segment("high-functional-lung", "High-functional lung", HIGH, (0.90, 0.62, 0.0), terminology(1)),
        Segment("low-functional-lung", "Low-functional lung", LOW, (0.0, 0.45, 0.70), terminology(1)),
    ]
    labels = functional_labels(perfusion, lungs.upright, threshold)
    write_segments(folder / "function.seg.nrrd", labels, segments, notes)
