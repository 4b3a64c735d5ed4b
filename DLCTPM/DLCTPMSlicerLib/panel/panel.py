"""The panel's behaviour, top to bottom as the work goes; its parts are in the other files here."""

from __future__ import annotations

from collections.abc import Callable

import slicer
import slicer.util

from DLCTPMSlicerLib.engine.activity import Activity
from DLCTPMSlicerLib.engine.runner import JobRunner
from DLCTPMSlicerLib.nodes.roles import MADE_HERE, isMap
from DLCTPMSlicerLib.panel.dicom import DicomPart
from DLCTPMSlicerLib.panel.dose import DosePart
from DLCTPMSlicerLib.panel.export import ExportPart
from DLCTPMSlicerLib.panel.function import FunctionPart
from DLCTPMSlicerLib.panel.inputs import InputsPart
from DLCTPMSlicerLib.panel.predict import PredictPart
from DLCTPMSlicerLib.panel.results import ResultsPart
from DLCTPMSlicerLib.panel.shortcuts import Shortcuts
from DLCTPMSlicerLib.panel.spect import SpectPart


class Panel:
    """Everything behind the widgets of ``DLCTPM.ui``.

    Args:
        ui: the widgets by name.
        logic: the module's ``DLCTPMLogic``.
    """

    def __init__(self, ui, logic):
        self.ui, self.logic = ui, logic
        self.parameters = None
        self._later: list[Callable[[], None]] = []
        self.activity = Activity(ui, self.update)
        self.runner = JobRunner(self.activity, self.update)
        self.run = self.runner.run
        self.inputs = InputsPart(self)
        self.prediction = PredictPart(self)
        self.results = ResultsPart(self)
        self.function = FunctionPart(self)
        self.spect = SpectPart(self)
        self.dose = DosePart(self)
        self.export = ExportPart(self)
        self.dicom = DicomPart(self)
        self.shortcuts = Shortcuts(self)
        ui.framesComboBox.currentIndexChanged.connect(lambda _index: self.update())
        for section in (ui.spectSection, ui.doseSection, ui.exportSection):
            # CTK shows what was hidden while a section was folded
            section.contentsCollapsed.connect(lambda _collapsed: self.update())
        self._showSections()

    def close(self) -> None:
        """End what runs; the panel is going."""
        self.shortcuts.remove()
        self.runner.kill()
        for part in (self.inputs, self.results, self.function, self.spect, self.export):
            part.close()

    def setParameters(self, parameters) -> None:
        """Work on this parameter node; None while there is none."""
        self.parameters = parameters
        for part in (self.prediction, self.results, self.function, self.spect, self.dose):
            part.forget()

    def whenOpen(self, action: Callable[[], None]) -> None:
        """Do something to views and choices: now, or when the user comes back to the module with this scene."""
        if self.parameters is not None:
            action()
        else:
            self._later.append(action)

    def sceneClosed(self) -> None:
        """What was said and is still to be done was about nodes that are gone."""
        self._later.clear()
        self.activity.rest()

    def refreshChoices(self) -> None:
        """See again which programs, models and devices there are."""
        self.inputs.refresh()
        self.spect.refresh()
        self.inputs.showMissing([*self.inputs.sources.missing(), *self.spect.programs.missing()])

    def firstCt(self):
        """The first volume that may be a CT: a scalar volume that this module did not make."""
        for volume in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
            if volume.GetClassName() == "vtkMRMLScalarVolumeNode" and not volume.GetAttribute(MADE_HERE):
                return volume
        return None

    def update(self) -> None:
        """Let buttons, tooltips, sections and views follow the parameters."""
        if self.parameters is None:
            return
        later, self._later = self._later, []
        for action in later:
            action()
        idle = not self.activity.busy
        self.ui.cancelButton.enabled = self.activity.cancellable
        self._showSections()
        self.inputs.update(idle)
        self.prediction.update(idle)
        self.results.update()
        self.function.update()
        self.spect.update(idle)
        self.dose.update(idle)
        self.export.update(idle)
        self.dicom.update(idle)

    def _showSections(self) -> None:
        """Only what there is something to show of, or to do with, stands in the panel."""
        parameters = self.parameters
        mapped = parameters is not None and isMap(parameters.perfusionVolume)
        compared = mapped or (parameters is not None and parameters.spectVolume is not None)
        self.ui.progressWidget.visible = self.activity.busy
        ui = self.ui
        for section in (ui.displaySection, ui.functionSection, ui.doseSection, ui.exportSection):
            section.visible = mapped
        self.ui.spectSection.visible = compared
