"""The stand-in Slicer for these tests: one application a process, an empty scene a test."""

import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "Testing" / "SlicerStandIn"))

pytest.importorskip("slicer", reason="the Slicer tests need the Python package slicer-core")
pytest.importorskip("PySide6", reason="the Slicer tests need the Python package PySide6-Essentials")


@pytest.fixture(scope="session")
def slicer_session():
    """The running stand-in, with views where the machine can draw."""
    from stand_in.start import start

    return start()


@pytest.fixture
def slicer_app(slicer_session):
    """An empty scene; what is raised in a slot or observer during the test fails it."""
    import slicer
    from stand_in.probes import SlotErrors, settle

    slicer.mrmlScene.Clear(0)
    with SlotErrors() as errors:
        yield slicer_session.app
        settle()
    assert not errors.tracebacks, "raised in a slot:\n" + "\n".join(errors.tracebacks)


@pytest.fixture
def views(slicer_session, slicer_app):
    """The layout manager, or a skip that names the packages that drawing needs."""
    from stand_in.views import rendering_problem

    if rendering_problem():
        pytest.skip(rendering_problem())
    return slicer_session.layout
