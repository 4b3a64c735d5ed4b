"""Slicer's layout manager with the four views of the four-up layout, and a plot view."""

import slicer

from stand_in.plot_view import PlotWidget
from stand_in.views import SliceView, ThreeDView

SLICE_VIEWS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}
LAYOUT_COLOURS = {
    "Red": (0.952941176471, 0.290196078431, 0.2),
    "Yellow": (0.929411764706, 0.835294117647, 0.298039215686),
    "Green": (0.43137254902, 0.690196078431, 0.294117647059),
}


class SliceWidget:
    """What ``layoutManager().sliceWidget(name)`` gives, for the parts that modules touch."""

    def __init__(self, core, name, orientation, size):
        self.name = name
        node = core.scene.CreateNodeByClass("vtkMRMLSliceNode")  # with the scene's orientation presets
        node.SetName(name)
        node.SetLayoutName(name)
        node.SetSingletonTag(name)
        node.SetLayoutLabel(name[0])
        node.SetLayoutColor(*LAYOUT_COLOURS[name])
        node.SetDefaultOrientation(orientation)
        node = core.scene.AddNode(node)
        node.SetOrientation(orientation)
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(core.application_logic)
        self._logic.SetMRMLScene(core.scene)
        self._logic.SetSliceNode(node)
        core.slice_logics.AddItem(self._logic)
        self._view = SliceView(self._logic, size)

    def sliceLogic(self):
        return self._logic

    def sliceView(self):
        return self._view

    def mrmlSliceNode(self):
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self):
        return self._logic.GetSliceCompositeNode()


class ThreeDWidget:
    """What ``layoutManager().threeDWidget(0)`` gives, for the parts that modules touch."""

    def __init__(self, core, size):
        self._logic = slicer.vtkMRMLViewLogic()
        self._logic.SetMRMLApplicationLogic(core.application_logic)
        self._logic.SetMRMLScene(core.scene)
        self._logic.AddViewNode("1")
        node = self._logic.GetViewNode()
        node.SetLayoutLabel("1")
        node.SetBoxVisible(False)  # Slicer moves the box to what is shown; here it would stay at the origin
        node.SetAxisLabelsVisible(False)
        core.view_logics.AddItem(self._logic)
        self._view = ThreeDView(self._logic, size)

    def threeDView(self):
        return self._view

    def mrmlViewNode(self):
        return self._logic.GetViewNode()


class LayoutManager:
    """Three slice views, one 3D view and one plot view; layouts are remembered, every view can always be drawn."""

    def __init__(self, core, size=(400, 320)):
        self._core = core
        self._layout_node = core.scene.AddNode(slicer.vtkMRMLLayoutNode())
        self.layout = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
        self._slices = {name: SliceWidget(core, name, way, size) for name, way in SLICE_VIEWS.items()}
        self._three_d = ThreeDWidget(core, size)
        self._plot = PlotWidget(core.scene, size)
        self.threeDViewCount = self.plotViewCount = 1

    def setLayout(self, layout):
        self.layout = layout

    def sliceViewNames(self):
        return list(self._slices)

    def sliceWidget(self, name):
        return self._slices.get(name)

    def mrmlSliceLogics(self):
        return self._core.slice_logics

    def threeDWidget(self, _index):
        return self._three_d

    def plotWidget(self, _index):
        return self._plot

    def resetSliceViews(self):
        for widget in self._slices.values():
            widget.sliceLogic().FitSliceToBackground()
            widget.sliceLogic().SnapSliceOffsetToIJK()

    def resetThreeDViews(self):
        self._three_d.threeDView().resetCamera()
