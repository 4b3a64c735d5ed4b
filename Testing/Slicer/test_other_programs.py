"""Lungs and registrations of other people's modules: what they are asked, what becomes of their answer."""

import numpy as np
import pytest
from panel_steps import click, until_idle


@pytest.fixture
def labels(chest_files, slicer_app):
    """CIP labels 2 and 3 of the small chest, (k, j, i)."""
    import slicer

    node = slicer.util.loadVolume(chest_files["lungs"], {"labelmap": True, "show": False})
    array = slicer.util.arrayFromVolume(node).copy()
    slicer.mrmlScene.RemoveNode(node)
    return array


@pytest.fixture
def cip(monkeypatch, labels):
    """The Chest Imaging Platform's command-line module; its ``work`` may be replaced."""
    import other_programs
    import slicer

    def segment(given):
        node, ct = given["outputLungMaskFileName"], given["ctFileName"]
        slicer.util.updateVolumeFromArray(node, (labels + 512 * (labels > 0)).astype(np.uint16))  # with a type
        node.CopyOrientation(ct)

    module = other_programs.CliModule(other_programs.CIP_PARAMETERS, segment)
    monkeypatch.setattr(slicer.modules, "generatepartiallunglabelmap", module, raising=False)
    return module


@pytest.fixture
def ready(panel, chest_ct):
    """The panel with a CT chosen."""
    panel.ui.ctSelector.setCurrentNode(chest_ct)
    return panel


@pytest.fixture
def with_spect(ready, chest_files):
    """The panel with a SPECT too, under a transform of an earlier registration."""
    import slicer

    spect = slicer.util.loadVolume(chest_files["spect"], {"name": "SPECT", "show": False})
    earlier = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "earlier")
    spect.SetAndObserveTransformNodeID(earlier.GetID())
    ready.ui.spectSelector.setCurrentNode(spect)
    return ready


def choose(panel, key):
    """Choose a lung source as a user does, from the list of those that are there."""
    panel.panel.refreshChoices()
    sources = panel.panel.inputs.sources
    panel.ui.lungSourceComboBox.currentIndex = panel.ui.lungSourceComboBox.findText(sources.named(key).label())
    assert panel._parameterNode.lungSource == key


def choose_program(panel, name):
    panel.panel.refreshChoices()
    combo = panel.ui.registrationEngineComboBox
    assert combo.findText(name) >= 0
    combo.currentIndex = combo.findText(name)


def test_cip_is_asked_by_its_own_parameters_and_its_lungs_are_looked_at_first(ready, cip):
    choose(ready, "cip")
    click(ready, ready.ui.predictButton)
    expected = {"lowerClipValue": -1024, "upperClipValue": 1024, "lungSplitRadius": 1, "feetFirst": False}
    expected |= {"airwayMinThreshold": -1024, "airwayMaxThreshold": -800, "maxAirwayVolume": 30000}
    assert expected.items() <= cip.given.items()
    lungs = ready._parameterNode.lungs
    assert lungs.GetName() == "chest lungs (CIP)"
    assert ready._parameterNode.lungSource == "existing"
    assert ready._parameterNode.perfusionVolume is None  # not before the lungs were seen
    assert ready.ui.statusLabel.text.startswith("Lungs found: 3.0 l. Look at them")
    click(ready, ready.ui.predictButton)
    perfusion = ready._parameterNode.perfusionVolume
    assert "Predict" not in ready.ui.statusLabel.text
    assert perfusion.GetAttribute("DLCTPM.Model") == "untrained"


def test_an_error_of_cip_is_shown_and_nothing_stays(ready, cip):
    from stand_in.probes import nothing_left_behind

    def fail(_given):
        raise RuntimeError("Exception caught: the CT has no lungs")

    cip.work = fail
    choose(ready, "cip")
    with nothing_left_behind():
        click(ready, ready.ui.segmentButton)
        cip.nodes.clear()
    assert ready.ui.statusLabel.text == "Exception caught: the CT has no lungs"


def test_cip_is_cancelled(ready, cip):
    from stand_in.probes import nothing_left_behind, settle

    cip.work = None
    choose(ready, "cip")
    with nothing_left_behind():
        ready.ui.segmentButton.click()
        settle()
        assert ready.panel.activity.busy
        click(ready, ready.ui.cancelButton)
        cip.nodes.clear()
    assert ready.ui.statusLabel.text == "Cancelled; the scene is as before."


def test_labels_without_lung_are_refused(ready, cip):
    import slicer
    from stand_in.probes import nothing_left_behind

    def trachea(given):
        slicer.util.updateVolumeFromArray(given["outputLungMaskFileName"], np.full((4, 4, 4), 58, np.uint16))

    cip.work = trachea
    choose(ready, "cip")
    with nothing_left_behind():
        click(ready, ready.ui.segmentButton)
        cip.nodes.clear()
    assert "holds no lung" in ready.ui.statusLabel.text
    assert ready._parameterNode.lungs is None


def test_an_existing_segmentation_without_lung_is_refused(ready):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "tumour")
    node.GetSegmentation().AddEmptySegment("gtv", "gtv")
    ready.ui.lungSourceComboBox.currentIndex = 1
    ready.ui.lungSelector.setCurrentNode(node)
    click(ready, ready.ui.predictButton)
    assert ready.ui.statusLabel.text.startswith("tumour holds no lung")


def test_totalsegmentator_is_asked_for_five_lobes_by_keyword(ready, labels, monkeypatch):
    import other_programs

    calls = other_programs.total_segmentator(monkeypatch, labels)
    choose(ready, "totalsegmentator")
    click(ready, ready.ui.segmentButton)
    assert calls[0] == "setup"
    assert sorted(calls[1].pop("subset")) == sorted(other_programs.LOBE_IDS.values())
    assert calls[1] == {"task": "total", "cpu": False, "quality": None, "interactive": False}
    lungs = ready._parameterNode.lungs
    assert lungs.GetSegmentation().GetNumberOfSegments() == 5
    assert ready.ui.statusLabel.text.startswith("Lungs found: 3.0 l.")


@pytest.mark.parametrize("source", ["totalsegmentator", "monai"])
def test_what_another_program_raises_becomes_a_sentence(ready, labels, monkeypatch, source):
    import other_programs
    from stand_in.probes import nothing_left_behind

    install = {
        "totalsegmentator": other_programs.total_segmentator,
        "monai": other_programs.monai_auto_3d_seg,
    }[source]
    install(monkeypatch, labels, fails="Python was not found")
    choose(ready, source)
    with nothing_left_behind():
        click(ready, ready.ui.segmentButton)
    assert ready.ui.statusLabel.text.endswith("failed: Python was not found")


def test_monai_runs_in_the_background(ready, labels, monkeypatch):
    import other_programs

    calls = other_programs.monai_auto_3d_seg(monkeypatch, labels)
    choose(ready, "monai")
    click(ready, ready.ui.segmentButton)
    assert calls == [{"model": "lungs-3mm-v2.0.0", "waitForCompletion": False, "cpu": False}]
    assert ready.ui.statusLabel.text.startswith("Lungs found: 3.0 l.")


def test_monai_is_cancelled(ready, labels, monkeypatch):
    import other_programs
    from stand_in.probes import nothing_left_behind

    other_programs.monai_auto_3d_seg(monkeypatch, labels, never_ends=True)
    choose(ready, "monai")
    with nothing_left_behind():
        ready.ui.segmentButton.click()
        assert ready.ui.cancelButton.enabled
        click(ready, ready.ui.cancelButton)
    assert ready.ui.statusLabel.text == "Cancelled; the scene is as before."


def brainsfit(monkeypatch, work):
    import other_programs
    import slicer

    module = other_programs.CliModule(other_programs.BRAINSFIT_PARAMETERS, work)
    monkeypatch.setattr(slicer.modules, "brainsfit", module, raising=False)
    return module


def shift(transform, x):
    import slicer

    matrix = np.eye(4)
    matrix[0, 3] = x
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))


@pytest.mark.parametrize("kind", ["Rigid", "Affine"])
def test_brainsfit_is_asked_by_its_own_parameters(with_spect, monkeypatch, kind):
    import slicer

    module = brainsfit(monkeypatch, lambda given: shift(given["linearTransform"], 5))
    choose_program(with_spect, "BRAINSFit")
    with_spect.ui.registrationComboBox.currentIndex = with_spect.ui.registrationComboBox.findText(kind)
    start = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "start")
    with_spect.ui.initialTransformSelector.setCurrentNode(start)
    click(with_spect, with_spect.ui.registerButton)
    given = module.given
    assert (given["fixedVolume"].GetName(), given["movingVolume"].GetName()) == ("chest", "SPECT")
    assert (given["useRigid"], given["useAffine"]) == (True, kind == "Affine")
    assert 0.02 <= given["samplingPercentage"] <= 0.05
    assert (given["initializeTransformMode"], given["initialTransform"]) == ("Off", start)
    spect = with_spect._parameterNode.spectVolume
    assert spect.GetParentTransformNode() is given["linearTransform"]
    assert with_spect.ui.statusLabel.text == "SPECT registered; look at it over the CT."
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert all(node.GetForegroundVolumeID() == spect.GetID() for node in composites)


@pytest.mark.parametrize("ending", ["fails", "cancelled"])
def test_the_spect_stays_where_it_was_if_brainsfit_does_not_finish(with_spect, monkeypatch, ending):
    from stand_in.probes import nothing_left_behind, settle

    def fail(_given):
        raise RuntimeError("Samples map outside moving image buffer")

    module = brainsfit(monkeypatch, fail if ending == "fails" else None)
    choose_program(with_spect, "BRAINSFit")
    with nothing_left_behind():
        with_spect.ui.registerButton.click()
        if ending == "cancelled":
            settle()
            with_spect.ui.cancelButton.click()
        until_idle(with_spect)
        module.nodes.clear()
    assert with_spect._parameterNode.spectVolume.GetParentTransformNode().GetName() == "earlier"
    said = {"fails": "BRAINSFit failed: Samples map outside moving image buffer", "cancelled": "Cancelled;"}[ending]
    assert with_spect.ui.statusLabel.text.startswith(said)


@pytest.mark.parametrize(("kind", "transform"), [("Rigid", "EulerTransform"), ("Affine", "AffineTransform")])
def test_elastix_gets_settings_for_spect_and_ct(with_spect, monkeypatch, kind, transform):
    import other_programs

    calls = other_programs.elastix(monkeypatch, lambda logic, node: shift(node, 4))
    choose_program(with_spect, "SlicerElastix")
    with_spect.ui.registrationComboBox.currentIndex = with_spect.ui.registrationComboBox.findText(kind)
    click(with_spect, with_spect.ui.registerButton)
    assert (calls[0]["fixed"], calls[0]["moving"], calls[0]["moved before"]) == ("chest", "SPECT", False)
    assert calls[0]["displacement field"] is False
    settings = dict(line.strip("()").split(" ", 1) for line in calls[0]["settings"].splitlines())
    assert settings["Transform"] == f'"{transform}"'
    assert settings["Metric"] == '"AdvancedMattesMutualInformation"'
    assert settings["WriteITKCompositeTransform"] == '"true"'  # what SlicerElastix reads the transform from
    assert settings["ITKTransformOutputFileNameExtension"] == '"h5"'
    assert with_spect._parameterNode.spectVolume.GetParentTransformNode().GetName() == "SPECT to CT"


def test_elastix_failing_cancelled_or_not_linear_changes_nothing(with_spect, monkeypatch):
    import other_programs
    import slicer
    from stand_in.probes import nothing_left_behind

    def fail(_logic, _node):
        raise RuntimeError("Command 'elastix' returned non-zero exit status 1.")

    def cancel(logic, _node):
        with_spect.ui.cancelButton.click()
        assert logic.cancelRequested

    def warp(_logic, node):
        node.SetAndObserveTransformFromParent(slicer.vtkOrientedBSplineTransform())

    for work, said in ((fail, "SlicerElastix failed: Command"), (cancel, "Cancelled;"), (warp, "SlicerElastix gave")):
        other_programs.elastix(monkeypatch, work)
        choose_program(with_spect, "SlicerElastix")
        with nothing_left_behind():
            click(with_spect, with_spect.ui.registerButton)
        assert with_spect.ui.statusLabel.text.startswith(said)
        assert with_spect._parameterNode.spectVolume.GetParentTransformNode().GetName() == "earlier"


def test_missing_registration_programs_are_not_offered(panel, monkeypatch):
    import slicer

    combo = panel.ui.registrationEngineComboBox
    assert [combo.itemText(index) for index in range(combo.count)] == ["DL-CTPM engine"]
    monkeypatch.setattr(slicer.modules, "brainsfit", object(), raising=False)
    panel.panel.refreshChoices()
    assert [combo.itemText(index) for index in range(combo.count)] == ["DL-CTPM engine", "BRAINSFit"]


def test_a_scene_that_asks_for_a_missing_program_says_how_to_get_it(ready):
    ready._parameterNode.lungSource = "totalsegmentator"
    assert ready.ui.lungSourceComboBox.currentText == "TotalSegmentator"
    assert not ready.ui.predictButton.enabled
    assert "Extensions Manager" in ready.ui.predictButton.toolTip
