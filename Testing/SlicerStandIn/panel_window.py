"""What gui.py and gui_training.py share: a window with a module's panel beside pictures, to use or to photograph."""

import os
import sys
from pathlib import Path

import qt
from stand_in.start import start
from stand_in.views import rendering_problem, to_qimage

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / name) for name in ("DLCTPM", "DLCTPMTraining")]


class Picture(qt.QLabel):
    """A view as it was drawn last."""

    def __init__(self, view, size):
        super().__init__()
        self.view = view
        self.setFixedSize(*size)
        self.setStyleSheet("background: white")

    def draw(self):
        """Draw the view anew."""
        self.setPixmap(qt.QPixmap.fromImage(to_qimage(self.view.picture())))


class PanelWindow(qt.QWidget):
    """The panel on the left, pictures on the right.

    Args:
        title: of the module.
        panel: its widget.
        panel_width: in pixels.
        pictures: (row, column) → picture.
        outdated: asked again and again, whether the pictures must be drawn anew.
        refresh_ms: how often.
    """

    def __init__(self, title, panel, panel_width, pictures, outdated, refresh_ms):
        super().__init__()
        self.setWindowTitle(f"{title} on the Slicer stand-in (research use only)")
        layout = qt.QHBoxLayout(self)
        scroll = qt.QScrollArea()
        scroll.setWidget(panel)
        scroll.setWidgetResizable(True)
        scroll.setFixedWidth(panel_width)
        layout.addWidget(scroll)
        grid = qt.QGridLayout()
        grid.setSpacing(4)
        layout.addLayout(grid)
        self._pictures = list(pictures.values())
        for place, picture in pictures.items():
            grid.addWidget(picture, *place)
        timer = qt.QTimer(self)
        timer.timeout.connect(lambda: self.redraw() if outdated() else None)
        timer.start(refresh_ms)

    def redraw(self):
        """Draw every picture anew."""
        for picture in self._pictures:
            picture.draw()

    def photograph(self, path, width, height):
        """Write a picture of the whole window, or leave with the reason why it cannot be written."""
        from stand_in.probes import settle

        settle()
        self.redraw()
        self.resize(width, height)
        settle()
        if not self.grab().save(path):
            sys.exit(f"{path} cannot be written")


def begin(screenshot, **options):
    """Start the stand-in, on the display unless a screenshot is wanted; leave with the reason if it cannot be.

    Args:
        screenshot: path of the picture, or None.
        options: of ``start``.
    """
    if screenshot is None:
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            sys.exit("There is no display to open a window on; use --screenshot PICTURE.png")
        os.environ.setdefault("QT_QPA_PLATFORM", "xcb")
    if rendering_problem():
        sys.exit(rendering_problem())
    return start(**options)


def load_module(name):
    """Load one of the two modules."""
    from stand_in.modules import ScriptedModule

    return ScriptedModule.load(REPOSITORY / name / f"{name}.py")


def wait_until_idle(panel, what):
    """Let the panel finish."""
    from stand_in.probes import wait_until

    wait_until(lambda: not panel.panel.activity.busy, 1800, what)
