"""The command line with training's commands, where no distribution is installed that would bring them (Slicer)."""

from __future__ import annotations

import argparse

from DLCTPMLib.cli import main as engine
from DLCTPMTrainingLib.cli import benchmark, cohort, demo, robustness, study, train

COMMANDS = (
    demo.COMMAND,
    cohort.SIMULATE,
    cohort.CHECK,
    train.COMMAND,
    study.COMMAND,
    robustness.COMMAND,
    benchmark.COMMAND,
)
"""Training's commands; ``pyproject.toml`` names the same ones as entry points."""


def main(argv: list[str] | None = None) -> int:
    """Run one command of the engine or of training; arguments and exit status as of the engine's ``main``."""
    return engine.main(argv, COMMANDS)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all these commands."""
    return engine.parser_of(COMMANDS)
