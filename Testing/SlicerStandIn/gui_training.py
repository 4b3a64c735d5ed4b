"""Open the panel of "CT Perfusion Training" beside its plots, on the stand-in.

    python Testing/SlicerStandIn/gui_training.py [COHORT.csv] [--out RUN]
    python Testing/SlicerStandIn/gui_training.py COHORT.csv --out RUN --epochs 20 --screenshot PICTURE.png

With ``--screenshot``: check the cohort, train a small network on a small grid, write the picture, and leave; a run
that is there is shown as it is. No display is needed. This is not Slicer: see README.md beside this file.
"""

import argparse
import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / name) for name in ("Testing/SlicerStandIn", "DLCTPM", "DLCTPMTraining")]

PLOT_SIZE = (860, 470)
REFRESH_MS = 500


def make_window(panel_widget):
    """The panel on the left, the two charts on the right, drawn again while the network trains."""
    import qt
    import slicer
    from stand_in.plot_view import PlotView
    from stand_in.views import to_qimage

    window = qt.QWidget()
    window.setWindowTitle("CT Perfusion Training on the Slicer stand-in (research use only)")
    layout = qt.QHBoxLayout(window)
    scroll = qt.QScrollArea()
    scroll.setWidget(panel_widget)
    scroll.setWidgetResizable(True)
    scroll.setFixedWidth(560)
    layout.addWidget(scroll)
    column = qt.QVBoxLayout()
    layout.addLayout(column)
    views = [PlotView(plot_view_node(f"Training{number}"), PLOT_SIZE) for number in range(2)]
    labels = [qt.QLabel() for _ in views]
    for label in labels:
        label.setFixedSize(*PLOT_SIZE)
        label.setStyleSheet("background: white")
        column.addWidget(label)

    def draw():
        charts = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
        for view, label, chart in zip(views, labels, charts, strict=False):
            view.mrmlPlotViewNode().SetPlotChartNodeID(chart.GetID())
            label.setPixmap(qt.QPixmap.fromImage(to_qimage(view.picture())))

    timer = qt.QTimer(window)
    timer.timeout.connect(draw)
    timer.start(REFRESH_MS)
    window.redraw = draw
    return window


def plot_view_node(name):
    """A plot view node of the scene."""
    import slicer

    node = slicer.vtkMRMLPlotViewNode()
    node.SetName(name)
    node.SetLayoutName(name)
    node.SetSingletonTag(name)
    return slicer.mrmlScene.AddNode(node)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", nargs="?", help="a cohort's table")
    parser.add_argument("--out", help="folder of the run")
    parser.add_argument("--epochs", type=int, default=20, help="with --screenshot (default 20)")
    parser.add_argument("--screenshot", help="check, train, write this picture, and leave")
    options = parser.parse_args()
    if options.screenshot is None and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        sys.exit("There is no display to open a window on; use --screenshot PICTURE.png")
    if options.screenshot and not (options.cohort and options.out):
        parser.error("--screenshot needs a cohort and --out")
    if options.screenshot is None:
        os.environ.setdefault("QT_QPA_PLATFORM", "xcb")

    from stand_in.views import rendering_problem

    if rendering_problem():
        sys.exit(rendering_problem())
    from stand_in.start import start

    running = start()
    from stand_in.modules import ScriptedModule

    ScriptedModule.load(REPOSITORY / "DLCTPM" / "DLCTPM.py")
    module = ScriptedModule.load(REPOSITORY / "DLCTPMTraining" / "DLCTPMTraining.py")
    widget = module.widgetRepresentation()
    window = make_window(widget)
    widget.enter()
    panel = widget.self()
    panel.ui.cohortPathLineEdit.currentPath = options.cohort or ""
    panel.ui.outPathLineEdit.currentPath = options.out or ""
    window.show()
    if options.screenshot is None:
        running.app.exec()
    else:
        take_screenshot(window, panel, options)
    module.unload()


def take_screenshot(window, panel, options):
    """Check, train where no run is there yet, plot, and write the picture."""
    from stand_in.probes import settle, wait_until

    ui = panel.ui
    if ui.trainButton.enabled:
        ui.checkButton.click()
        wait_until(lambda: not panel.panel.activity.busy, 900, "the check")
        ui.modelNameLineEdit.text = "our-site"
        ui.epochsSpinBox.value = options.epochs
        ui.widthComboBox.currentIndex, ui.gridComboBox.currentIndex = 0, 2
        ui.plateauCheckBox.checked = False
        ui.trainButton.click()
        wait_until(lambda: not panel.panel.activity.busy, 1800, "the training")
    ui.scorePlotButton.click()
    settle()
    window.resize(1460, 1010)
    window.redraw()
    settle()
    if not window.grab().save(options.screenshot):
        sys.exit(f"{options.screenshot} cannot be written")


if __name__ == "__main__":
    main()
