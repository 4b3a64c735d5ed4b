"""Stand-ins for the CTK widgets that the DL-CTPM panels use, with CTK's property and signal names."""

import qt
from PySide6.QtCore import Property, Signal

HEADER_HEIGHT = 22


class ctkCollapsibleButton(qt.QWidget):
    """A section with a header that folds its content away."""

    contentsCollapsed = Signal(bool)
    toggled = Signal(bool)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._text, self._collapsed, self._shown_before = "", False, []
        self.setContentsMargins(4, HEADER_HEIGHT, 4, 2)

    def _get_text(self):
        return self._text

    def _set_text(self, text):
        self._text = text
        self.update()

    def _get_collapsed(self):
        return self._collapsed

    def _set_collapsed(self, collapsed):
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self._fold()
        self.contentsCollapsed.emit(collapsed)
        self.toggled.emit(not collapsed)

    text = Property(str, _get_text, _set_text)
    collapsed = Property(bool, _get_collapsed, _set_collapsed)
    checked = Property(bool, lambda self: not self._collapsed, lambda self, on: self._set_collapsed(not on))

    def _fold(self):
        children = [child for child in self.children() if isinstance(child, qt.QWidget)]
        if self._collapsed:
            self._shown_before = [child for child in children if not child.isHidden()]
            for child in self._shown_before:
                child.hide()
            self.setMaximumHeight(HEADER_HEIGHT)
        else:
            for child in self._shown_before:
                child.show()
            self.setMaximumHeight(16777215)

    def showEvent(self, event):
        if self._collapsed and not self._shown_before:
            self._fold()
        super().showEvent(event)

    def mousePressEvent(self, event):
        if event.position().y() < HEADER_HEIGHT:
            self._set_collapsed(not self._collapsed)

    def paintEvent(self, event):
        painter = qt.QPainter(self)
        painter.fillRect(0, 0, self.width, HEADER_HEIGHT - 2, self.palette.mid())
        painter.drawText(6, HEADER_HEIGHT - 8, ("▸ " if self._collapsed else "▾ ") + self._text)
        painter.end()


class ctkSliderWidget(qt.QWidget):
    """A slider beside a spin box, both floating point."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)

    STEPS = 1000

    def __init__(self, parent=None):
        super().__init__(parent)
        self._tracking = True
        self._slider, self._spin_box = qt.QSlider(qt.Qt.Horizontal), qt.QDoubleSpinBox()
        self._slider.setRange(0, self.STEPS)
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spin_box)
        self._spin_box.setRange(0, 100)
        self._spin_box.valueChanged.connect(self._spun)
        self._slider.valueChanged.connect(self._slid)

    def _spun(self, value):
        span = self.maximum - self.minimum
        self._slider.blockSignals(True)
        self._slider.setValue(round((value - self.minimum) / span * self.STEPS) if span else 0)
        self._slider.blockSignals(False)
        self.valueChanged.emit(value)

    def _slid(self, position):
        self._spin_box.setValue(self.minimum + position / self.STEPS * (self.maximum - self.minimum))

    def setValue(self, value):
        self._spin_box.setValue(value)

    def setRange(self, minimum, maximum):
        self._spin_box.setRange(minimum, maximum)

    def _spin_box_property(name, kind):  # noqa: N805
        return Property(
            kind,
            lambda self: getattr(self._spin_box, name),
            lambda self, value: setattr(self._spin_box, name, value),
        )

    value = _spin_box_property("value", float)
    minimum = _spin_box_property("minimum", float)
    maximum = _spin_box_property("maximum", float)
    singleStep = _spin_box_property("singleStep", float)
    decimals = _spin_box_property("decimals", int)
    prefix = _spin_box_property("prefix", str)
    suffix = _spin_box_property("suffix", str)
    tracking = Property(bool, lambda self: self._tracking, lambda self, on: setattr(self, "_tracking", on))
    pageStep = Property(float, lambda self: 0.0, lambda self, value: None)


class ctkRangeWidget(qt.QWidget):
    """Two spin boxes for the ends of a range (CTK draws a two-handled slider between them)."""

    valuesChanged = Signal(float, float)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._low, self._high = qt.QDoubleSpinBox(), qt.QDoubleSpinBox()
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for box in (self._low, self._high):
            layout.addWidget(box)
            box.valueChanged.connect(self._changed)
        self.setRange(0, 100)

    def _changed(self, _value):
        self.valuesChanged.emit(self._low.value, self._high.value)

    def setRange(self, minimum, maximum):
        self._low.setRange(minimum, maximum)
        self._high.setRange(minimum, maximum)

    def setValues(self, low, high):
        if (low, high) == (self._low.value, self._high.value):
            return
        for box, value in ((self._low, low), (self._high, high)):
            box.blockSignals(True)
            box.setValue(value)
            box.blockSignals(False)
        self._changed(0)

    def _set_step(self, step):
        self._low.setSingleStep(step)
        self._high.setSingleStep(step)

    def _set_decimals(self, decimals):
        self._low.setDecimals(decimals)
        self._high.setDecimals(decimals)

    minimumValue = Property(
        float, lambda self: self._low.value, lambda self, value: self.setValues(value, self._high.value)
    )
    maximumValue = Property(
        float, lambda self: self._high.value, lambda self, value: self.setValues(self._low.value, value)
    )
    minimum = Property(
        float, lambda self: self._low.minimum, lambda self, value: self.setRange(value, self._low.maximum)
    )
    maximum = Property(
        float, lambda self: self._low.maximum, lambda self, value: self.setRange(self._low.minimum, value)
    )
    singleStep = Property(float, lambda self: self._low.singleStep, _set_step)
    decimals = Property(int, lambda self: self._low.decimals, _set_decimals)


class ctkPathLineEdit(qt.QWidget):
    """A line edit for a path, with a browse button that does nothing here."""

    currentPathChanged = Signal(str)

    Dirs, Files, Executable, NoDot, NoDotDot, Readable, Writable = 0x1, 0x2, 0x80, 0x2000, 0x4000, 0x10, 0x20

    def __init__(self, parent=None):
        super().__init__(parent)
        self.filters, self.nameFilters = 0, []
        self._line_edit, browse = qt.QLineEdit(), qt.QToolButton()
        browse.setText("…")
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._line_edit, 1)
        layout.addWidget(browse)
        self._line_edit.textChanged.connect(self.currentPathChanged.emit)

    def _set_path(self, path):
        self._line_edit.setText(path)

    def addCurrentPathToHistory(self):
        """CTK remembers the path for the next session; the stand-in does not."""

    currentPath = Property(str, lambda self: self._line_edit.text, _set_path)
    settingKey = Property(str, lambda self: "", lambda self, key: None)
    showHistoryButton = Property(bool, lambda self: False, lambda self, on: None)


class ctkMessageBox(qt.QMessageBox):
    """Qt's message box; CTK's adds "don't show again"."""

    dontShowAgainSettingsKey = ""


for _widget in (ctkCollapsibleButton, ctkSliderWidget, ctkRangeWidget, ctkPathLineEdit):
    qt.CUSTOM_WIDGETS[_widget.__name__] = _widget
