"""Slice and 3D views drawn off screen by VTK: Slicer's own pipelines and displayable managers, no Qt."""

import ctypes.util
import os

import numpy as np
import qt
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

DEBIAN_PACKAGES = "libegl1 and libgl1-mesa-dri"


def choose_render_window():
    """Tell VTK how to draw: on the display, else through EGL, else through OSMesa. Before the first view."""
    if os.environ.get("DISPLAY") or "VTK_DEFAULT_OPENGL_WINDOW" in os.environ:
        return
    for library, window in (("EGL", "vtkEGLRenderWindow"), ("OSMesa", "vtkOSMesaRenderWindow")):
        if ctypes.util.find_library(library):
            os.environ["VTK_DEFAULT_OPENGL_WINDOW"] = window
            return


def rendering_problem():
    """Why VTK cannot draw on this machine, with the Debian packages to install; None where it can."""
    if os.environ.get("DISPLAY") or any(ctypes.util.find_library(name) for name in ("EGL", "OSMesa")):
        return None
    return f"VTK needs a library to draw without a screen: install the Debian packages {DEBIAN_PACKAGES}"


class RenderedView:
    """One renderer in an off-screen window, kept in step with a MRML view node."""

    def __init__(self, factory, view_node, logic, size):
        self.view_node, self.logic = view_node, logic
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()
        self.managers.Initialize(factory.GetInstance(), self.renderer)
        self.managers.SetMRMLDisplayableNode(view_node)

    def mrmlViewNode(self):
        """The view node, as Slicer's 3D view widget gives it."""
        return self.view_node

    def picture(self):
        """Draw the view: (rows, columns, 3) uint8 RGB, first row at the top."""
        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.SetInputBufferTypeToRGB()
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        columns, rows, _ = image.GetDimensions()
        pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)
        return np.ascontiguousarray(pixels[::-1, :, :3])

    def save(self, path):
        """Write the picture as PNG."""
        to_qimage(self.picture()).save(str(path))

    def forceRender(self):
        self.window.Render()

    def scheduleRender(self):
        """Slicer draws at the next chance; here a view is drawn when its picture is asked for."""

    def size(self):
        return self.window.GetSize()


class SliceView(RenderedView):
    """The picture of a slice logic with everything drawn on it."""

    def __init__(self, logic, size):
        super().__init__(slicer.vtkMRMLSliceViewDisplayableManagerFactory, logic.GetSliceNode(), logic, size)
        logic.ResizeSliceNode(*size)
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        mapper.SetInputConnection(logic.GetImageDataConnection())
        self._mapper = mapper
        self._image = vtk.vtkActor2D()
        self._image.SetMapper(mapper)
        self.renderer.AddViewProp(self._image)

    def picture(self):
        layers = [self.logic.GetNthLayerVolumeNode(i) for i in range(3)]
        self._image.SetVisibility(any(layers))
        if any(layers):
            self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        return super().picture()

    def ras_at(self, column, row):
        """Patient position (right, anterior, superior; mm) of a picture pixel, first row at the top."""
        height = self.window.GetSize()[1]
        xy = [column, height - 1 - row, 0, 1]
        return np.array(self.view_node.GetXYToRAS().MultiplyPoint(xy)[:3])


class ThreeDView(RenderedView):
    """A 3D view with its camera."""

    def __init__(self, logic, size):
        super().__init__(slicer.vtkMRMLThreeDViewDisplayableManagerFactory, logic.GetViewNode(), logic, size)

    def resetFocalPoint(self):
        self.renderer.ResetCamera()

    def resetCamera(self):
        self.renderer.ResetCamera()


def to_qimage(rgb):
    """A Qt image of (rows, columns, 3) uint8 RGB."""
    rows, columns, _ = rgb.shape
    return qt.QImage(rgb.data, columns, rows, 3 * columns, qt.QImage.Format_RGB888).copy()
