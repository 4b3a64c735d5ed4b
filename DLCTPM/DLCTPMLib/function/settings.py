"""What counts as high-functional lung."""

FUNCTIONAL_THRESHOLD = 0.66
"""Relative perfusion above which lung is high-functional; at it or below, low-functional (the paper's 0.66)."""
