"""The panel's export of DICOM objects for archives and planning systems."""

from __future__ import annotations

from pathlib import Path

import qt
from slicer.i18n import tr as _

from DLCTPMSlicerLib.nodes.roles import CT_ROLE, isMap, partOf, resultOf
from DLCTPMSlicerLib.planning.dicom_objects import DicomChoice
from DLCTPMSlicerLib.planning.dicom_source import whyNoDicom

HOLES = ("keyhole", "xor")
"""In the order of the list."""
SUBFOLDER = "dicom"
"""Where the objects go in the folder that is chosen."""


class DicomPart:
    """Behaviour of the widgets below "DICOM objects" in "Export"."""

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._written: Path | None = None
        self._boxes = {
            "map": self.ui.dicomMapCheckBox,
            "seg": self.ui.dicomSegCheckBox,
            "rtstruct": self.ui.dicomRtstructCheckBox,
            "sr": self.ui.dicomSrCheckBox,
            "series": self.ui.dicomSeriesCheckBox,
        }
        for text in (_("Joined to the outer curve (keyhole)"), _("Curves of their own (exclusive or)")):
            self.ui.holesComboBox.addItem(text)
        for box in (*self._boxes.values(), self.ui.exportForcedCheckBox):
            box.toggled.connect(lambda _checked: self.panel.update())
        self.ui.exportDicomButton.clicked.connect(self.export)
        self.ui.openFolderButton.clicked.connect(self.openFolder)
        self.ui.openFolderButton.visible = False

    def update(self, idle: bool) -> None:
        """Follow the parameters."""
        perfusion = self.panel.parameters.perfusionVolume
        self.ui.dicomSrCheckBox.enabled = self.ui.dicomSegCheckBox.checked  # measurements refer to the segmentation
        self.ui.holesComboBoxLabel.enabled = self.ui.holesComboBox.enabled = self.ui.dicomRtstructCheckBox.checked
        if not isMap(perfusion):
            return
        forced, problem = self._isForced(), self._problem()
        self.ui.exportForcedCheckBox.visible = forced
        self.ui.dicomLabel.text = problem
        self.ui.dicomLabel.visible = bool(problem)
        self.ui.exportDicomButton.enabled = idle and not problem
        self.ui.exportDicomButton.toolTip = problem or _(
            "Write the chosen objects, in the study and frame of reference of the CT, into the folder “dicom” there."
        )

    def export(self) -> None:
        """What "Export DICOM" does."""
        chosen, perfusion = self.ui.exportPathLineEdit.currentPath, self.panel.parameters.perfusionVolume
        if not chosen:
            self.panel.activity.fail(_("Choose a folder for the DICOM objects first."))
            return
        folder = Path(chosen).resolve() / SUBFOLDER
        choice = DicomChoice(
            self._objects(),
            HOLES[max(0, self.ui.holesComboBox.currentIndex)],
            self.ui.deidentifyCheckBox.checked,
            self._isForced() and self.ui.exportForcedCheckBox.checked,
            self.panel.parameters.threshold,
        )
        self.panel.run(
            _("Exporting DICOM…"),
            lambda **callbacks: self.panel.logic.startDicomExport(perfusion, folder, choice, **callbacks),
            lambda files: self._done(folder, files),
            "",  # said with the names
            _("Cancelled; nothing was written."),
        )

    def openFolder(self) -> None:
        """What "Open folder" does."""
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self._written)))

    def _done(self, folder: Path, files: list[Path]) -> None:
        self._written = folder
        self.ui.openFolderButton.visible = True
        names = ", ".join(path.name for path in files)
        self.panel.activity.say(
            _("Written to {folder}: {names}. Research use only.").format(folder=folder, names=names)
        )

    def _objects(self) -> tuple[str, ...]:
        return tuple(name for name, box in self._boxes.items() if box.enabled and box.checked)

    def _isForced(self) -> bool:
        return bool(resultOf(self.panel.parameters.perfusionVolume).get("forced"))

    def _problem(self) -> str:
        problem = whyNoDicom(partOf(self.panel.parameters.perfusionVolume, CT_ROLE))
        if problem:
            return problem
        if not self._objects():
            return _("Choose at least one DICOM object.")
        if self._isForced() and not self.ui.exportForcedCheckBox.checked:
            return _("This map was forced although a check of its CT failed; tick that it is to be exported anyway.")
        return ""
