"""A finished prediction that comes back as an input: its ``result.json``, map and lungs, checked."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import SimpleITK as sitk

from DLCTPMLib.common.errors import InputError, naming
from DLCTPMLib.function.definitions import Definition, parse_definition
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.networks.scale import LearnedScale
from DLCTPMLib.networks.settings import network_settings
from DLCTPMLib.results.result_json import SCHEMA_VERSION
from DLCTPMLib.results.result_schema import fault_in
from DLCTPMLib.volumes.patient_axes import PatientAxes, file_image, patient_array, same_grid
from DLCTPMLib.volumes.reading import content_sha256, read_image, read_map, voxels_sha256

REPORT_PDF = "report.pdf"
"""The report as a PDF in a prediction's folder, where it was asked for."""
SAME_PLACE_MM = 0.05
"""Formats round directions and places: NIfTI keeps them in single precision, DICOM in 16 characters."""


@dataclass(frozen=True)
class FinishedResult:
    """What a prediction left in its folder.

    Attributes:
        folder: where it lies.
        result: the content of ``result.json``.
        perfusion: the map, on the CT's grid.
        lungs: of that grid.
    """

    folder: Path
    result: dict
    perfusion: sitk.Image
    lungs: UprightLungs

    @property
    def definition(self) -> Definition:
        """How the prediction's own structures define high-functional lung."""
        return definition_of(self.result)

    @property
    def scale(self) -> LearnedScale | None:
        """Of the map, where its model knew it."""
        return scale_of(self.result)

    def is_made_of(self, ct: sitk.Image) -> bool:
        """Whether this is the CT of the prediction, in whatever format: the same values at the same places.

        Values may differ by the rounding of a format, places by 0.05 mm, and the axes may run another way.
        """
        described = self.result["input"]
        if content_sha256(ct) == described["sha256"]:
            return True
        return self.lungs.lie_on(ct, SAME_PLACE_MM) and voxels_sha256(ct) == described.get("voxels_sha256")

    def on_grid_of(self, ct: sitk.Image) -> FinishedResult:
        """The same on the CT's very grid; no voxel changes its value or place.

        Args:
            ct: one that ``is_made_of`` has accepted.
        """
        perfusion = file_image(patient_array(self.perfusion), like=ct)
        return replace(self, perfusion=perfusion, lungs=replace(self.lungs, axes=PatientAxes.of(ct)))


def definition_of(result: dict) -> Definition:
    """The definition of high-functional lung that a ``result.json`` was made with, on its map.

    Raises:
        InputError: it holds none that is known.
    """
    chosen = result["settings"]["functional_regions"]
    if "definition" not in chosen:
        return Definition(value=chosen["threshold"])
    return parse_definition(chosen["definition"]).on_map(scale_of(result))


def scale_of(result: dict) -> LearnedScale | None:
    """What a ``result.json`` knows of its map's scale.

    Raises:
        InputError: it is damaged.
    """
    return LearnedScale.from_dict(result["scale"]) if "scale" in result else None


def open_result(folder: str | os.PathLike) -> FinishedResult:
    """Open the folder of a prediction.

    Raises:
        InputError: no such folder, a file is missing or damaged, map and lungs do not lie on one grid, no lungs.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; give the folder that 'predict' wrote")
    result = read_result(folder / "result.json")
    perfusion, labels = read_map(folder / "perfusion.nrrd"), read_image(folder / "lungs.nrrd")
    if not same_grid(perfusion, labels):
        raise InputError(f"{folder}: its map and its lungs lie on different grids; predict again")
    lungs = UprightLungs.of(labels)
    if not lungs.sides.size:
        raise InputError(f"{folder / 'lungs.nrrd'}: holds no lungs; predict again")
    return FinishedResult(folder, result, perfusion, lungs)


def read_result(path: str | os.PathLike) -> dict:
    """The content of a prediction's ``result.json``.

    Raises:
        InputError: missing, of another program or version, or not as its schema says.
    """
    path = Path(path)
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the prediction's result.json") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no JSON file; give the prediction's result.json") from error
    if not isinstance(result, dict) or not {"model", "regions", "quality", "settings", "input"} <= set(result):
        raise InputError(f"{path}: is not the result.json of a prediction; give the one written beside the map")
    version = result.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path}: has the layout {str(version)[:20]} of another version of this program (here {SCHEMA_VERSION}); "
            "predict again"
        )
    fault = fault_in(result)
    if fault:
        raise InputError(f"{path}: {fault}; give the result.json as the prediction wrote it")
    with naming(path):
        network_settings(result["settings"].get("network", {}))
    return result
