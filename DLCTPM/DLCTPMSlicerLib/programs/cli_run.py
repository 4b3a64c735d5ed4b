"""One run of a command-line module in the background, with Cancel and its error as a sentence."""

from __future__ import annotations

from collections.abc import Callable

import slicer
from slicer.i18n import tr as _


class CliRun:
    """One run of a command-line module in the background.

    Args:
        module: ``slicer.modules.<name>``.
        parameters: plain Python values and nodes.
        ended: called once with the module's node and an error sentence: empty when it went well, None when it
            was cancelled. The node is removed afterwards.
    """

    def __init__(self, module, parameters: dict, ended: Callable[[object, str | None], None]):
        import slicer.cli

        self._ended, self._observer = ended, None
        self._node = slicer.cli.createNode(module, parameters)
        event = slicer.vtkMRMLCommandLineModuleNode.StatusModifiedEvent
        self._observer = self._node.AddObserver(event, self._changed)
        slicer.cli.run(module, self._node, None, wait_for_completion=False, update_display=False)

    def cancel(self) -> None:
        """Ask the module to stop."""
        if self._node is not None:
            self._node.Cancel()

    def _changed(self, node, _event) -> None:
        if self._node is None or node.IsBusy():
            return
        self._node.RemoveObserver(self._observer)
        self._node = None
        if node.GetStatus() & node.ErrorsMask:
            error = node.GetErrorText().strip().splitlines() or [_("the module gave no reason")]
            self._ended(node, error[-1])
        elif node.GetStatus() == node.Cancelled:
            self._ended(node, None)
        else:
            self._ended(node, "")
        slicer.mrmlScene.RemoveNode(node)
