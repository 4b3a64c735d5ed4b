"""A window of its own for a text that belongs to a panel: a model's card."""

from __future__ import annotations

import qt

WINDOW_SIZE = (640, 560)


def showMarkdown(title: str, text: str) -> qt.QTextBrowser:
    """Show Markdown in a window; whoever gets it keeps it, or it closes."""
    window = qt.QTextBrowser()
    window.setWindowTitle(title)
    window.setMarkdown(text)
    window.resize(*WINDOW_SIZE)
    window.show()
    return window
