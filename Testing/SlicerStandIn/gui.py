"""Open the panel beside real slice and 3D views, on the stand-in, with a virtual patient or a CT of your own.

    make gui                                                        with a virtual patient
    python Testing/SlicerStandIn/gui.py [CT] [--spect SPECT] [--model-folder DIR]
    python Testing/SlicerStandIn/gui.py --screenshot PICTURE.png    predict, draw everything, and leave

Without a display, only ``--screenshot`` makes sense. This is not Slicer: see README.md beside this file.
"""

import argparse

import slicer
import vtk
from panel_window import PanelWindow, Picture, begin, load_module, wait_until_idle

VIEW_SIZE = (500, 540)
PANEL_WIDTH = 520
REFRESH_MS = 150
PLACES = {"Red": (0, 0), "Green": (1, 0), "Yellow": (1, 1)}
PLACE_3D = (0, 1)


class SlicePicture(Picture):
    """A slice view; the wheel moves through the slices."""

    def __init__(self, widget):
        super().__init__(widget.sliceView(), VIEW_SIZE)
        self._logic = widget.sliceLogic()

    def wheelEvent(self, event):
        step = 1 if event.angleDelta().y() > 0 else -1
        spacing = self._logic.GetLowestVolumeSliceSpacing()[2]
        self._logic.SetSliceOffset(self._logic.GetSliceOffset() + step * spacing)


class SceneWatch:
    """Whether anything that the views show has changed since it was last asked."""

    def __init__(self, slice_logics):
        self._changed, self._watched = True, set()
        for logic in slice_logics:
            logic.AddObserver(vtk.vtkCommand.ModifiedEvent, self._mark)
        slicer.mrmlScene.AddObserver(slicer.mrmlScene.NodeAddedEvent, self._watch)

    def __call__(self):
        changed, self._changed = self._changed, False
        return changed

    def _mark(self, _caller, _event):
        self._changed = True

    def _watch(self, _scene, _event):
        for class_name in ("vtkMRMLDisplayNode", "vtkMRMLSliceNode"):
            for node in slicer.util.getNodesByClass(class_name):
                if node not in self._watched:
                    self._watched.add(node)
                    node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._mark)
        self._changed = True


def make_window(layout, panel_widget):
    """The panel, three slice views and a 3D view."""
    slices = {name: layout.sliceWidget(name) for name in PLACES}
    pictures = {PLACES[name]: SlicePicture(widget) for name, widget in slices.items()}
    pictures[PLACE_3D] = Picture(layout.threeDWidget(0).threeDView(), VIEW_SIZE)
    watch = SceneWatch([widget.sliceLogic() for widget in slices.values()])
    return PanelWindow("CT Perfusion Mapping", panel_widget, PANEL_WIDTH, pictures, watch, REFRESH_MS)


def load(options):
    """The CT and SPECT that were named, or a virtual patient's."""
    from DLCTPMSlicerLib.nodes.sample_data import loadVirtualPatient

    if options.ct is None:
        return loadVirtualPatient()
    ct = slicer.util.loadVolume(options.ct)
    return ct, slicer.util.loadVolume(options.spect, {"show": False}) if options.spect else None


def predict_and_compare(panel):
    """Click through the work."""
    panel.ui.predictButton.click()
    wait_until_idle(panel, "the prediction")
    if panel.ui.spectSelector.currentNode() is not None:
        panel.ui.spectSection.collapsed = False
        panel.ui.evaluateButton.click()
        wait_until_idle(panel, "the evaluation")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ct", nargs="?", help="a CT file (default: a virtual patient is made)")
    parser.add_argument("--spect", help="a perfusion SPECT of the same patient")
    parser.add_argument("--model-folder", help="a folder with model bundles; the first one is used")
    parser.add_argument("--screenshot", help="predict, write this picture, and leave")
    options = parser.parse_args()
    running = begin(options.screenshot, view_size=VIEW_SIZE)
    module = load_module("DLCTPM")
    widget = module.widgetRepresentation()
    window = make_window(running.layout, widget)
    widget.enter()
    panel = widget.self()
    if options.model_folder:
        panel.ui.modelFolderPathLineEdit.currentPath = options.model_folder
        panel.ui.modelComboBox.currentIndex = panel.ui.modelComboBox.count - 1
    ct, spect = load(options)
    panel.ui.ctSelector.setCurrentNode(ct)
    panel.ui.spectSelector.setCurrentNode(spect)
    window.show()
    if options.screenshot is None:
        running.app.exec()
        return
    predict_and_compare(panel)
    window.photograph(options.screenshot, 1560, 1110)
    module.unload()


if __name__ == "__main__":
    main()
