"""The panel's behaviour, top to bottom as the work goes; its parts are in the other files here."""

from __future__ import annotations

from collections.abc import Callable

import slicer
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.activity import Activity
from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.engine.runner import JobRunner
from DLCTPMSlicerLib.nodes import display
from DLCTPMSlicerLib.nodes.files import isInScene, removeNode
from DLCTPMSlicerLib.nodes.roles import CT_ROLE, LUNGS, MADE_HERE, wasMadeFor
from DLCTPMSlicerLib.panel.export import ExportPart
from DLCTPMSlicerLib.panel.function import FunctionPart
from DLCTPMSlicerLib.panel.inputs import InputsPart
from DLCTPMSlicerLib.panel.results import ResultsPart
from DLCTPMSlicerLib.panel.spect import SpectPart
from DLCTPMSlicerLib.segments.lung_check import lungSentence, lungVolume


class Panel:
    """Everything behind the widgets of ``DLCTPM.ui``.

    Args:
        ui: the widgets by name.
        logic: the module's ``DLCTPMLogic``.
    """

    def __init__(self, ui, logic):
        self.ui, self.logic = ui, logic
        self.parameters = None
        self._later: list[Callable[[], None]] = []
        self._lastCt = None
        self.activity = Activity(ui, self.update)
        self.runner = JobRunner(self.activity, self.update)
        self.run = self.runner.run
        self.inputs = InputsPart(self)
        self.results = ResultsPart(self)
        self.function = FunctionPart(self)
        self.spect = SpectPart(self)
        self.export = ExportPart(self)
        ui.predictButton.clicked.connect(self.predict)
        ui.segmentButton.clicked.connect(self.segment)

    def close(self) -> None:
        """End what runs; the panel is going."""
        self.runner.kill()
        self.inputs.close()
        self.results.close()
        self.function.close()
        self.spect.close()

    def setParameters(self, parameters) -> None:
        """Work on this parameter node; None while there is none."""
        self.parameters = parameters
        self._lastCt = parameters.ctVolume if parameters is not None else None
        for part in (self.results, self.function, self.spect):
            part.forget()

    def whenOpen(self, action: Callable[[], None]) -> None:
        """Do something to views and choices: now, or when the user comes back to the module with this scene."""
        if self.parameters is not None:
            action()
        else:
            self._later.append(action)

    def sceneClosed(self) -> None:
        """What was said and is still to be done was about nodes that are gone."""
        self._later.clear()
        self.activity.rest()

    def refreshChoices(self) -> None:
        """See again which programs, models and devices there are."""
        self.inputs.refresh()
        self.spect.refresh()

    def firstCt(self):
        """The first volume that may be a CT: a scalar volume that this module did not make."""
        for volume in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
            if volume.GetClassName() == "vtkMRMLScalarVolumeNode" and not volume.GetAttribute(MADE_HERE):
                return volume
        return None

    def update(self) -> None:
        """Let buttons, tooltips and views follow the parameters."""
        if self.parameters is None:
            return
        later, self._later = self._later, []
        for action in later:
            action()
        self._ctChanged()
        problem = self.inputs.problem()
        idle = not self.activity.busy
        self.ui.predictButton.enabled = idle and not problem
        self.ui.predictButton.toolTip = problem or _("Map the perfusion of this CT.")
        self.ui.cancelButton.enabled = self.activity.cancellable
        self.inputs.update(idle)
        self.results.update()
        self.function.update()
        self.spect.update(idle)
        self.export.update(idle)

    def _ctChanged(self) -> None:
        """Another CT does not keep the lungs of the one before."""
        before, self._lastCt = self._lastCt, self.parameters.ctVolume
        if self._lastCt is before or before is None or not wasMadeFor(self.parameters.lungs, before):
            return
        self.parameters.lungs = None
        if self.inputs.source().needsNode:
            self.parameters.lungSource = self.inputs.AUTOMATIC

    def predict(self) -> None:
        """What "Predict perfusion" does; where another program finds the lungs, they are looked at first."""
        source = self.inputs.source()
        if source.usesEngine:
            self._map(None)
        elif source.needsNode:
            self._mapIn(self.parameters.lungs)
        else:
            self._findLungs(source)

    def segment(self) -> None:
        """What "Segment lungs" does: find the lungs and show them, to be corrected before predicting."""
        source, ct = self.inputs.source(), self.parameters.ctVolume
        if not source.usesEngine:
            self._findLungs(source)
            return
        self.run(
            _("Starting the engine…"),
            lambda **callbacks: self.logic.startSegmentation(ct, **callbacks),
            lambda lungs: self._useLungs(ct, lungs),
            "",
        )

    def _findLungs(self, source) -> None:
        """Let another program find the lungs, check and show them; they are used at the next click on Predict."""
        if self.activity.busy:
            return
        ct = self.parameters.ctVolume
        self.activity.begin(_("{program} is finding the lungs…").format(program=source.label()), source.cancel)

        def done(lungs, error: str) -> None:
            if lungs is None and error:
                self.activity.fail(error)
            elif lungs is None:
                self.activity.end(_("Cancelled; the scene is as before."))
            else:
                self._useLungs(ct, lungs)

        source.start(ct, done)

    def _useLungs(self, ct, lungs) -> None:
        """Check lungs that were found in a CT, choose them and show them; what holds no lung is removed again."""
        try:
            litres = lungVolume(lungs)
        except NodeError as problem:
            removeNode(lungs)
            self.activity.fail(str(problem))
            return
        lungs.SetAttribute(MADE_HERE, LUNGS)
        lungs.SetNodeReferenceID(CT_ROLE, ct.GetID())
        self.activity.end(
            lungSentence(litres)
            + " "
            + _("Look at them, correct them in the Segment Editor if need be, then click “Predict perfusion”.")
        )
        self.whenOpen(lambda: self._showLungs(ct, lungs))

    def _showLungs(self, ct, lungs) -> None:
        if not (isInScene(ct) and isInScene(lungs)):
            return
        if lungs.IsA("vtkMRMLSegmentationNode"):
            display.showLungs3D(lungs, visible=False)
        else:
            slicer.util.setSliceViewerLayers(background=ct, label=lungs, labelOpacity=0.4)
        if self.parameters.ctVolume is ct:
            self.parameters.lungs = lungs
            self.parameters.lungSource = self.inputs.EXISTING

    def _mapIn(self, lungs) -> None:
        """Map perfusion in lungs of the scene, if they are lungs."""
        try:
            lungVolume(lungs)
        except NodeError as problem:
            self.activity.fail(str(problem))
            return
        self._map(lungs)

    def _map(self, lungs) -> None:
        parameters, ct = self.parameters, self.parameters.ctVolume
        model, device, threshold = self.inputs.model(), self.inputs.device(), parameters.threshold
        self.run(
            _("Starting the engine…"),
            lambda **callbacks: self.logic.startPrediction(ct, lungs, model, device, threshold, **callbacks),
            lambda prediction: self.results.show(ct, prediction),
            _("Perfusion mapped. Research use only."),
        )
