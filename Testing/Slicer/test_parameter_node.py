"""The small ``parameterNodeWrapper`` behaves as Slicer's own, behaviour by behaviour.

Either is asked in a process of its own; Slicer's own where its files are at hand (Testing/SlicerStandIn/README.md).
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

PROGRAM = Path(__file__).parents[1] / "helpers" / "parameter_behaviours.py"
SMALL, OWN = "small version", "Slicer's own"

EXPECTED = {
    "defaults": {
        "text": "",
        "textByEquals": "automatic",
        "textByAnnotation": "automatic",
        "flag": False,
        "flagByEquals": True,
        "count": 0,
        "countByEquals": 3,
        "number": 0.0,
        "share": 0.6,
        "rest": 0.4,
        "few": 2,
        "word": "b",
        "side": "Side.left",
        "sideByEquals": "Side.right",
        "path": ".",
        "window": [0.0, 1.0],
        "step": 1.0,
        "volume": None,
        "lungs": None,
    },
    "accepted": {
        "integer as float": [None, 2.0],
        "ends of a range": [[None, 0.0], [None, 1.0]],
        "another choice": [None, "a"],
        "another member": [None, "Side.right"],
        "a narrower window": [None, [0.25, 0.5]],
        "a path": [None, "a/b"],
        "special text": [None, "äöü % {x} 'quoted' \"twice\"\nnext"],
    },
    "refused": {
        "text as number": ["TypeError", 0.0],
        "number as text": ["TypeError", ""],
        "float as integer": ["TypeError", 0],
        "text as flag": ["TypeError", False],
        "above the range": ["ValueError", 0.6],
        "below the minimum": ["ValueError", 2],
        "no such choice": ["ValueError", "b"],
        "name of a member": ["TypeError", "Side.left"],
        "window out of bounds": [None, [0.0, 2.0]],
        "None as text": ["ValueError", ""],
        "text as node": ["TypeError", None],
        "text as path": ["TypeError", "."],
    },
    "nodes": {
        "volume ct": "ct",
        "volume None": None,
        "lungs labels": "labels",
        "lungs segments": "segments",
        "lungs None": None,
        "a class of neither kind": "TypeError",
        "a derived class": [None, "labels"],
        "after its node is gone": None,
    },
    "changes": {"one": 1, "the same again": 0, "a window": 1, "several in a batch": 1},
    "widgets": {
        "first": ["", False, 0.6, "left lung", "b", 1.0],
        "followed": ["x", True, 0.25, "right lung", 0.25],
        "read": ["by hand", 0.75, "a", 5, False],
        "limits": [0.0, 1.0, 0.0, 1.0],
        "steps": [3, 0.125],
        "window": [0.1, 0.9],
        "after parting": ["by hand", "not any more"],
        "items": ["left lung", "right lung"],
    },
    "missing_widgets": {
        "few widgets": ["x", True],
        "a widget of no parameter": "ValueError",
        "by name": "ValueError",
    },
    "cannot_be_bound": {
        "range with its default by =": "AttributeError",
        "slider without limits": "RuntimeError",
        "combo box without choices": "RuntimeError",
        "number in a line edit": "RuntimeError",
    },
    "cannot_be_declared": {
        "a default of the wrong type": "TypeError",
        "a default outside its range": "ValueError",
        "a type that cannot be kept": "Exception",
        "two defaults": 2,
    },
    "unknown_annotation": {"value": 4, "warned": True},
    "save_and_load": {
        "text": "saved",
        "side": "Side.right",
        "share": 0.125,
        "volume": "ct",
        "window": [0.25, 0.75],
        "path": "a/b",
        "flag": True,
        "lungs": None,
        "countByEquals": 3,
    },
    "as_kept": {
        "flag": "True",
        "share": "0.125",
        "side": "right",
        "text": "x",
        "window._maximum": "0.5",
        "window._minimum": "0.25",
    },
}
"""What Slicer's own does."""


@pytest.fixture(scope="session")
def behaves(slicer_session):
    """What an implementation answers; each is asked once."""
    from stand_in.slicer_python import VARIABLE, own_files

    answers = {}

    def ask(implementation):
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        if implementation == OWN:
            if own_files() is None:
                pytest.skip(f"{VARIABLE} names no folder of Slicer's own Python files")
            environment[VARIABLE] = str(own_files())
        if implementation not in answers:
            done = subprocess.run(
                [sys.executable, str(PROGRAM)], env=environment, capture_output=True, encoding="utf-8", check=True
            )
            line = next(line for line in done.stdout.splitlines() if line.startswith("ANSWERS "))
            answers[implementation] = json.loads(line.removeprefix("ANSWERS "))
        return answers[implementation]

    return ask


@pytest.mark.parametrize("behaviour", EXPECTED)
@pytest.mark.parametrize("implementation", [SMALL, OWN])
def test_parameter_node(behaves, implementation, behaviour):
    assert behaves(implementation)[behaviour] == EXPECTED[behaviour]


def test_every_range_of_the_panel_can_be_bound_to_a_range_widget(slicer_app, module):
    """A default after the equals sign would keep the widget of a range from being bound, in every Slicer."""
    import ctk
    from slicer.parameterNodeWrapper import FloatRange

    import DLCTPM

    hints = get_type_hints(DLCTPM.DLCTPMParameterNode, include_extras=True)
    ranges = [name for name, hint in hints.items() if get_args(hint) and get_args(hint)[0] is FloatRange]
    assert ranges
    parameters = DLCTPM.DLCTPMLogic().getParameterNode()
    for name in ranges:
        widget = ctk.ctkRangeWidget()
        parameters.disconnectGui(parameters.connectParametersToGui({name: widget}))
