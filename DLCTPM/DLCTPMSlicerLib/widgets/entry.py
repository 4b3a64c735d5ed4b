"""What is typed or dragged, on its way into parameters and settings: rounded numbers, remembered folders."""

from __future__ import annotations

import qt
import slicer.util
from slicer.parameterNodeWrapper import FloatRange


def rounded(value: float, widget) -> float:
    """A slider's value with the decimals that it shows: CTK gives 0.7000000000000001 where it shows 0.70."""
    return round(float(value), int(widget.decimals))


class RoundedSlider:
    """Ties a ``ctkSliderWidget`` to a parameter, both ways; only rounded values come into the scene.

    Args:
        widget: the slider; its range and decimals are those of the .ui file.
        panel: has the ``parameters`` (None while there is no scene to work on).
        name: of the parameter.
    """

    def __init__(self, widget, panel, name: str):
        self._widget, self._panel, self._name = widget, panel, name
        widget.valueChanged.connect(self.choose)

    def show(self) -> None:
        """Show the parameter's value."""
        value = getattr(self._panel.parameters, self._name)
        if rounded(self._widget.value, self._widget) != value:
            blocked = self._widget.blockSignals(True)  # a script's 0.665 stays what it is, though 0.66 is shown
            self._widget.value = value
            self._widget.blockSignals(blocked)

    def choose(self, value: float) -> None:
        """What moving the slider does."""
        parameters, value = self._panel.parameters, rounded(value, self._widget)
        if parameters is not None and getattr(parameters, self._name) != value:
            setattr(parameters, self._name, value)


class RoundedRange:
    """Ties a ``ctkRangeWidget`` to a ``FloatRange`` parameter, as ``RoundedSlider`` does for one value."""

    def __init__(self, widget, panel, name: str):
        self._widget, self._panel, self._name = widget, panel, name
        widget.valuesChanged.connect(self.choose)

    def show(self) -> None:
        """Show the parameter's ends."""
        chosen = getattr(self._panel.parameters, self._name)
        ends = (chosen.minimum, chosen.maximum)
        if (
            tuple(rounded(end, self._widget) for end in (self._widget.minimumValue, self._widget.maximumValue))
            != ends
        ):
            blocked = self._widget.blockSignals(True)
            self._widget.setValues(*ends)
            self._widget.blockSignals(blocked)

    def choose(self, low: float, high: float) -> None:
        """What moving an end does."""
        parameters = self._panel.parameters
        ends = rounded(low, self._widget), rounded(high, self._widget)
        if parameters is None:
            return
        chosen = getattr(parameters, self._name)
        if (chosen.minimum, chosen.maximum) != ends:
            setattr(parameters, self._name, FloatRange(*ends))


def folderEdit(edit, settingsKey: str = "") -> None:
    """Let a ``ctkPathLineEdit`` choose folders only, and (with a key) keep the folder for this computer."""
    edit.filters = type(edit).Dirs  # without it, CTK's button opens a dialog for files
    if settingsKey:
        edit.currentPath = slicer.util.settingsValue(settingsKey, "")
        edit.currentPathChanged.connect(lambda folder: qt.QSettings().setValue(settingsKey, folder))
