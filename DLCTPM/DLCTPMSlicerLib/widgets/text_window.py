"""A window of its own for a text that belongs to a panel: a model's card."""

from __future__ import annotations

import tempfile
from pathlib import Path

import qt
import slicer

WINDOW_SIZE = (640, 560)


def showMarkdown(title: str, text: str) -> qt.QTextBrowser:
    """Show Markdown in a window; whoever gets it keeps it, or it closes."""
    window = qt.QTextBrowser()
    window.setWindowTitle(title)
    window.setMarkdown(text)
    window.resize(*WINDOW_SIZE)
    window.show()
    return window


def openPage(html: str, name: str) -> None:
    """Open a page in the browser, which wants a file; ``name`` is that of the file."""
    path = Path(tempfile.mkdtemp(prefix="report-", dir=slicer.app.temporaryPath)) / f"{name}.html"
    path.write_text(html, encoding="utf-8")
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))
