"""The panel's work on lungs and map: find lungs, correct them, predict; one CT, or every frame of a sequence."""

from __future__ import annotations

import slicer
import slicer.util
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.errors import NodeError
from DLCTPMSlicerLib.nodes import display
from DLCTPMSlicerLib.nodes.files import isInScene, removeNode
from DLCTPMSlicerLib.nodes.roles import CT_ROLE, LUNGS, LUNGS_ROLE, MADE_HERE, isMap, partOf, wasMadeFor
from DLCTPMSlicerLib.nodes.sequences import FrameMaps, browserOf
from DLCTPMSlicerLib.segments.editing import editableCopy, openSegmentEditor
from DLCTPMSlicerLib.segments.lung_check import lungSentence, lungVolume

EVERY_FRAME = 1
"""Index in the list of frames."""


class PredictPart:
    """Behaviour of "Predict perfusion", "Segment lungs", "Edit in Segment Editor" and "Frames"."""

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._lastCt = None
        for text in (_("The one that is shown"), _("Every frame")):
            self.ui.framesComboBox.addItem(text)
        self.ui.predictButton.clicked.connect(self.predict)
        self.ui.segmentButton.clicked.connect(self.segment)
        self.ui.editLungsButton.clicked.connect(self.editLungs)
        self.ui.predictAnywayButton.clicked.connect(self.predictAnyway)
        self.ui.predictAnywayButton.visible = False
        self._refusedFor = None

    def forget(self) -> None:
        """The panel works on another scene, or none."""
        self._lastCt = self.panel.parameters.ctVolume if self.panel.parameters is not None else None
        self._refusedFor = None

    def update(self, idle: bool) -> None:
        """Follow the parameters."""
        self._ctChanged()
        problem = self.problem()
        self.ui.predictButton.enabled = idle and not problem
        self.ui.predictButton.toolTip = problem or _("Map the perfusion of this CT (Ctrl+Shift+P).")
        self.ui.editLungsButton.enabled = idle and self._lungs() is not None
        refused = self._refusedFor is not None and self._refusedFor[0] is self.panel.parameters.ctVolume
        self.ui.predictAnywayButton.visible = idle and refused
        frames = browserOf(self.panel.parameters.ctVolume) is not None
        self.ui.framesComboBoxLabel.visible = self.ui.framesComboBox.visible = frames

    def problem(self) -> str:
        """Why nothing can be predicted now; empty if it can."""
        if self.everyFrame() and not self.panel.inputs.source().usesEngine:
            return _("Lungs move from frame to frame: for every frame, let them be found automatically.")
        return self.panel.inputs.problem()

    def everyFrame(self) -> bool:
        """Whether every frame of a sequence is to be mapped."""
        inSequence = browserOf(self.panel.parameters.ctVolume) is not None
        return inSequence and self.ui.framesComboBox.currentIndex == EVERY_FRAME

    def _ctChanged(self) -> None:
        """Another CT does not keep the lungs of the one before."""
        parameters = self.panel.parameters
        before, self._lastCt = self._lastCt, parameters.ctVolume
        if self._lastCt is before or before is None or not wasMadeFor(parameters.lungs, before):
            return
        parameters.lungs = None
        if self.panel.inputs.source().needsNode:
            parameters.lungSource = self.panel.inputs.AUTOMATIC

    def predict(self) -> None:
        """What "Predict perfusion" does; where another program finds the lungs, they are looked at first."""
        source = self.panel.inputs.source()
        if self.everyFrame():
            self._mapFrames()
        elif source.usesEngine:
            self._map(None)
        elif source.needsNode:
            self._mapIn(self.panel.parameters.lungs)
        else:
            self._findLungs(source)

    def segment(self) -> None:
        """What "Segment lungs" does: find the lungs and show them, to be corrected before predicting."""
        source, ct = self.panel.inputs.source(), self.panel.parameters.ctVolume
        if not source.usesEngine:
            self._findLungs(source)
            return
        self.panel.run(
            _("Starting the engine…"),
            lambda **callbacks: self.panel.logic.startSegmentation(ct, **callbacks),
            lambda lungs: self._useLungs(ct, lungs),
            "",
            refused=lambda sentences: self.panel.activity.end(" ".join([*sentences, _("No lungs were kept.")])),
        )

    def editLungs(self) -> None:
        """What "Edit in Segment Editor" does: a copy of a map's lungs is edited, the map keeps the ones it has."""
        parameters, lungs = self.panel.parameters, self._lungs()
        ct = partOf(lungs, CT_ROLE) or partOf(parameters.perfusionVolume, CT_ROLE) or parameters.ctVolume
        if lungs is not parameters.lungs or not lungs.IsA("vtkMRMLSegmentationNode"):
            lungs = editableCopy(lungs, ct)
        parameters.ctVolume = ct
        parameters.lungs, parameters.lungSource = lungs, self.panel.inputs.EXISTING
        openSegmentEditor(lungs, ct)

    def _lungs(self):
        """The lungs that would be edited: those chosen, else those of the map that is shown."""
        parameters = self.panel.parameters
        if self.panel.inputs.source().needsNode and parameters.lungs is not None:
            return parameters.lungs
        perfusion = parameters.perfusionVolume
        return partOf(perfusion, LUNGS_ROLE) if isMap(perfusion) else None

    def _findLungs(self, source) -> None:
        """Let another program find the lungs, check and show them; they are used at the next click on Predict."""
        activity = self.panel.activity
        if activity.busy:
            return
        ct = self.panel.parameters.ctVolume
        activity.begin(_("{program} is finding the lungs…").format(program=source.label()), source.cancel)

        def done(lungs, error: str) -> None:
            if lungs is None and error:
                activity.fail(error)
            elif lungs is None:
                activity.end(_("Cancelled; the scene is as before."))
            else:
                self._useLungs(ct, lungs)

        source.start(ct, done)

    def _useLungs(self, ct, lungs) -> None:
        """Check lungs that were found in a CT, choose them and show them; what holds no lung is removed again."""
        try:
            litres = lungVolume(lungs)
        except NodeError as problem:
            removeNode(lungs)
            self.panel.activity.fail(str(problem))
            return
        lungs.SetAttribute(MADE_HERE, LUNGS)
        lungs.SetNodeReferenceID(CT_ROLE, ct.GetID())
        self.panel.activity.end(
            lungSentence(litres)
            + " "
            + _("Look at them, correct them in the Segment Editor if need be, then click “Predict perfusion”.")
        )
        self.panel.whenOpen(lambda: self._showLungs(ct, lungs))

    def _showLungs(self, ct, lungs) -> None:
        if not (isInScene(ct) and isInScene(lungs)):
            return
        if lungs.IsA("vtkMRMLSegmentationNode"):
            display.showLungs3D(lungs, visible=False)
        else:
            slicer.util.setSliceViewerLayers(background=ct, label=lungs, labelOpacity=0.4)
        parameters = self.panel.parameters
        if parameters.ctVolume is ct:
            parameters.lungs, parameters.lungSource = lungs, self.panel.inputs.EXISTING

    def _mapIn(self, lungs) -> None:
        """Map perfusion in lungs of the scene, if they are lungs."""
        try:
            lungVolume(lungs)
        except NodeError as problem:
            self.panel.activity.fail(str(problem))
            return
        self._map(lungs)

    def predictAnyway(self) -> None:
        """What "Predict anyway" does: map where a check of the input failed; everything then says so."""
        if self._refusedFor is None:
            return
        _ct, lungs = self._refusedFor
        if lungs is None or isInScene(lungs):
            self._map(lungs, force=True)
        else:
            self.predict()  # which says what is missing

    def _refused(self, ct, lungs, sentences: tuple[str, ...]) -> None:
        self._refusedFor = ct, lungs
        self.panel.activity.end(" ".join([*sentences, _("Nothing was mapped.")]))

    def _map(self, lungs, force: bool = False) -> None:
        self._refusedFor = None
        parameters, ct = self.panel.parameters, self.panel.parameters.ctVolume
        model, device, threshold = self.panel.inputs.model(), self.panel.inputs.device(), parameters.threshold
        output = parameters.outputVolume
        self.panel.run(
            _("Starting the engine…"),
            lambda **callbacks: self.panel.logic.startPrediction(
                ct, lungs, model, device, threshold, output, force, **callbacks
            ),
            lambda prediction: self.panel.results.show(ct, prediction),
            "",  # said with the result
            refused=lambda sentences: self._refused(ct, lungs, sentences),
        )

    def _mapFrames(self) -> None:
        """Map one frame after the other; Cancel, or a frame that fails, leaves the scene as it was."""
        ct = self.panel.parameters.ctVolume
        settings = self.panel.inputs.model(), self.panel.inputs.device(), self.panel.parameters.threshold
        frames = FrameMaps(ct)

        def start(index: int) -> None:
            self.panel.run(
                _("Frame {index} of {count}…").format(index=index + 1, count=frames.count),
                lambda **callbacks: frames.startFrame(index, *settings, **callbacks),
                lambda _value: finish() if index + 1 == frames.count else start(index + 1),
                _("Frame {index} of {count} mapped.").format(index=index + 1, count=frames.count),
            )

        def finish() -> None:
            try:
                shown, table = frames.finish()
            except NodeError as problem:
                self.panel.activity.fail(str(problem))
                return
            self.panel.activity.say(
                _(
                    "{count} frames mapped. The Sequences toolbar moves CT and maps together; the figures by frame "
                    "are in the table “{table}”. Research use only."
                ).format(count=frames.count, table=table.GetName())
            )
            self.panel.whenOpen(lambda: display.hang(ct, shown))

        start(0)
