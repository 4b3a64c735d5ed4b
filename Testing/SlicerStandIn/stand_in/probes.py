"""What tests need to see: errors that slots swallow, observers and nodes left behind, events that must come."""

import contextlib
import gc
import sys
import time
import traceback

import qt
import slicer


class SlotErrors:
    """Collects what is raised in slots and observers: Qt and VTK swallow it after ``sys.excepthook``."""

    def __init__(self):
        self.tracebacks = []

    def __enter__(self):
        self._before, sys.excepthook = sys.excepthook, self._collect
        return self

    def __exit__(self, *_error):
        sys.excepthook = self._before

    def _collect(self, kind, value, trace):
        self.tracebacks.append("".join(traceback.format_exception(kind, value, trace)))


def wait_until(condition, seconds=30.0, what="the expected event"):
    """Run Qt's event loop until ``condition()`` holds; raises AssertionError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {seconds:.0f} s for {what}")
        loop = qt.QEventLoop()
        qt.QTimer.singleShot(20, loop.quit)
        loop.exec()


def settle():
    """Let every queued event happen, deletions too."""
    for _ in range(3):
        slicer.app.sendPostedEvents(None, qt.QEvent.DeferredDelete)
        slicer.app.processEvents()


def is_released(reference):
    """Whether the object of a weak reference is gone: an observer or slot left behind would keep it alive.

    Nodes do not list their observers; this finds the ones that a panel or logic forgot to take off them.
    """
    settle()
    gc.collect()
    return reference() is None


def scene_observer_count():
    """How many observers the scene has, from its own description (VTK tells it nowhere else)."""
    return str(slicer.mrmlScene).count("vtkObserver (")


def scene_census():
    """Node class → number of nodes, and the scene's observers."""
    scene = slicer.mrmlScene
    classes = [scene.GetNthNode(i).GetClassName() for i in range(scene.GetNumberOfNodes())]
    census = {name: classes.count(name) for name in sorted(set(classes))}
    census["observers of the scene"] = scene_observer_count()
    return census


@contextlib.contextmanager
def nothing_left_behind():
    """Asserts that the scene has the same nodes and observers after the block as before."""
    settle()
    before = scene_census()
    yield
    settle()
    after = scene_census()
    changed = {k: (before.get(k, 0), after.get(k, 0)) for k in before | after if before.get(k) != after.get(k)}
    assert not changed, f"left behind or lost (before, after): {changed}"
