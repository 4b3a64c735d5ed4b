"""The panel's inputs: CT, lungs, model, device."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.device_choice import DeviceChoice
from DLCTPMSlicerLib.engine.models import availableModels
from DLCTPMSlicerLib.panel.entry import folderEdit
from DLCTPMSlicerLib.panel.text_window import showMarkdown
from DLCTPMSlicerLib.programs.lung_sources import Automatic, Existing, lungSources

MODEL_FOLDER_KEY = "DLCTPM/ModelFolder"
"""A setting of this computer, not of a scene."""
DEFAULT_MODEL = "default"
_FLAGS_ROLE, _USABLE, _GREYED = int(qt.Qt.UserRole) - 1, 33, 0
"""Qt keeps an item's flags in the role before UserRole: selectable and enabled (33), or neither."""


def greyItems(combo: qt.QComboBox, reasons: list[str]) -> None:
    """Grey the items that cannot be chosen now; each tooltip says why. An empty reason means that it can."""
    for index, reason in enumerate(reasons):
        combo.setItemData(index, _GREYED if reason else _USABLE, _FLAGS_ROLE)
        combo.setItemData(index, reason, qt.Qt.ToolTipRole)


class InputsPart:
    """Behaviour of the widgets in "Inputs"."""

    AUTOMATIC, EXISTING = Automatic.key, Existing.key

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._sources, self._models = lungSources(), []
        self._device = DeviceChoice(
            self.ui, _("PyTorch is not installed yet; it will be offered at the first prediction.")
        )
        self._fillSources()
        folderEdit(self.ui.modelFolderPathLineEdit, MODEL_FOLDER_KEY)
        self._fillModels()
        self.ui.lungSourceComboBox.currentIndexChanged.connect(self._sourceChosen)
        self.ui.modelComboBox.currentIndexChanged.connect(self._modelChosen)
        self.ui.modelFolderPathLineEdit.currentPathChanged.connect(self._folderChosen)
        self.ui.modelCardButton.clicked.connect(self.showCard)

    def close(self) -> None:
        """End the search for a graphics card."""
        self._device.close()

    def refresh(self) -> None:
        """See again which programs, models and devices there are."""
        self._greySources()
        self._fillModels()
        self._device.refresh()

    def source(self):
        """The chosen lung source."""
        key = self.panel.parameters.lungSource
        return next((source for source in self._sources if source.key == key), self._sources[0])

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
        index = self._sources.index(source)
        if self.ui.lungSourceComboBox.currentIndex != index:
            self.ui.lungSourceComboBox.currentIndex = index
        self.ui.lungSelector.enabled = source.needsNode
        self.ui.segmentButton.enabled = idle and not source.needsNode and not self.problem()
        self._showModel()

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

    def _fillSources(self) -> None:
        for source in self._sources:
            self.ui.lungSourceComboBox.addItem(source.label())
        self._greySources()

    def _greySources(self) -> None:
        greyItems(self.ui.lungSourceComboBox, [source.unavailable() for source in self._sources])

    def _fillModels(self) -> None:
        combo = self.ui.modelComboBox
        wasBlocked = combo.blockSignals(True)
        self._models = availableModels(self.ui.modelFolderPathLineEdit.currentPath)
        combo.clear()
        for index, model in enumerate(self._models):
            combo.addItem(model.label)
            combo.setItemData(index, model.intendedUse, qt.Qt.ToolTipRole)
        combo.blockSignals(wasBlocked)
        self.ui.modelCardButton.enabled = bool(self._models)
        if self.panel.parameters is not None:
            self._showModel()

    def _sourceChosen(self, index: int) -> None:
        if self.panel.parameters is not None and index >= 0:
            self.panel.parameters.lungSource = self._sources[index].key

    def _modelChosen(self, index: int) -> None:
        if self.panel.parameters is not None and 0 <= index < len(self._models):
            self.panel.parameters.model = self._models[index].key

    def _folderChosen(self, _folder: str) -> None:
        self._fillModels()
