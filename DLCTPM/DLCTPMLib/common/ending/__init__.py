"""How a run ends before its time, and what it must not leave behind."""
