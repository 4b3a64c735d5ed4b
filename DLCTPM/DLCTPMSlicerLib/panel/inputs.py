"""The panel's inputs and output: CT, lungs, model, device, and where the map goes."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.device_choice import DeviceChoice
from DLCTPMSlicerLib.engine.models import availableModels
from DLCTPMSlicerLib.nodes.roles import MADE_HERE, PERFUSION
from DLCTPMSlicerLib.programs.lung_sources import Automatic, Existing, lungSources
from DLCTPMSlicerLib.widgets.entry import folderEdit
from DLCTPMSlicerLib.widgets.program_choice import ProgramChoice
from DLCTPMSlicerLib.widgets.text_window import showMarkdown

MODEL_FOLDER_KEY = "DLCTPM/ModelFolder"
"""A setting of this computer, not of a scene."""
DEFAULT_MODEL = "default"


class InputsPart:
    """Behaviour of the widgets in "Inputs", "Output" and "Advanced"."""

    AUTOMATIC, EXISTING = Automatic.key, Existing.key

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._models = []
        self.sources = ProgramChoice(self.ui.lungSourceComboBox, lungSources(), self._sourceChosen)
        self._device = DeviceChoice(
            self.ui, _("PyTorch is not installed yet; it will be offered at the first prediction.")
        )
        self.ui.outputSelector.addAttribute("vtkMRMLScalarVolumeNode", MADE_HERE, PERFUSION)
        folderEdit(self.ui.modelFolderPathLineEdit, MODEL_FOLDER_KEY)
        self._fillModels()
        self.ui.modelComboBox.currentIndexChanged.connect(self._modelChosen)
        self.ui.modelFolderPathLineEdit.currentPathChanged.connect(lambda _folder: self._fillModels())
        self.ui.modelCardButton.clicked.connect(self.showCard)

    def close(self) -> None:
        """End the search for a graphics card."""
        self._device.close()

    def refresh(self) -> None:
        """See again which programs, models and devices there are."""
        self.sources.refresh()
        self._fillModels()
        self._device.refresh()

    def source(self):
        """The chosen lung source."""
        return self.sources.named(self.panel.parameters.lungSource)

    def model(self) -> str:
        """Key of the model that is shown; empty (the engine's default) where there is none to show."""
        index = self.ui.modelComboBox.currentIndex
        return self._models[index].key if 0 <= index < len(self._models) else ""

    def device(self) -> str:
        """The chosen device."""
        return self._device.device()

    def problem(self) -> str:
        """Why nothing can be predicted now; empty if it can."""
        parameters, source = self.panel.parameters, self.source()
        if parameters.ctVolume is None:
            return _("Choose a CT first.")
        if source.unavailable():
            return source.unavailable()
        if source.needsNode and parameters.lungs is None:
            return _("Choose the lungs, or let them be found automatically.")
        return ""

    def update(self, idle: bool) -> None:
        """Follow the parameters."""
        source = self.source()
        self.sources.choose(source.key)
        self.ui.lungSelectorLabel.visible = self.ui.lungSelector.visible = source.needsNode
        self.ui.segmentButton.enabled = idle and not source.needsNode and not self.problem()
        self._showModel()

    def showMissing(self, programs: list) -> None:
        """Name the programs that are not installed, in one line; its tooltip says how to get each."""
        names = ", ".join(program.label() for program in programs)
        self.ui.programsLabel.text = _("Also works with, but not installed: {names}.").format(names=names)
        self.ui.programsLabel.toolTip = "\n".join(f"{one.label()}: {one.unavailable()}" for one in programs)
        self.ui.programsLabel.visible = bool(programs)

    def _showModel(self) -> None:
        """Show the scene's model; the default one where the scene names none that is here."""
        keys = [model.key for model in self._models]
        for key in (self.panel.parameters.model, DEFAULT_MODEL):
            if key in keys:
                self.ui.modelComboBox.currentIndex = keys.index(key)
                return

    def showCard(self) -> None:
        """Show the chosen model's card in a window of its own."""
        index = self.ui.modelComboBox.currentIndex
        if not 0 <= index < len(self._models):
            return
        self._card = showMarkdown(self._models[index].label, self._models[index].card)

    def _fillModels(self) -> None:
        combo = self.ui.modelComboBox
        wasBlocked = combo.blockSignals(True)
        self._models = availableModels(self.ui.modelFolderPathLineEdit.currentPath)
        combo.clear()
        for index, model in enumerate(self._models):
            combo.addItem(model.label)
            combo.setItemData(index, f"{model.about}\n{model.intendedUse}", qt.Qt.ToolTipRole)
        combo.blockSignals(wasBlocked)
        self.ui.modelCardButton.enabled = bool(self._models)
        self._tellModel()
        if self.panel.parameters is not None:
            self._showModel()

    def _tellModel(self) -> None:
        index = self.ui.modelComboBox.currentIndex
        self.ui.modelLabel.text = self._models[index].about if 0 <= index < len(self._models) else ""

    def _sourceChosen(self) -> None:
        if self.panel.parameters is not None:
            self.panel.parameters.lungSource = self.sources.program().key

    def _modelChosen(self, index: int) -> None:
        self._tellModel()
        if self.panel.parameters is not None and 0 <= index < len(self._models):
            self.panel.parameters.model = self._models[index].key
