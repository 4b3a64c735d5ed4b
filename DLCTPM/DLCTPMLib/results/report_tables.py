"""A report's tables: ``result.json`` as rows of words and figures."""

from __future__ import annotations

from DLCTPMLib.agreement.scores import BASELINE_NAMES
from DLCTPMLib.common.templates import figure_text, name_text, value_text
from DLCTPMLib.function.partitions import LOBE_NAMES
from DLCTPMLib.function.zones import SCORE_LIMITS, SCORE_WORDS
from DLCTPMLib.labels.chest_regions import BOTH, SIDES
from DLCTPMLib.results.report_words import dicom_rows, likely_cause

Rows = list[tuple[str, str]]
SHORT_HASH = 16
"""Characters of a SHA-256 that identify an image on the first page; the methods page has all."""


def region_rows(regions: dict) -> list[dict]:
    """Every region's figures with its name and share of volume.

    ``whole`` marks the lungs, ``first`` what stands on the first page.
    """
    whole = regions[BOTH]["volume_ml"]
    return [
        {
            **values,
            "name": name,
            "whole": name in (BOTH, *SIDES),
            "first": name in (BOTH, *SIDES, *LOBE_NAMES),
            "volume_percent": 100 * values["volume_ml"] / whole if whole else None,
        }
        for name, values in regions.items()
    ]


def examined_rows(result: dict, made: str) -> Rows:
    """What was examined, when, by what: the head of the first page."""
    described, model = result["input"], result["model"]
    rows = [("Examined", f"{described['name']} ({described['format']}), SHA-256 {_hash(described)}")]
    rows += _examination_rows(described, "Examination")
    if "spect" in described:
        spect = described["spect"]
        rows.append(("Compared with", f"{spect['name']} ({spect['format']}), SHA-256 {_hash(spect)}"))
        rows += _examination_rows(spect, "Examination of the SPECT")
    rows += [
        ("Lungs", f"{_lungs_found(result['regions'])}; mask: {described['lungs']['source']}"),
        ("Reported", made),
        ("Model", f"{model['name']} {model['version']}, SHA-256 {model['sha256'][:SHORT_HASH]}…"),
        ("Calibration", _calibration(result)),
    ]
    return rows


def _hash(described: dict) -> str:
    return f"{described['sha256'][:SHORT_HASH]}…" if "sha256" in described else "not known"


def _lungs_found(regions: dict) -> str:
    found = [side for side in SIDES if regions.get(side, {}).get("volume_ml")]
    names = {2: "both lungs", 1: f"{found[0]} only" if found else "", 0: "no lung"}[len(found)]
    return f"{names}, {figure_text(regions[BOTH]['volume_ml'] / 1000, 2)} l"


def _calibration(result: dict) -> str:
    known = [
        f"{what} {how} {result[key]['patients']} {result[key]['whose']}"
        for key, what, how in (("scale", "scale", "measured on"), ("balance", "right against left", "fitted on"))
        if key in result
    ]
    return "; ".join(known) or "none: how its maps lie beside SPECTs of other patients was never measured"


def flag_rows(quality: list[dict]) -> list[dict]:
    """The checks that do not pass, FAILs first, each with what mostly stands behind it."""
    flags = [{**check, "cause": likely_cause(check["check"])} for check in quality if check["status"] != "PASS"]
    return sorted(flags, key=lambda check: check["status"])


def zone_rows(zones: dict[str, dict]) -> list[dict]:
    """The six zones as three rows from above downwards: ``name``, ``right`` and ``left``, each a text."""
    rows = []
    for level in ("upper", "middle", "lower"):
        texts = {side: _zone_text(zones.get(f"{side} {level} zone")) for side in ("right", "left")}
        rows.append({"name": level, **texts})
    return rows


def _zone_text(zone: dict | None) -> str:
    if zone is None or zone["score"] is None:
        return "–"
    return f"{zone['score']} – {SCORE_WORDS[zone['score'] - 1]} ({figure_text(zone['relative'], 2)})"


def zone_note() -> str:
    """What the scores of the zones mean, in one sentence."""
    limits = ", ".join(f"{score} from {limit:.2f}" for score, limit in enumerate(SCORE_LIMITS, start=2))
    return (
        f"Score of a zone: its mean over both lungs' mean (in brackets); 1 below {SCORE_LIMITS[0]:.2f}, {limits}. A "
        "convention of this program that no patient has validated; a uniform lung has 3 everywhere."
    )


def ppo_rows(ppo: dict | None, sides_compared: bool) -> Rows:
    """A resection that was asked about; nothing where none was.

    Args:
        ppo: ``ppo_fev1`` of ``result.json``.
        sides_compared: whether the model saw both lungs together.
    """
    if not ppo:
        return []
    caveat = "this model sees one lung at a time: between the lungs, the share follows their volumes"

    def litres(value: float | None, percent: float | None) -> str:
        beside = "" if percent is None else f", {figure_text(percent, 0)} % of predicted"
        return f"{figure_text(value, 2)} l{beside}"

    removed, left = figure_text(ppo["removed_percent"], 1), figure_text(ppo["ppo_fev1_l"], 2)
    return [
        ("FEV1 before", litres(ppo["fev1_l"], ppo["fev1_percent"])),
        ("Would be removed", f"{', '.join(ppo['removed'])}: {removed} % of the perfusion"),
        ("ppo-FEV1", litres(ppo["ppo_fev1_l"], ppo["ppo_fev1_percent"])),
        ("Formula", f"{ppo['formula']} = {ppo['fev1_l']:g} l × (1 − {removed} / 100) = {left} l"),
        *([] if sides_compared else [("Caveat", caveat)]),
    ]


def agreement_tables(agreement: dict | None) -> list[dict]:
    """The map and its baselines beside the SPECT: both lungs first, then each, then the same in the core."""
    tables = []
    for part, suffix in (
        (None, "whole lung mask"),
        ("core", "core: each lung eroded, where edge blur no longer helps"),
    ):
        for scope in agreement or ():
            figures = agreement[scope] if part is None else agreement[scope][part]
            rows = [{**figures, "name": "perfusion map"}]
            rows += [
                {**values, "name": BASELINE_NAMES.get(name, name)} for name, values in figures["baselines"].items()
            ]
            voxels = figure_text(figures["voxels"], 0)
            tables.append({"title": f"{scope.capitalize()} – {suffix} ({voxels} SPECT voxels)", "rows": rows})
    return tables


def limit_sentences(regional: dict | None) -> list[str]:
    """Bland and Altman's limits of agreement in words."""
    return [
        f"Limits of agreement over {found['regions']} regions ({division}): {figure_text(found['lower'], 1)} to "
        f"{figure_text(found['upper'], 1)} percentage points (mean ± 1.96 SD; the mean is 0 by construction)."
        for division, found in (regional or {}).get("limits", {}).items()
    ]


def setting_rows(settings: dict) -> list[tuple[str, Rows]]:
    """Every group of settings with its names and values."""
    return [
        (name_text(group), [(name_text(name), value_text(name, value)) for name, value in values.items()])
        for group, values in settings.items()
    ]


def identity_rows(result: dict) -> Rows:
    """Versions and whole hashes."""
    described, model, software = result["input"], result["model"], result["software"]
    rows = [
        ("software", f"{software['name']} {software['version']}"),
        ("model", f"{model['name']} {model['version']}"),
        ("SHA-256 of the model's weights", model["sha256"]),
    ]
    for key, words in (("sha256", "CT (grid and voxels)"), ("voxels_sha256", "CT's voxels")):
        if key in described:
            rows.append((f"SHA-256 of the {words}", described[key]))
    if "sha256" in described.get("spect", {}):
        rows.append(("SHA-256 of the SPECT", described["spect"]["sha256"]))
    return [*rows, ("layout of result.json", str(result["schema_version"])), ("device", result["device"])]


def input_rows(described: dict) -> Rows:
    """The images and their headers in words."""
    rows = [("CT", described["name"]), *grid_rows(described), ("orientation", described["orientation"])]
    rows += [("lungs", described["lungs"]["source"])]
    rows += dicom_rows(described.get("dicom", {}))
    rows += _examination_rows(described, "examination")
    if "spect" in described:
        spect = described["spect"]
        rows += [("SPECT", spect["name"])]
        rows += [(f"SPECT {name}", text) for name, text in (*grid_rows(spect), *dicom_rows(spect.get("dicom", {})))]
        rows += _examination_rows(spect, "SPECT examination")
    return rows


def _examination_rows(described: dict, title: str) -> Rows:
    """The pseudonym of a DICOM image's examination, if there is one, and what it is."""
    named = described.get("examination", {})
    shown = [f"{name} {named[name]}" for name in ("study", "series", "date") if name in named]
    return [(title, f"{', '.join(shown)}. {named.get('meaning', '')}".strip())] if shown else []


def grid_rows(described: dict) -> Rows:
    """Size and spacing of an image that ``volumes.reading.describe`` described, as rows of a table."""
    spacing = " × ".join(f"{mm:g}" for mm in described["spacing"])
    return [("size", value_text("size", described["size"])), ("spacing (mm)", spacing)]
