"""What a report says in sentences: its conclusion, likely causes of a check that does not pass, a header in words."""

from __future__ import annotations

from DLCTPMLib.common.templates import and_list, figure_text, name_text, value_text
from DLCTPMLib.function.partitions import THIRD_NAMES
from DLCTPMLib.function.zones import SCORE_LIMITS
from DLCTPMLib.labels.chest_regions import BOTH, SIDES

_CAUSES = {
    "intensities": "values shifted or rescaled on export, or an image that is no CT",
    "slice spacing": "a thick reconstruction was exported; scanners mostly keep a thinner one",
    "pixel spacing": "an image that was down-sampled, or a very large field of view",
    "tilt": "a tilted gantry, or an image resampled onto another grid",
    "field of view": "a field of view reconstructed too small, or a scan that begins or ends in the lungs",
    "whole chest": "a scan of the heart, the abdomen or a target only",
    "lung volume": "expiration, a mask of something else, or a wrong spacing in the header",
    "lung balance": "a collapsed or resected lung, effusion, or a mask that lacks part of a lung",
    "mean lung density": "expiration, oedema or consolidation; too light: emphysema, or a mask with air in it",
    "dense lung": "consolidation, atelectasis, effusion or tumour inside the mask",
    "lung texture": "strong smoothing, or lungs that were filled or drawn",
    "rib cage": "effusion, collapse, pneumothorax or a mass that the mask leaves out",
    "intravenous contrast": "a contrast-enhanced scan: lung and vessels are denser than the model learned",
    "front and back": "an orientation lost or exchanged when the image was converted",
    "head and feet": "an orientation lost or exchanged when the image was converted",
    "left and right": "an image mirrored when it was converted, or organs that lie mirrored (situs inversus)",
    "patient position": "a scan prone or on the side, or a header that says otherwise",
    "volume in training": "hyperinflation, another depth of breath, volume loss, or a mask too wide or narrow",
    "mean density in training": "another depth of breath, emphysema, oedema, consolidation, or another kernel",
    "map scale": "a CT, or a disease, unlike those of the patients on whom the scale was measured",
}

NO_ADVICE = "Quoted for the reader's own judgement: neither guideline knows this method, and nothing here is advice."
"""What stands below what guidelines say."""

_POSITIONS = {"HF": "head first", "FF": "feet first", "S": "supine", "P": "prone", "DR": "right side down"}
_POSITIONS["DL"] = "left side down"

_DICOM = {
    "ManufacturerModelName": "scanner model",
    "Manufacturer": "scanner manufacturer",
    "SeriesNumber": "series number",
    "ImageType": "image type",
    "SliceThickness": "slice thickness (mm)",
    "KVP": "tube voltage (kV)",
    "XRayTubeCurrent": "tube current (mA)",
    "Exposure": "exposure (mAs)",
    "ConvolutionKernel": "reconstruction kernel",
    "ReconstructionDiameter": "reconstructed field of view (mm)",
    "GantryDetectorTilt": "gantry tilt (°)",
    "PatientPosition": "patient position",
    "Modality": "modality",
    "contrast_agent_stated": "contrast agent stated in the header",
}


def likely_cause(check: str) -> str:
    """What mostly stands behind a check that does not pass; empty for an unknown check."""
    return _CAUSES.get(check.rpartition(": ")[2], "")


def dicom_rows(described: dict) -> list[tuple[str, str]]:
    """What is kept of a DICOM header, as rows of a table in words."""
    rows = []
    for keyword, value in described.items():
        text = value_text(keyword, value)
        if keyword == "PatientPosition":
            parts = (_POSITIONS.get(text[:2]), _POSITIONS.get(text[2:]))
            text = f"{', '.join(parts)} ({text})" if all(parts) else text
        rows.append((_DICOM.get(keyword, name_text(keyword)), text))
    return rows


def compares_sides(result: dict) -> bool:
    """Whether the model that made a map saw both lungs together: on one grid, or by a balance of right and left.

    The plain density of one lung at a time is not enough: networks that had it were as far from the SPECT's share as
    the lungs' volumes are (docs/method.md).
    """
    return "balance" in result or result["settings"]["preprocessing"].get("cell_mm", 0) > 0


def conclusion(result: dict) -> str:
    """The one sentence that a report comes to, with its caveat.

    Args:
        result: the content of ``result.json``.
    """
    regions = result["regions"]
    if result.get("forced"):
        failed = [check["check"] for check in result["quality"] if check["status"] == "FAIL"]
        return (
            f"No conclusion can be drawn: the map was made although the input failed a check "
            f"({and_list(failed) or 'see below'}), and no figure in this report can be right."
        )
    found = [side for side in SIDES if regions.get(side, {}).get("volume_ml")]
    if not regions[BOTH]["mean"]:
        return "The map holds no perfusion, so no share or pattern can be reported; this says nothing of the patient."
    said = _sides(regions) if compares_sides(result) and len(found) == 2 else _within(regions, found)
    return f"{_first_capital(said)}{_beside_spect(result)}; {_caveat(result)}."


def _sides(regions: dict) -> str:
    shares = [figure_text(regions[side]["perfusion_percent"], 0) for side in SIDES]
    name, relative = _lowest(regions, THIRD_NAMES, BOTH)
    is_low = relative is not None and relative < SCORE_LIMITS[1]
    words = "is most reduced in the" if is_low else "is reduced in no zone (lowest: the"
    return (
        f"the map gives the right lung {shares[0]} % and the left lung {shares[1]} % of the relative perfusion, and "
        f"{words} {name}{' (' if is_low else ', '}{figure_text(relative, 2)} of the lungs' mean)"
    )


def _within(regions: dict, found: list[str]) -> str:
    """Where each lung is lowest by itself, for a model that cannot compare the two."""
    lowest = {}
    for side in found:
        names = [name for name in THIRD_NAMES if name.startswith(side.split()[0])]
        name, relative = _lowest(regions, names, side)
        lowest[f"the {name} with {figure_text(relative, 2)}"] = relative
    reduced = [name for name, relative in lowest.items() if relative is not None and relative < SCORE_LIMITS[1]]
    pattern = "the map is reduced in" if reduced else "no zone of the map is reduced (lowest:"
    pattern += f" {and_list(reduced or list(lowest))} of that lung's mean{'' if reduced else ')'}"
    if len(found) == 1:
        return f"only the {found[0]} was found, and within it {pattern}"
    return (
        f"within each lung {pattern}, while this model cannot tell whether one lung is better perfused than the other"
    )


def _lowest(regions: dict, names: list[str] | tuple[str, ...], whole: str) -> tuple[str, float | None]:
    means = {name: regions[name]["mean"] for name in names if name in regions and regions[name]["mean"] is not None}
    if not means or not regions[whole]["mean"]:
        return "lung", None
    name = min(means, key=means.get)
    return name.replace("third", "zone"), means[name] / regions[whole]["mean"]


def _beside_spect(result: dict) -> str:
    if not result.get("agreement"):
        return ""
    rank = figure_text(result["agreement"]["lungs"]["r_spearman"], 2)
    shares = result.get("regional_agreement", {}).get("regions", {})
    spect = [shares.get(side, {}).get("spect_percent") for side in SIDES]
    own = ""
    if None not in spect:
        own = f" (whose shares are {figure_text(spect[0], 0)} % right, {figure_text(spect[1], 0)} % left)"
    return f"; voxel by voxel it agrees with the perfusion SPECT{own} by a rank correlation of {rank}"


def _caveat(result: dict) -> str:
    wanted = sum(check["status"] != "PASS" for check in result["quality"])
    of_whom = "the CT of a simulated patient" if result["simulated"] else "the CT"
    looks = f", and {wanted} of the checks of the input should be looked at first" if wanted else ""
    return f"this is a network's estimate from {of_whom}, not a measurement of blood flow{looks}"


def _first_capital(text: str) -> str:
    return text[:1].upper() + text[1:]
