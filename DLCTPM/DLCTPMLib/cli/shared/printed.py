"""What the commands print of a result: a few lines of figures, plain text."""

from __future__ import annotations

from pathlib import Path


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
    if result.get("forced"):
        lines.append(f"FORCED: this map cannot be right ({'; '.join(result['forced'])})")
    lines += [f"warning: {warning}" for warning in result["warnings"]]
    lines += check_lines(result["quality"])
    lines += _ending(result, out, "report.html")
    return "\n".join(lines)


def check_lines(quality: list[dict]) -> list[str]:
    """A line for each check of the input that does not pass."""
    return [f"{check['status']}: {check['message']}" for check in quality if check["status"] != "PASS"]


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


def dose_table(result: dict, out: Path) -> str:
    """Dose and function of both lungs and of each, and where the rest lies."""
    lines = [f"{'':12}{'volume ml':>10}{'MLD Gy':>8}{'V20 %':>7}{'fMLD w':>8}{'fV20 w':>8}{'fMLD':>7}{'fV20':>7}"]
    for name, region in result["regions"].items():
        figures = [region["mean_gy"], region["at_least_percent"]["20"]]
        for part in ("weighted", "high"):
            figures += [region[part]["mean_gy"], region[part]["at_least_percent"]["20"]]
        texts = ["–" if value is None else f"{value:.2f}" for value in figures]
        widths = (8, 7, 8, 8, 7, 7)
        row = "".join(f"{text:>{width}}" for text, width in zip(texts, widths, strict=True))
        lines.append(f"{name:12}{region['volume_ml']:10.0f}{row}")
    lines.append(f"w: weighted with the map; else high-functional lung, {result['function']['definition']}")
    if result["forced"]:
        lines.append(f"FORCED: the map cannot be right ({'; '.join(result['forced'])})")
    lines += [f"warning: {warning}" for warning in result["warnings"]]
    lines += _ending(result, out, "dose.html")
    return "\n".join(lines)


def changes_table(result: dict, out: Path) -> str:
    """Both lungs and each of them before and after, and where the rest lies."""
    lines = [f"{'':12}{'volume ml':>20}{'mean':>18}{'share %':>18}{'high ml':>20}"]
    for name in ("lungs", "right lung", "left lung"):
        row = result["regions"][name]
        columns = (("volume_ml", 0, 20), ("mean", 3, 18), ("perfusion_percent", 1, 18), ("high_ml", 0, 20))
        texts = [
            " -> ".join("–" if value is None else f"{value:.{digits}f}" for value in list(row[key].values())[:2])
            for key, digits, _ in columns
        ]
        lines.append(f"{name:12}" + "".join(f"{t:>{w}}" for t, (_, _, w) in zip(texts, columns, strict=True)))
    lines += [result["notes"]["claim"], result["notes"]["patient"]]
    if result["forced"]:
        lines.append(f"FORCED: a map cannot be right ({'; '.join(result['forced'])})")
    lines += [f"warning: {warning}" for warning in result["warnings"]]
    lines += _ending(result, out, "changes.html")
    return "\n".join(lines)


def _ending(result: dict, out: Path, page: str) -> list[str]:
    """What every result must say, and where it lies."""
    return [
        f"{'Simulated. ' if result['simulated'] else ''}{result['research_use_only']}",
        f"Results in {out}, open {out / page}",
    ]
