"""Open the panel of "CT Perfusion Training" beside its plots, on the stand-in.

    python Testing/SlicerStandIn/gui_training.py [COHORT.csv] [--out RUN]
    python Testing/SlicerStandIn/gui_training.py COHORT.csv --out RUN --epochs 20 --screenshot PICTURE.png

With ``--screenshot``: check the cohort, train a small network on a small grid, write the picture, and leave; a run
that is there is shown as it is. No display is needed. This is not Slicer: see README.md beside this file.
"""

import argparse

import slicer
from panel_window import PanelWindow, Picture, begin, load_module, wait_until_idle

PLOT_SIZE = (860, 470)
PANEL_WIDTH = 560
REFRESH_MS = 500


class ChartPicture(Picture):
    """The scene's first or second chart, once it is there."""

    def __init__(self, number):
        from stand_in.plot_view import PlotView

        node = slicer.vtkMRMLPlotViewNode()
        for say in (node.SetName, node.SetLayoutName, node.SetSingletonTag):
            say(f"Training{number}")
        super().__init__(PlotView(slicer.mrmlScene.AddNode(node), PLOT_SIZE), PLOT_SIZE)
        self._number = number

    def draw(self):
        charts = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
        if self._number < len(charts):
            self.view.mrmlPlotViewNode().SetPlotChartNodeID(charts[self._number].GetID())
            super().draw()


def make_window(panel_widget):
    """The panel and the two charts, drawn again and again: the network may be training."""
    charts = {(number, 0): ChartPicture(number) for number in range(2)}
    return PanelWindow("CT Perfusion Training", panel_widget, PANEL_WIDTH, charts, lambda: True, REFRESH_MS)


def train_where_nothing_is_there(panel, epochs):
    """Check the cohort and train a small network, unless the folder holds a run; then bring up the plots."""
    ui = panel.ui
    if ui.trainButton.enabled:
        ui.checkButton.click()
        wait_until_idle(panel, "the check")
        ui.modelNameLineEdit.text = "our-site"
        ui.epochsSpinBox.value = epochs
        ui.widthComboBox.currentIndex, ui.gridComboBox.currentIndex = 0, 2
        ui.plateauCheckBox.checked = False
        ui.trainButton.click()
        wait_until_idle(panel, "the training")
    ui.scorePlotButton.click()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", nargs="?", help="a cohort's table")
    parser.add_argument("--out", help="folder of the run")
    parser.add_argument("--epochs", type=int, default=20, help="with --screenshot (default 20)")
    parser.add_argument("--screenshot", help="check, train, write this picture, and leave")
    options = parser.parse_args()
    if options.screenshot and not (options.cohort and options.out):
        parser.error("--screenshot needs a cohort and --out")
    running = begin(options.screenshot)
    load_module("DLCTPM")
    module = load_module("DLCTPMTraining")
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
        train_where_nothing_is_there(panel, options.epochs)
        window.photograph(options.screenshot, 1460, 1010)
    module.unload()


if __name__ == "__main__":
    main()
