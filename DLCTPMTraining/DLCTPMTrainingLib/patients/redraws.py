"""What no CT shows, drawn anew: further SPECTs of a virtual patient whose CT stays as it is. Simulated.

The best map that any method could make of a CT is the mean of what its patient could look like; its distance to one
SPECT is the limit that a network is measured by.
"""

from __future__ import annotations

from dataclasses import replace

import SimpleITK as sitk

from DLCTPMTrainingLib.common.parameters import draw
from DLCTPMTrainingLib.patients.virtual_patient import (
    Anatomies,
    SimulatedChest,
    VirtualPatientSettings,
    movement_of,
    raw_level,
    scan,
)
from DLCTPMTrainingLib.spect.kinds import ANALYTIC


class Redraws:
    """Draws of one patient: anatomy, trees, attenuation and projectors are made once for all of them.

    The anatomy, the disease's shape, the vessels and the blood volume that the CT shows stay, and so do the scanner's
    place and breathing. Drawn anew (``virtual_patient.UNSEEN``): the branching that the blood volume does not tell,
    the tone of the vessels, closed airways, what a disease does to the flow alone, acute embolism, counts.

    Args:
        settings: of the patient; their own ``redraw`` is not used.
        ct: the patient's CT.
    """

    def __init__(self, settings: VirtualPatientSettings, ct: sitk.Image):
        self._settings, self._ct = settings, ct
        self._made = Anatomies.of(settings)
        self._scanner = None

    def draw(self, number: int) -> tuple[sitk.Image, sitk.Image]:
        """The SPECT and the true perfusion of one draw; 0 is the patient of the cohort."""
        settings = replace(self._settings, redraw=number)
        chest = SimulatedChest.of(settings, self._made)
        perfusion = chest.state.anatomy.grid.image(chest.perfusion, chest.offset_mm)
        if settings.spect == ANALYTIC:
            return scan(settings, chest, self._ct, perfusion)[0], perfusion
        if self._scanner is None:
            from DLCTPMTrainingLib.spect.scan import PatientScanner  # needs torch, which the quick way does without

            stream = settings.stream("spect")
            high_value = draw(stream, raw_level(settings))
            movement = movement_of(settings, chest)
            self._scanner = PatientScanner(perfusion, self._ct, movement, high_value, stream)
        counts = settings.stream("counts")
        return self._scanner.spect(perfusion, chest.state.body_background, counts)[0], perfusion
