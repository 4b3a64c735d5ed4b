"""Puts the module's entry into the menus of the Data module, once a Slicer."""

from __future__ import annotations

from pathlib import Path

import slicer

PLUGIN = Path(__file__).with_name("DLCTPMSubjectHierarchyPlugin.py")
SCRIPTED_PLUGIN = "qSlicerSubjectHierarchyScriptedPlugin"


def registerMenus() -> None:
    """Register the subject hierarchy plugin; without the Data module's plugins (no main window) nothing is done."""
    if PLUGIN.stem in vars(slicer) or SCRIPTED_PLUGIN not in vars(slicer):
        return
    getattr(slicer, SCRIPTED_PLUGIN)(None).setPythonSource(str(PLUGIN))
