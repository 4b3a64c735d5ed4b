"""The panel's comparison with a SPECT: registration by any of three programs, evaluation, metrics table."""

from __future__ import annotations

import slicer
import slicer.util
from slicer.i18n import tr as _

from DLCTPMSlicerLib import spect_steps
from DLCTPMSlicerLib.lung_sources import CliRun
from DLCTPMSlicerLib.prediction import LUNGS_ROLE, partOf, resultOf
from DLCTPMSlicerLib.result_tables import fillWidget

ENGINE, BRAINSFIT = "engine", "brainsfit"


class SpectPart:
    """Behaviour of the widgets in "Compare with SPECT"."""

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._cli, self._table = None, None
        self._programs = [ENGINE] + ([BRAINSFIT] if hasattr(slicer.modules, "brainsfit") else [])
        labels = {ENGINE: _("DL-CTPM engine"), BRAINSFIT: _("BRAINSFit")}
        self.ui.registrationEngineComboBox.addItems([labels[program] for program in self._programs])
        self.ui.registerButton.clicked.connect(self.register)
        self.ui.evaluateButton.clicked.connect(self.evaluate)

    def close(self) -> None:
        """Stop a registration that runs."""
        if self._cli is not None:
            self._cli.cancel()

    def update(self, idle: bool) -> None:
        """Follow the parameters."""
        parameters = self.panel.parameters
        hasSpect = parameters.spectVolume is not None
        mapped = bool(resultOf(parameters.perfusionVolume))
        registers = parameters.registration.name != "none"
        self.ui.registerButton.enabled = idle and hasSpect and registers and parameters.ctVolume is not None
        self.ui.evaluateButton.enabled = idle and hasSpect and mapped
        self.ui.registrationEngineComboBox.enabled = registers
        self.ui.initialTransformSelector.enabled = registers and self._program() == BRAINSFIT
        table = partOf(parameters.perfusionVolume, spect_steps.METRICS_ROLE)
        if table is not self._table:
            self._table = table
            fillWidget(self.ui.metricsTable, table)

    def register(self) -> None:
        """What "Register" does."""
        self._register(then=lambda: None)

    def evaluate(self) -> None:
        """What "Evaluate" does: register first where the SPECT lies under no transform yet."""
        parameters = self.panel.parameters
        if parameters.registration.name != "none" and parameters.spectVolume.GetParentTransformNode() is None:
            self._register(then=self._compare)
        else:
            self._compare()

    def _program(self) -> str:
        return self._programs[max(self.ui.registrationEngineComboBox.currentIndex, 0)]

    def _register(self, then) -> None:
        parameters = self.panel.parameters
        ct, spect, kind = parameters.ctVolume, parameters.spectVolume, parameters.registration.name
        if self._program() == BRAINSFIT:
            self._registerByBrainsFit(ct, spect, kind, then)
            return
        lungs = partOf(parameters.perfusionVolume, LUNGS_ROLE)
        self.panel.run(
            _("Registering the SPECT…"),
            lambda **callbacks: self.panel.logic.startRegistration(ct, spect, kind, lungs, **callbacks),
            lambda transform: then(),
            _("SPECT registered; look at it over the CT."),
        )

    def _registerByBrainsFit(self, ct, spect, kind: str, then) -> None:
        if self.panel.activity.busy:
            return
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", f"{spect.GetName()} to CT")
        parameters = spect_steps.brainsFitParameters(
            ct, spect, transform, kind, self.panel.parameters.initialTransform
        )

        def ended(_node, error) -> None:
            self._cli = None
            if error is None or error:
                slicer.mrmlScene.RemoveNode(transform)
                if error:
                    self.panel.activity.fail(_("BRAINSFit failed: {reason}").format(reason=error))
                else:
                    self.panel.activity.end(_("Cancelled; the scene is as before."))
                return
            spect.SetAndObserveTransformNodeID(transform.GetID())
            self.panel.activity.end(_("SPECT registered; look at it over the CT."))
            then()

        self.panel.activity.begin(_("BRAINSFit is registering…"), lambda: self._cli.cancel())
        self._cli = CliRun(slicer.modules.brainsfit, parameters, ended)

    def _compare(self) -> None:
        parameters = self.panel.parameters
        if parameters is None:
            return
        perfusion, spect, ct = parameters.perfusionVolume, parameters.spectVolume, parameters.ctVolume
        model, threshold = self.panel.inputs.model(), parameters.threshold
        self.panel.run(
            _("Comparing with the SPECT…"),
            lambda **callbacks: self.panel.logic.startEvaluation(perfusion, spect, ct, model, threshold, **callbacks),
            lambda table: fillWidget(self.ui.metricsTable, table),
            _("Compared with the SPECT. Research use only."),
        )
