"""Where the engine computes: the choice in a panel, kept for this computer, and the sentence that says it."""

from __future__ import annotations

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine import setup as engine_setup

DEVICE_KEY = "DLCTPM/Device"
"""A setting of this computer, not of a scene; both modules share it."""
DEVICES = ("auto", "cpu", "cuda", "mps")


class DeviceChoice:
    """Behaviour of ``deviceComboBox`` and ``deviceLabel``.

    Args:
        ui: the panel's widgets.
        later: what to say while PyTorch is not installed.
    """

    def __init__(self, ui, later: str):
        self._ui, self._later, self._probe = ui, later, None
        for label in (_("Automatic"), _("Processor"), _("NVIDIA graphics card (CUDA)"), _("Mac graphics (MPS)")):
            ui.deviceComboBox.addItem(label)
        self._show()
        ui.deviceComboBox.currentIndexChanged.connect(self._chosen)

    def device(self) -> str:
        """The chosen device."""
        return DEVICES[max(self._ui.deviceComboBox.currentIndex, 0)]

    def refresh(self) -> None:
        """Show the choice again (the other module may have changed it); look for a graphics card once."""
        self._show()
        if not engine_setup.torchInstalled():
            self._ui.deviceLabel.text = self._later
        elif self._probe is None:
            self._probe = engine_setup.findDevice(self._found)

    def close(self) -> None:
        """End the search for a graphics card."""
        if self._probe is not None:
            self._probe.kill()

    def _show(self) -> None:
        chosen = slicer.util.settingsValue(DEVICE_KEY, "auto")
        self._ui.deviceComboBox.currentIndex = DEVICES.index(chosen) if chosen in DEVICES else 0

    def _chosen(self, _index: int) -> None:
        qt.QSettings().setValue(DEVICE_KEY, self.device())

    def _found(self, _device: str, sentence: str) -> None:
        self._ui.deviceLabel.text = sentence
