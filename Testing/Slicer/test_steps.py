"""Work between the user's clicks: what a large CT needs leaves the event loop its turns."""

import time

import pytest
from panel_steps import click, until, until_idle


def test_steps_leave_turns_and_give_their_value(slicer_app):
    import qt

    from DLCTPMSlicerLib.engine.steps import Steps

    turns, given = [], []
    timer = qt.QTimer()
    timer.setInterval(1)
    timer.timeout.connect(lambda: turns.append(1))
    timer.start()

    def work():
        for _ in range(20):
            time.sleep(0.01)
            yield
        return "done"

    steps = Steps(work(), lambda result: given.append(result())).start()
    assert steps.running
    until(lambda: given, 60, "the steps")
    timer.stop()
    assert given == ["done"]
    assert len(turns) >= 5


def test_steps_tell_what_was_raised_and_nothing_after_stop(slicer_app):
    from DLCTPMSlicerLib.engine.steps import Steps

    def fails():
        yield
        raise ValueError("no")

    told, undone = [], []
    Steps(fails(), told.append).start()
    with pytest.raises(ValueError, match="no"):
        told[0]()

    def endless():
        try:
            while True:
                time.sleep(0.01)
                yield
        finally:
            undone.append(1)

    steps = Steps(endless(), told.append).start()
    steps.stop()
    assert (len(told), undone, steps.running) == (1, [1], False)


@pytest.fixture
def slow_files(monkeypatch):
    """Every piece of a volume takes longer than a turn."""
    from DLCTPMSlicerLib.nodes import files

    whole = files._pieces

    def slowly(voxels):
        for first in range(0, len(voxels), 4):
            time.sleep(0.02)
            yield from whole(voxels[first : first + 4])

    monkeypatch.setattr(files, "_pieces", slowly)


def test_a_ct_is_written_between_clicks_and_cancel_comes_at_once(panel, chest_ct, slow_files):
    from panel_steps import temporary_folders

    panel._parameterNode.ctVolume = chest_ct
    panel.ui.predictButton.click()
    assert panel.panel.runner.job._process is None, "the engine starts when the CT is written"
    assert temporary_folders()
    panel.ui.cancelButton.click()
    assert not panel.panel.activity.busy
    assert panel.ui.statusLabel.text.startswith("Cancelled")
    assert temporary_folders() == []


def test_a_ct_that_goes_while_it_is_written_ends_the_job(panel, chest_ct, slow_files):
    import slicer

    panel._parameterNode.ctVolume = chest_ct
    panel.ui.predictButton.click()
    slicer.mrmlScene.Clear(0)
    assert not panel.panel.activity.busy


def test_cancel_while_results_are_read_leaves_the_scene_as_before(panel, chest_ct, monkeypatch):
    """The real engine is done; its lungs are looked through between clicks, and nothing is in the scene yet."""
    from stand_in.probes import nothing_left_behind

    from DLCTPMSlicerLib.nodes import prediction

    plain = prediction.regionSteps

    def slowly(labels):
        for _ in range(100):
            time.sleep(0.02)
            yield
        return (yield from plain(labels))

    monkeypatch.setattr(prediction, "regionSteps", slowly)
    panel._parameterNode.ctVolume = chest_ct
    with nothing_left_behind():
        panel.ui.predictButton.click()
        job = panel.panel.runner.job
        until(lambda: job._delivering is not None, 300, "the engine's results")
        assert job.running
        panel.ui.cancelButton.click()
        until_idle(panel)
    assert panel.ui.statusLabel.text == "Cancelled; the scene is as before."


def test_contours_of_a_map_that_goes_meanwhile_are_a_sentence(mapped, monkeypatch):
    import slicer

    from DLCTPMSlicerLib.nodes import regions

    plain = regions.LungBox.regions

    def slowly(self):
        for one in plain(self):
            time.sleep(0.02)
            yield one

    monkeypatch.setattr(regions.LungBox, "regions", slowly)
    shown = []
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **_more: shown.append(text))
    mapped.ui.contoursButton.click()
    assert mapped.panel.activity.busy
    slicer.mrmlScene.RemoveNode(mapped._parameterNode.perfusionVolume)
    until(lambda: not mapped.panel.activity.busy, 120, "the contours to end")
    assert shown == ["The map or its lungs were removed while contours were made; nothing was kept."]
    assert not [
        node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if "function" in node.GetName()
    ]


def test_an_export_is_written_between_clicks(mapped, slow_files, tmp_path):
    mapped.ui.exportPathLineEdit.currentPath = str(tmp_path / "report")
    mapped.ui.exportButton.click()
    assert mapped.panel.activity.busy
    until(lambda: not mapped.panel.activity.busy, 120, "the export")
    assert "files written" in mapped.ui.statusLabel.text
    assert (tmp_path / "report" / "perfusion.nrrd").is_file()
    click(mapped, mapped.ui.contoursButton)
