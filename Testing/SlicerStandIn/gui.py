"""Open the panel beside real slice and 3D views, on the stand-in, with a virtual patient or a CT of your own.

    make gui                                                        with a virtual patient
    python Testing/SlicerStandIn/gui.py [CT] [--spect SPECT] [--model-folder DIR]
    python Testing/SlicerStandIn/gui.py --screenshot PICTURE.png    predict, draw everything, and leave

Without a display, only ``--screenshot`` makes sense. This is not Slicer: see README.md beside this file.
"""

import argparse
import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "Testing" / "SlicerStandIn"), str(REPOSITORY / "DLCTPM")]

VIEW_SIZE = (500, 540)
REFRESH_MS = 150


def make_window(running, panel_widget):
    """The panel on the left, four views on the right; the views are drawn again when the scene changes."""
    import qt
    import slicer
    import vtk
    from stand_in.views import to_qimage

    class ViewLabel(qt.QLabel):
        """A view's picture; the wheel moves through the slices."""

        def __init__(self, view, slice_logic=None):
            super().__init__()
            self._view, self._slice_logic = view, slice_logic
            self.setFixedSize(*VIEW_SIZE)

        def draw(self):
            self.setPixmap(qt.QPixmap.fromImage(to_qimage(self._view.picture())))

        def wheelEvent(self, event):
            if self._slice_logic is not None:
                step = 1 if event.angleDelta().y() > 0 else -1
                spacing = self._slice_logic.GetLowestVolumeSliceSpacing()[2]
                self._slice_logic.SetSliceOffset(self._slice_logic.GetSliceOffset() + step * spacing)

    window = qt.QWidget()
    window.setWindowTitle("CT Perfusion Mapping on the Slicer stand-in (research use only)")
    layout = qt.QHBoxLayout(window)
    scroll = qt.QScrollArea()
    scroll.setWidget(panel_widget)
    scroll.setWidgetResizable(True)
    scroll.setFixedWidth(520)
    layout.addWidget(scroll)
    grid = qt.QGridLayout()
    grid.setSpacing(4)
    layout.addLayout(grid)
    labels = []
    places = (("Red", 0, 0), ("View", 0, 1), ("Green", 1, 0), ("Yellow", 1, 1))
    for name, row, column in places:
        if name == "View":
            label = ViewLabel(running.layout.threeDWidget(0).threeDView())
        else:
            widget = running.layout.sliceWidget(name)
            label = ViewLabel(widget.sliceView(), widget.sliceLogic())
        labels.append(label)
        grid.addWidget(label, row, column)

    dirty, watched = [True], set()

    def mark(_caller, _event):
        dirty[0] = True

    def watch(_scene, _event):
        for node in slicer.util.getNodesByClass("vtkMRMLDisplayNode") + slicer.util.getNodesByClass(
            "vtkMRMLSliceNode"
        ):
            if node not in watched:
                watched.add(node)
                node.AddObserver(vtk.vtkCommand.ModifiedEvent, mark)
        dirty[0] = True

    def draw():
        if dirty[0]:
            dirty[0] = False
            for label in labels:
                label.draw()

    for logic in (running.layout.sliceWidget(name).sliceLogic() for name in running.layout.sliceViewNames()):
        logic.AddObserver(vtk.vtkCommand.ModifiedEvent, mark)
    slicer.mrmlScene.AddObserver(slicer.mrmlScene.NodeAddedEvent, watch)
    timer = qt.QTimer(window)
    timer.timeout.connect(draw)
    timer.start(REFRESH_MS)
    window.redraw = lambda: [label.draw() for label in labels]
    return window


def load(options):
    """The CT and SPECT that were named, or a virtual patient's."""
    import slicer

    from DLCTPMSlicerLib.sample_data import loadVirtualPatient

    if options.ct is None:
        return loadVirtualPatient()
    ct = slicer.util.loadVolume(options.ct)
    return ct, slicer.util.loadVolume(options.spect, {"show": False}) if options.spect else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ct", nargs="?", help="a CT file (default: a virtual patient is made)")
    parser.add_argument("--spect", help="a perfusion SPECT of the same patient")
    parser.add_argument("--model-folder", help="a folder with model bundles; the first one is used")
    parser.add_argument("--screenshot", help="predict, write this picture, and leave")
    options = parser.parse_args()
    if options.screenshot is None and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        sys.exit("There is no display to open a window on; use --screenshot PICTURE.png")
    if options.screenshot is None:
        os.environ.setdefault("QT_QPA_PLATFORM", "xcb")

    from stand_in.views import rendering_problem

    if rendering_problem():
        sys.exit(rendering_problem())
    from stand_in.start import start

    running = start(view_size=VIEW_SIZE)
    from stand_in.modules import ScriptedModule
    from stand_in.probes import settle, wait_until

    module = ScriptedModule.load(REPOSITORY / "DLCTPM" / "DLCTPM.py")
    widget = module.widgetRepresentation()
    window = make_window(running, widget)
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
    panel.ui.predictButton.click()
    wait_until(lambda: not panel.panel.activity.busy, 600, "the prediction")
    if spect is not None:
        panel.ui.spectSection.collapsed = False
        panel.ui.evaluateButton.click()
        wait_until(lambda: not panel.panel.activity.busy, 600, "the evaluation")
    settle()
    window.redraw()
    settle()
    window.resize(1560, 1110)
    settle()
    if not window.grab().save(options.screenshot):
        sys.exit(f"{options.screenshot} cannot be written")
    module.unload()


if __name__ == "__main__":
    main()
