"""The panel's perfusion map: how it is shown, and what the engine says of it."""

from __future__ import annotations

import qt
import slicer.util
from slicer.i18n import tr as _

from DLCTPMSlicerLib.engine.steps import Steps
from DLCTPMSlicerLib.nodes import display
from DLCTPMSlicerLib.nodes.colours import colourNode
from DLCTPMSlicerLib.nodes.files import isInScene
from DLCTPMSlicerLib.nodes.function import previewColours
from DLCTPMSlicerLib.nodes.roles import (
    CT_ROLE,
    DIFFERENCE_ROLE,
    FUNCTION_ROLE,
    LUNGS_ROLE,
    MADE_HERE,
    PERFUSION,
    isMap,
    partOf,
)
from DLCTPMSlicerLib.segments.surfaces import hasSurfaces, surfaceSteps
from DLCTPMSlicerLib.views import rendering
from DLCTPMSlicerLib.views.layouts import showComparisonLayout
from DLCTPMSlicerLib.widgets.entry import RoundedRange, RoundedSlider

SURFACES_AFTER_MS = 200


def doubts(result: dict) -> list[str]:
    """What the engine warns of in a prediction, as its report does: quality checks not passed, and its warnings."""
    failed = [check["message"] for check in result.get("quality", []) if check["status"] != "PASS"]
    return [_("Note: {warning}").format(warning=text) for text in dict.fromkeys([*failed, *result["warnings"]])]


class ResultsPart:
    """Behaviour of the widgets that show the map."""

    def __init__(self, panel):
        self.panel, self.ui = panel, panel.ui
        self._shown: dict = {}
        self._sliders = [
            RoundedSlider(self.ui.opacitySlider, panel, "opacity"),
            RoundedRange(self.ui.windowRange, panel, "window"),
        ]
        self._making: Steps | None = None
        self._surfaces = qt.QTimer()
        self._surfaces.setSingleShot(True)
        self._surfaces.setInterval(SURFACES_AFTER_MS)
        self._surfaces.timeout.connect(self.showSurfaces)
        self.ui.perfusionSelector.addAttribute("vtkMRMLScalarVolumeNode", MADE_HERE, PERFUSION)
        self.ui.hangingButton.clicked.connect(self.hang)
        self.ui.comparisonLayoutButton.clicked.connect(self.compare)

    def close(self) -> None:
        """Draw nothing any more."""
        self._surfaces.stop()
        self._stopMaking()

    def forget(self) -> None:
        """The scene is another now, or was changed while the panel was closed: what is shown is not known."""
        self._shown = {}

    def show(self, ct, prediction) -> None:
        """Show a new prediction, now or when the user comes back to the module."""
        mapped = _("Perfusion mapped. Research use only.")
        if prediction.result.get("forced"):
            mapped = _("Forced: an input check failed, this map cannot be right. Research use only.")
        self.say(mapped, prediction.result)
        self.panel.whenOpen(lambda: self._show(ct, prediction))

    def _show(self, ct, prediction) -> None:
        perfusion, parameters = prediction.perfusion, self.panel.parameters
        if not isInScene(perfusion):
            return
        display.hang(ct, perfusion, parameters.opacity)
        self._shown = {"lungs": (prediction.lungs.GetID(), parameters.lungs3D)}
        parameters.functionSegmentation = None
        parameters.perfusionVolume = perfusion
        self._surfaces.start()

    def say(self, done: str, result: dict) -> None:
        """Say that something is done, and what the engine warns of."""
        self.panel.activity.say("\n".join([done, *doubts(result)]))

    def showSurfaces(self) -> None:
        """Make the lungs' surfaces where they are wanted, after the overlay is on the screen."""
        parameters = self.panel.parameters
        if parameters is not None and parameters.lungs3D:
            self._showLungs(partOf(parameters.perfusionVolume, LUNGS_ROLE))

    def _showLungs(self, lungs) -> None:
        """Show lungs in 3D; surfaces that are not there yet are made between the user's clicks."""
        self._stopMaking()
        if lungs is None:
            return

        def show(made) -> None:
            made()
            if isInScene(lungs):
                display.showLungs3D(lungs)
                display.reset3D()

        self._making = Steps(surfaceSteps(lungs), show)
        self._making.start()

    def _stopMaking(self) -> None:
        if self._making is not None:
            self._making.stop()

    def _updateLungs(self, lungs, wanted: bool) -> None:
        ready = lungs is not None and hasSurfaces(lungs)
        if not wanted or ready:
            self._stopMaking()
        display.showLungs3D(lungs, wanted and ready)
        if wanted and not ready:
            self._surfaces.start()

    def hang(self) -> None:
        """What "Standard views" does."""
        parameters = self.panel.parameters
        perfusion = parameters.perfusionVolume
        ct = partOf(perfusion, CT_ROLE) or parameters.ctVolume
        if ct is None or not isMap(perfusion):
            return
        if partOf(perfusion, DIFFERENCE_ROLE) is not None:
            display.showLegend(partOf(perfusion, DIFFERENCE_ROLE), False)
        display.standardLayout()
        display.hang(ct, perfusion, parameters.opacity)
        self._showLungs(partOf(perfusion, LUNGS_ROLE))

    def compare(self) -> None:
        """What "CT | map | SPECT" does."""
        parameters = self.panel.parameters
        if isMap(parameters.perfusionVolume):
            showComparisonLayout(parameters.perfusionVolume, parameters.spectVolume, parameters.opacity)

    def update(self) -> None:
        """Follow the parameters: only what changed is done again, and only to what this module made."""
        parameters = self.panel.parameters
        perfusion = parameters.perfusionVolume
        for slider in self._sliders:
            slider.show()
        if isMap(perfusion) and perfusion.GetImageData() is not None:
            self._updateDisplay(parameters, perfusion)

    def _updateDisplay(self, parameters, perfusion) -> None:
        lungs, ct = partOf(perfusion, LUNGS_ROLE), partOf(perfusion, CT_ROLE)
        colours = ("preview", parameters.threshold) if parameters.preview else parameters.colours.name
        window = (0.0, 1.0) if parameters.preview else (parameters.window.minimum, parameters.window.maximum)
        map_, contours = perfusion.GetID(), perfusion.GetNodeReferenceID(FUNCTION_ROLE)
        steps = {
            "colours": ((map_, colours, window), lambda: self._colour(perfusion, colours, window)),
            "opacity": ((map_, parameters.opacity), lambda: self._fade(perfusion, parameters.opacity)),
            "legend": ((map_, parameters.legend), lambda: display.showLegend(perfusion, parameters.legend)),
            "lungs": (
                (lungs.GetID() if lungs else None, parameters.lungs3D),
                lambda: self._updateLungs(lungs, parameters.lungs3D),
            ),
            "3D": ((map_, parameters.mip3D, window), lambda: rendering.showIn3D(perfusion, parameters.mip3D, window)),
            "others": ((map_, contours), lambda: display.hideOthers(perfusion)),
            "ct": (
                (ct.GetID() if ct else None, parameters.randomColours),
                lambda: ct is not None and display.setCtDisplay(ct, parameters.randomColours),
            ),
        }
        for name, (state, apply) in steps.items():
            if self._shown.get(name) != state:
                self._shown[name] = state
                apply()

    @staticmethod
    def _colour(perfusion, colours, window) -> None:
        node = previewColours(colours[1]) if isinstance(colours, tuple) else colourNode(colours)
        display.setPerfusionDisplay(perfusion, node, window)

    @staticmethod
    def _fade(perfusion, opacity: float) -> None:
        for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            if view.GetForegroundVolumeID() == perfusion.GetID():
                view.SetForegroundOpacity(opacity)
