"""Registration's settings for the position in which the patient lay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import SimpleITK as sitk

from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.quality.position import LYING, position_of
from DLCTPMLib.registration.search import Registration, register
from DLCTPMLib.registration.settings import RegistrationSettings

if TYPE_CHECKING:
    from DLCTPMLib.volumes.reading import Scan


def settings_for_position(
    ct: sitk.Image, lungs: sitk.Image | UprightLungs, header: Mapping | None = None
) -> tuple[RegistrationSettings, list[str]]:
    """The defaults, which expect more flow towards the back, but without it where the patient lay otherwise.

    The particles lodge in the position of the injection, which may be another than that of the CT: then nothing is
    expected of gravity at all.

    Args:
        ct: HU.
        lungs: of that CT.
        header: what its DICOM header says (``Scan.description["dicom"]``).

    Returns:
        The settings, and a sentence for the user where they are not the defaults.
    """
    lies_on = position_of(ct, lungs, header).lies_on
    settings = RegistrationSettings()
    if lies_on in (None, "back"):
        return settings, []
    note = f"the patient lies {LYING[lies_on]}, so registration expects no more flow in the back than in the front"
    return replace(settings, gravity_percent_per_cm=0.0), [note]


def register_as_it_lay(
    ct: sitk.Image, spect: sitk.Image, kind: str, lungs: sitk.Image | UprightLungs, header: Mapping | None = None
) -> Registration:
    """``register`` with the settings for the position; their sentence is the first of its warnings.

    Args:
        ct, lungs, header: as above.
        spect: counts.
        kind: "rigid" or "affine".
    """
    settings, notes = settings_for_position(ct, lungs, header)
    found = register(ct, spect, kind, lungs, settings)
    return replace(found, warnings=[*notes, *found.warnings])


def transform_of_pair(
    ct: Scan, spect: sitk.Image, lungs: sitk.Image | UprightLungs, kind: str
) -> sitk.Transform | None:
    """Maps CT points to SPECT points.

    Args:
        ct: as it was read.
        spect: counts.
        lungs: of that CT.
        kind: "rigid" or "affine"; "none" is None, the identity.
    """
    if kind == "none":
        return None
    return register_as_it_lay(ct.image, spect, kind, lungs, ct.description.get("dicom")).transform
