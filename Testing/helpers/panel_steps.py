"""What tests of both modules' panels do and look at."""

from pathlib import Path

FAILS = "import sys; print('error: ct.nrrd: this is not a CT; give a CT.', file=sys.stderr); sys.exit(2)"
"""In the engine's place (fixture ``engine``): bad input, told as the engine tells it."""


def until(condition, seconds, what):
    """Let Qt's event loop run until the condition holds."""
    from stand_in.probes import wait_until

    wait_until(condition, seconds, what)


def until_idle(panel, seconds=900):
    """Let the panel finish what it does; on a busy machine the real engine takes minutes."""
    from stand_in.probes import settle

    until(lambda: not panel.panel.activity.busy, seconds, f"the panel to be idle: {panel.ui.statusLabel.text}")
    settle()


def click(panel, button):
    """Click a button that can be clicked, and let the panel finish."""
    assert button.enabled, button.toolTip
    button.click()
    until_idle(panel)


def process_of(panel):
    """The engine's process that the panel runs now."""
    return panel.panel.runner.job._process._group.process


def temporary_folders():
    """The folders in which jobs left files for the engine."""
    import slicer

    return list(Path(slicer.app.temporaryPath).glob("dlctpm-*"))
