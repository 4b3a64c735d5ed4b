"""Registration's settings for the position in which the patient lay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import SimpleITK as sitk

from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.quality.position import LYING, position_of
from DLCTPMLib.registration.settings import RegistrationSettings


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
