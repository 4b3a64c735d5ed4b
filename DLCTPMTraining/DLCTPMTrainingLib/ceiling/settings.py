"""How many draws a ceiling needs; light, for the command line."""

FEWEST_DRAWS = 8
"""Draws of each patient below which a ceiling is too noisy to be told."""
