"""``dlctpm predict``: a perfusion map from a chest CT, with everything that is said about it."""

from __future__ import annotations

import argparse
from pathlib import Path

from DLCTPMLib.common.atomic_output import OutputFolder
from DLCTPMLib.common.background import preload
from DLCTPMLib.common.console import say
from DLCTPMLib.common.errors import InputError, naming
from DLCTPMLib.common.progress import Progress, within
from DLCTPMLib.common.stopwatch import Stopwatch
from DLCTPMLib.lungs.masks import Lungs, read_lungs
from DLCTPMLib.lungs.segmentation import segment_lungs
from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.results.prediction import RESULT_FILES, PatientImages, PredictionSettings, predict_to_folder
from DLCTPMLib.volumes.reading import Scan, read_ct, read_spect


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Read, find the lungs, map, compare, report."""
    if options.uncertainty is not None:
        raise InputError("--uncertainty is not built yet; leave it out")
    settings = PredictionSettings(
        threshold=options.threshold,
        registration=options.register,
        hir_scope=options.hir_scope,
        device=options.device,
        precision=options.precision,
    )
    stopwatch = Stopwatch()
    out = Path(options.out or default_folder(options.ct))
    with OutputFolder(out, RESULT_FILES) as folder:
        bundle = load_bundle(options.model)
        preload("DLCTPMLib.networks.inference")  # PyTorch, while the CT is read
        progress("Reading the CT", 0.0)
        with stopwatch("reading"):
            ct = read_ct(options.ct, options.series)
            spect = read_spect(options.spect, options.spect_series) if options.spect else None
        with stopwatch("lungs"):
            lungs = lungs_of(ct, options.lungs, within(progress, 0.05, 0.2), options.lungs_values)
        images = PatientImages(ct, lungs, spect)
        result = predict_to_folder(images, bundle, settings, folder.work, stopwatch, within(progress, 0.2, 1.0))
    progress("Done", 1.0)
    say(options, summary(result, out))


def lungs_of(ct: Scan, path: str | None, progress: Progress, values: str = "auto") -> Lungs:
    """The lungs from a mask file, or found in the CT where there is none.

    ``values`` says what the values of a label map mean, as for ``read_lungs``.
    """
    if path is None:
        with naming(ct.description["path"]):
            return segment_lungs(ct.image, progress=lambda _, fraction: progress("Finding the lungs", fraction))
    progress("Reading the lungs", 0.0)
    return read_lungs(path, ct.image, values)


def default_folder(ct: str) -> str:
    """Where results go when nothing was said: ``./NAME-perfusion``, after the CT's file or folder."""
    path = Path(ct).resolve()
    if path.is_dir():
        return f"{path.name or 'ct'}-perfusion"
    return f"{path.name[: -len('.nii.gz')] if path.name.endswith('.nii.gz') else path.stem}-perfusion"


def summary(result: dict, out: Path) -> str:
    """A few lines on what came out and where it lies."""
    lines = [f"{'':12}{'volume ml':>10}{'mean':>7}{'share %':>9}{'high ml':>9}{'low ml':>9}"]
    for name in ("lungs", "right lung", "left lung"):
        row = result["regions"][name]
        mean, share = (
            "–" if row[key] is None else f"{row[key]:.{digits}f}"
            for key, digits in (("mean", 3), ("perfusion_percent", 1))
        )
        volumes = f"{row['high_ml']:9.0f}{row['low_ml']:9.0f}"
        lines.append(f"{name:12}{row['volume_ml']:10.0f}{mean:>7}{share:>9}{volumes}")
    if "agreement" in result:
        lines.append(agreement_table(result["agreement"]))
    lines += [f"warning: {warning}" for warning in result["warnings"]]
    lines += [f"{check['status']}: {check['message']}" for check in result["quality"] if check["status"] != "PASS"]
    lines.append(f"{'Simulated. ' if result['simulated'] else ''}{result['research_use_only']}")
    lines.append(f"Results in {out}, open {out / 'report.html'}")
    return "\n".join(lines)


def agreement_table(agreement: dict) -> str:
    """The agreement as text: the map and its baselines, whole lungs and core."""
    lines = []
    for title, figures in (("lungs", agreement["lungs"]), ("core", agreement["lungs"]["core"])):
        lines.append(f"{title:16}{'R':>7}{'SSIM':>7}{'DSC high':>10}{'DSC low':>9}{'kappa':>7}")
        for name, row in {"map": figures, **figures["baselines"]}.items():
            values = [row[key] for key in ("r_spearman", "ssim", "dsc_high", "dsc_low", "kappa")]
            texts = ["–" if value is None else f"{value:.3f}" for value in values]
            widths = (7, 7, 10, 9, 7)
            lines.append(f"{name:16}" + "".join(f"{t:>{w}}" for t, w in zip(texts, widths, strict=True)))
    return "\n".join(lines)
