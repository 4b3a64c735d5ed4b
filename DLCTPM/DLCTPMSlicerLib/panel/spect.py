"""The panel's comparison with a SPECT: registration by any of three programs, evaluation, metrics table."""

from __future__ import annotations

from slicer.i18n import tr as _

from DLCTPMSlicerLib.nodes import display
from DLCTPMSlicerLib.nodes.comparison import showDifference, showHistogram
from DLCTPMSlicerLib.nodes.files import isInScene, removeNode
from DLCTPMSlicerLib.nodes.roles import (
    CHART_ROLE,
    CT_ROLE,
    DIFFERENCE_ROLE,
    LUNGS_ROLE,
    METRICS_ROLE,
    isMap,
    partOf,
    resultOf,
)
from DLCTPMSlicerLib.programs.registrations import Engine, registrations
from DLCTPMSlicerLib.widgets.program_choice import ProgramChoice
from DLCTPMSlicerLib.widgets.result_table import ResultTable

SPECT_OPACITY = 0.5
FURTHER = ("r_pearson", "ssim_box")
"""Columns that stand in the table's node, in the export and in the report, but would not fit into the panel."""


class SpectPart:
    """Behaviour of the widgets in "Compare with SPECT".

    What a click begins works on the nodes that were chosen then, to its end, also when the user has left the module.
    """

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._running, self._table = None, None
        self.table = ResultTable(self.ui.metricsTable)
        self.programs = ProgramChoice(self.ui.registrationEngineComboBox, registrations(), self._programChosen)
        self.ui.registerButton.clicked.connect(self.register)
        self.ui.evaluateButton.clicked.connect(self.evaluate)
        self.ui.differenceButton.clicked.connect(self.showDifference)
        self.ui.histogramButton.clicked.connect(self.showHistogram)
        self.ui.baselinesCheckBox.toggled.connect(self._fold)
        self._fold(self.ui.baselinesCheckBox.checked)

    def close(self) -> None:
        """Stop a registration that runs."""
        if self._running is not None:
            self._running.cancel()

    def forget(self) -> None:
        """The scene is another now, or was changed while the panel was closed."""
        self._table = None
        self.table.show(None)

    def refresh(self) -> None:
        """See again which programs there are."""
        self.programs.refresh()

    def update(self, idle: bool) -> None:
        """Follow the parameters."""
        parameters = self.panel.parameters
        perfusion = parameters.perfusionVolume
        hasSpect = parameters.spectVolume is not None
        registers = parameters.registration.name != "none"
        self.ui.registerButton.enabled = idle and hasSpect and registers and self._ct() is not None
        self.ui.evaluateButton.enabled = idle and hasSpect and isMap(perfusion)
        self.ui.evaluateButton.toolTip = self._whyNot() or _(
            "Measure how well the perfusion map agrees with the SPECT; it is registered first if it is not yet."
        )
        self.ui.registrationEngineComboBox.enabled = registers
        self.ui.registrationEngineComboBox.visible = self.ui.registrationEngineComboBox.count > 1
        starts = registers and self._program() is not None
        self.ui.initialTransformSelectorLabel.visible = self.ui.initialTransformSelector.visible = starts
        self.ui.differenceButton.enabled = partOf(perfusion, DIFFERENCE_ROLE) is not None
        self.ui.histogramButton.enabled = partOf(perfusion, CHART_ROLE) is not None
        table = partOf(perfusion, METRICS_ROLE)
        if table is not self._table:
            self._table = table
            self.table.show(table)
        self.ui.baselinesCheckBox.visible = table is not None

    def _fold(self, everything: bool) -> None:
        """The map's own figures; baselines and the lungs' core only where they are asked for."""
        if everything:
            self.table.fold(lambda row: False, FURTHER)
        else:
            self.table.fold(lambda row: row[1] != "map" or ", core" in row[0], ("what", *FURTHER))

    def _whyNot(self) -> str:
        parameters = self.panel.parameters
        if not isMap(parameters.perfusionVolume):
            return _("Predict perfusion first.")
        return _("Choose a SPECT first.") if parameters.spectVolume is None else ""

    def register(self) -> None:
        """What "Register" does: move the SPECT and show it over the CT."""
        ct, spect = self._ct(), self.panel.parameters.spectVolume
        self._register(ct, spect, lambda: self.panel.whenOpen(lambda: self._showSpect(ct, spect)))

    def evaluate(self) -> None:
        """What "Evaluate" does: register first where the SPECT lies under no transform yet."""
        parameters = self.panel.parameters
        ct, spect, perfusion = self._ct(), parameters.spectVolume, parameters.perfusionVolume
        threshold = parameters.threshold

        def compare(cancelled: str = "") -> None:
            self._compare(perfusion, spect, ct, threshold, cancelled)

        if parameters.registration.name != "none" and spect.GetParentTransformNode() is None:
            self._register(ct, spect, lambda: compare(_("Cancelled; the SPECT stays registered.")))
        else:
            compare()

    def showDifference(self) -> None:
        """What "Difference" does."""
        showDifference(self.panel.parameters.perfusionVolume, self.panel.parameters.opacity)

    def showHistogram(self) -> None:
        """What "Joint histogram" does."""
        showHistogram(self.panel.parameters.perfusionVolume)

    @staticmethod
    def _showSpect(ct, spect) -> None:
        if isInScene(ct) and isInScene(spect):
            display.showSpect(ct, spect, SPECT_OPACITY)

    def _ct(self):
        """The CT that the map was made from; the chosen one while there is no map."""
        parameters = self.panel.parameters
        return partOf(parameters.perfusionVolume, CT_ROLE) or parameters.ctVolume

    def _program(self):
        """The chosen program; None for the engine."""
        program = self.programs.program()
        return None if isinstance(program, Engine) else program

    def _programChosen(self) -> None:
        if self.panel.parameters is not None:
            self.panel.update()

    def _register(self, ct, spect, then) -> None:
        parameters = self.panel.parameters
        kind, program = parameters.registration.name, self._program()
        if program is not None:
            self._registerBy(program, ct, spect, kind, then)
            return
        lungs = partOf(parameters.perfusionVolume, LUNGS_ROLE)
        self.panel.run(
            _("Registering the SPECT…"),
            lambda **callbacks: self.panel.logic.startRegistration(ct, spect, kind, lungs, **callbacks),
            lambda transform: then(),
            _("SPECT registered; look at it over the CT."),
        )

    def _registerBy(self, program, ct, spect, kind: str, then) -> None:
        if self.panel.activity.busy:
            return
        before = spect.GetTransformNodeID()
        spect.SetAndObserveTransformNodeID(None)

        def done(transform, error: str) -> None:
            self._running = None
            if transform is not None and not isInScene(spect):
                removeNode(transform)
                error = _("The SPECT was removed while it was registered; nothing was kept.")
            elif transform is not None:
                spect.SetAndObserveTransformNodeID(transform.GetID())
                self.panel.activity.end(_("SPECT registered; look at it over the CT."))
                then()
                return
            elif isInScene(spect):
                spect.SetAndObserveTransformNodeID(before)
            if error:
                self.panel.activity.fail(error)
            else:
                self.panel.activity.end(_("Cancelled; the scene is as before."))

        self._running = program
        self.panel.activity.begin(_("{program} is registering…").format(program=program.label()), program.cancel)
        program.start(ct, spect, kind, self.panel.parameters.initialTransform, done)

    def _compare(self, perfusion, spect, ct, threshold: float, cancelled: str) -> None:
        self.panel.run(
            _("Comparing with the SPECT…"),
            lambda **callbacks: self.panel.logic.startEvaluation(
                perfusion, spect, ct, threshold=threshold, **callbacks
            ),
            lambda table: self._showComparison(perfusion, spect),
            _("Compared with the SPECT. Research use only."),
            cancelled,
        )

    def _showComparison(self, perfusion, spect) -> None:
        """Show the tables of the map anew, whose nodes the comparison filled again."""
        self.panel.results.say(_("Compared with the SPECT. Research use only."), resultOf(perfusion))
        self.table.show(self._table)
        self.panel.function.tableChanged()
        self.panel.whenOpen(lambda: self._showMap(perfusion, spect))

    def _showMap(self, perfusion, spect) -> None:
        """The map again, where the SPECT was shown to judge its registration."""
        if isInScene(perfusion) and isInScene(spect):
            display.putBack(spect, perfusion, self.panel.parameters.opacity)
