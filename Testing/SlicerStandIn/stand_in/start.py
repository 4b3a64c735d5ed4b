"""Starts the stand-in: after ``start()``, ``import slicer, qt, ctk`` give a Slicer to scripted modules."""

import os
import sys
import tempfile
import types
from dataclasses import dataclass
from pathlib import Path

STAND_IN = Path(__file__).resolve().parents[1]


@dataclass
class Running:
    """The one running stand-in of this process."""

    app: object
    core: object
    layout: object


_running: Running | None = None


def start(views=True, view_size=(400, 320)) -> Running:
    """Start the stand-in, or give the one that runs (Qt allows one application a process).

    Args:
        views: make slice and 3D views; they need a library to draw with (``views.rendering_problem``).
        view_size: width and height of each view in pixels.
    """
    global _running
    if _running is not None:
        return _running
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ.setdefault("QT_LOGGING_RULES", "*.debug=false;qt.qpa.*=false")
    if str(STAND_IN) not in sys.path:
        sys.path.insert(0, str(STAND_IN))
    import slicer

    slicer.modules = types.ModuleType("slicer.modules")
    slicer.moduleNames = types.ModuleType("slicer.moduleNames")
    sys.modules["slicer.modules"], sys.modules["slicer.moduleNames"] = slicer.modules, slicer.moduleNames

    import slicer.util

    from stand_in import application, layout, mrml, qmrml, slicer_python
    from stand_in import views as views_module
    from stand_in.modules import LoadableModule

    for name in (
        "qMRMLWidget",
        "qMRMLNodeComboBox",
        "qSlicerScriptedLoadableModule",
        "qSlicerScriptedLoadableModuleWidget",
    ):
        setattr(slicer, name, getattr(qmrml, name))
    import ctk  # noqa: F401  registers its widgets with the .ui loader

    slicer_python.add_to(slicer)
    app = application.StandInApplication(tempfile.mkdtemp(prefix="slicer-stand-in-"))
    core = mrml.MrmlCore(app.temporaryPath)
    application.publish(app, core)
    for name, logic in core.logics.items():
        app.moduleManager().add(LoadableModule(name, logic))
    layout_manager = None
    if views and views_module.rendering_problem() is None:
        views_module.choose_render_window()
        layout_manager = layout.LayoutManager(core, view_size)
    app.adopt(core, layout_manager)
    _running = Running(app, core, layout_manager)
    return _running
