"""What ``slicer.app`` is: a Qt application that knows the scene, the modules, the views and the files."""

import os

import qt
import slicer
from PySide6.QtCore import Signal

from stand_in.files import IOManager
from stand_in.modules import ModuleManager


class StandInApplication(qt.QApplication):
    """The members of ``qSlicerApplication`` that scripted modules use."""

    startupCompleted = Signal()

    applicationName = "Slicer stand-in"
    majorVersion, minorVersion = 5, 12
    revision = "stand-in"
    documentationBaseUrl = "https://slicer.readthedocs.io/en/latest/"

    def __init__(self, home):
        super().__init__(["slicer-stand-in"])
        self.slicerHome = self.temporaryPath = home
        self.setOrganizationName("DL-CTPM tests")
        self.setApplicationName("Slicer stand-in")
        qt.QSettings.setDefaultFormat(qt.QSettings.IniFormat)
        qt.QSettings.setPath(qt.QSettings.IniFormat, qt.QSettings.UserScope, os.path.join(home, "settings"))
        self._testing, self._core, self._layout_manager = True, None, None
        self._module_manager = ModuleManager()

    def adopt(self, core, layout_manager):
        """Take the scene and the views, which can only be made once Qt runs."""
        self._core, self._layout_manager = core, layout_manager
        self._io_manager = IOManager(core)

    def connect(self, signal, slot):
        getattr(self, signal.split("(")[0]).connect(slot)

    def disconnect(self, signal, slot):
        getattr(self, signal.split("(")[0]).disconnect(slot)

    def mrmlScene(self):
        return self._core.scene

    def applicationLogic(self):
        return self._core.application_logic

    def layoutManager(self):
        """The views; None where the stand-in was started without any."""
        return self._layout_manager

    def moduleManager(self):
        return self._module_manager

    def ioManager(self):
        return self._io_manager

    coreIOManager = ioManager

    def settings(self):
        return qt.QSettings()

    userSettings = settings

    def testingEnabled(self):
        return self._testing

    def setTestingEnabled(self, on):
        """Testing turns message boxes into log lines, as in Slicer."""
        self._testing = on

    def translate(self, _context, text):
        return text

    def moduleDocumentationUrl(self, name):
        return f"{self.documentationBaseUrl}{name}"

    def pauseRender(self):
        """Views are drawn only when asked for here."""

    resumeRender = pauseRender

    def commandOptions(self):
        return None

    def pythonConsole(self):
        return None

    def extensionsManagerModel(self):
        return None

    def restart(self):
        raise RuntimeError("The module asked Slicer to restart")


def publish(app, core):
    """Put the application and its modules into the ``slicer`` package, as Slicer does at start."""
    slicer.app, slicer.mrmlScene = app, core.scene
