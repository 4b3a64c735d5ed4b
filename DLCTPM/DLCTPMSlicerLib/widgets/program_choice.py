"""A list of programs in which only those stand that can be used now."""

from __future__ import annotations

from collections.abc import Callable

import qt


class ProgramChoice:
    """Behaviour of a combo box of programs; each has ``key``, ``label()`` and ``unavailable()``, a reason or nothing.

    Args:
        combo: the box.
        programs: every program; the first one is always there.
        changed: called when the user has chosen another.
    """

    def __init__(self, combo: qt.QComboBox, programs: list, changed: Callable[[], None]):
        self._combo, self._programs, self._changed = combo, programs, changed
        self._shown: list = []
        combo.currentIndexChanged.connect(self._chosen)
        self.refresh()

    def program(self):
        """The chosen program."""
        index = self._combo.currentIndex
        return self._shown[index] if 0 <= index < len(self._shown) else self._programs[0]

    def named(self, key: str):
        """The program of a key, whether it can be used or not; the first one where there is none."""
        return next((program for program in self._programs if program.key == key), self._programs[0])

    def choose(self, key: str) -> None:
        """Show this program, also one that a scene asks for and that is not there; nothing is told."""
        program = self.named(key)
        if program not in self._shown:
            self.refresh(key)
        if self._combo.currentIndex != self._shown.index(program):
            blocked = self._combo.blockSignals(True)
            self._combo.currentIndex = self._shown.index(program)
            self._combo.blockSignals(blocked)

    def refresh(self, asked: str = "") -> None:
        """See again which programs there are."""
        before = self.program().key if self._shown else ""
        blocked = self._combo.blockSignals(True)
        self._shown = [one for one in self._programs if not one.unavailable() or one.key in (asked, before)]
        self._combo.clear()
        for index, program in enumerate(self._shown):
            self._combo.addItem(program.label())
            self._combo.setItemData(index, program.unavailable(), qt.Qt.ToolTipRole)
        self._combo.currentIndex = max(0, [one.key for one in self._shown].index(before) if before else 0)
        self._combo.blockSignals(blocked)

    def missing(self) -> list:
        """The programs that are not there."""
        return [program for program in self._programs if program.unavailable()]

    def _chosen(self, _index: int) -> None:
        self._changed()
