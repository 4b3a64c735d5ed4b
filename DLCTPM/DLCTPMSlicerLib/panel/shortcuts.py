"""Keys of the module, there while it is open and no longer."""

from __future__ import annotations

import qt
import slicer.util

STEP = 0.01
KEYS = {
    "Ctrl+Shift+P": "predict",
    "Ctrl+Shift+M": "hideMap",
    "Ctrl+Shift+Up": "raiseThreshold",
    "Ctrl+Shift+Down": "lowerThreshold",
}
"""Keys and what each does; Slicer's main window uses none of them."""


class Shortcuts:
    """The module's keys.

    Args:
        panel: what they act on.
    """

    def __init__(self, panel):
        self._panel, self._installed = panel, []
        self._opacity = 1.0

    def install(self) -> None:
        """The module is opened."""
        if self._installed:
            return
        parent = slicer.util.mainWindow() or self._panel.ui.predictButton
        for keys, action in KEYS.items():
            shortcut = qt.QShortcut(qt.QKeySequence(keys), parent)
            shortcut.activated.connect(getattr(self, action))
            self._installed.append(shortcut)

    def remove(self) -> None:
        """The module is left, or going."""
        for shortcut in self._installed:
            shortcut.setEnabled(False)
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._installed = []

    def predict(self) -> None:
        """As a click on "Predict perfusion"."""
        self._panel.ui.predictButton.click()

    def hideMap(self) -> None:
        """Take the map off the CT, or put it back."""
        parameters = self._panel.parameters
        if parameters is not None:
            before = parameters.opacity
            parameters.opacity = 0.0 if before else self._opacity
            self._opacity = before

    def raiseThreshold(self) -> None:
        """One step up."""
        self._step(STEP)

    def lowerThreshold(self) -> None:
        """One step down."""
        self._step(-STEP)

    def _step(self, step: float) -> None:
        slider = self._panel.ui.thresholdSlider
        if slider.enabled:
            slider.value = slider.value + step
