"""Menus, layout, 3D, sequences, terminology, keys and reload: what those look for who use Slicer every day."""

import sys
import types
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from panel_steps import click, until_idle


@pytest.fixture
def menus(slicer_app, module, monkeypatch):
    """The Data module's menus, as far as a plugin sees them: the plugin, and the item that was clicked."""
    import qt
    import slicer

    class Abstract:
        def __init__(self, scriptedPlugin):
            self.scriptedPlugin = scriptedPlugin

    package = types.ModuleType("SubjectHierarchyPlugins")
    package.AbstractScriptedSubjectHierarchyPlugin = Abstract
    monkeypatch.setitem(sys.modules, "SubjectHierarchyPlugins", package)
    clicked = types.SimpleNamespace(item=0)
    handler = types.SimpleNamespace(instance=lambda: types.SimpleNamespace(currentItem=lambda: clicked.item))
    monkeypatch.setattr(slicer, "qSlicerSubjectHierarchyPluginHandler", handler, raising=False)
    from DLCTPMSlicerLib.menus.DLCTPMSubjectHierarchyPlugin import DLCTPMSubjectHierarchyPlugin

    clicked.owner = qt.QObject()
    clicked.plugin = DLCTPMSubjectHierarchyPlugin(clicked.owner)
    return clicked


def item_of(node, modality=""):
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    if modality:
        hierarchy.SetItemAttribute(item, "DICOM.Modality", modality)
    return item


def offered(menus, item):
    menus.plugin.mapAction.visible = False  # as Slicer's handler does before it asks every plugin
    menus.plugin.showContextMenuActionsForItem(item)
    return menus.plugin.mapAction.visible


def test_a_right_click_offers_to_map_what_may_be_a_ct(menus, chest_ct):
    import slicer

    assert menus.plugin.itemContextMenuActions() == [menus.plugin.mapAction]
    assert menus.plugin.canOwnSubjectHierarchyItem(1) == 0.0
    made = slicer.util.addVolumeFromArray(np.zeros((2, 2, 2)), name="map")
    made.SetAttribute("DLCTPM.Made", "perfusion")
    labels = slicer.util.addVolumeFromArray(np.zeros((2, 2, 2), np.uint8), nodeClassName="vtkMRMLLabelMapVolumeNode")
    assert offered(menus, item_of(chest_ct))
    assert offered(menus, item_of(chest_ct, "CT"))
    assert not offered(menus, item_of(chest_ct, "PT"))
    assert not any(offered(menus, item_of(node)) for node in (made, labels))
    assert not offered(menus, 0)


def test_the_menu_opens_the_module_and_predicts(menus, panel, chest_ct, engine, monkeypatch):
    import slicer

    asked = engine("import sys; sys.exit(1)")
    opened = []
    monkeypatch.setattr(slicer.util, "selectModule", opened.append)
    monkeypatch.setattr(slicer.util, "getModuleWidget", lambda name: panel)
    menus.item = item_of(chest_ct)
    menus.plugin.mapAction.trigger()
    until_idle(panel)
    assert opened == ["DLCTPM"]
    assert panel._parameterNode.ctVolume is chest_ct
    assert asked[0][0] == "predict"


def test_the_menu_is_registered_once_where_slicer_has_menus(slicer_app, module, monkeypatch):
    import slicer

    import DLCTPM

    sources = []
    plugin = types.SimpleNamespace(setPythonSource=sources.append)
    DLCTPM.registerMenus()  # no plugins here: nothing happens
    monkeypatch.setattr(slicer, "qSlicerSubjectHierarchyScriptedPlugin", lambda parent: plugin, raising=False)
    DLCTPM.registerMenus()
    assert [source.rsplit("/", 1)[1] for source in sources] == ["DLCTPMSubjectHierarchyPlugin.py"]
    monkeypatch.setattr(slicer, "DLCTPMSubjectHierarchyPlugin", object(), raising=False)  # as Slicer does
    DLCTPM.registerMenus()
    assert len(sources) == 1


def test_the_layout_is_slicers_xml_with_three_linked_slices_plot_and_table():
    from DLCTPMSlicerLib.views.layouts import PLOT, SLICES, TABLE, layoutXml

    views = list(ElementTree.fromstring(layoutXml()).iter("view"))
    classes = [view.get("class") for view in views]
    assert classes.count("vtkMRMLSliceNode") == 3
    assert {"vtkMRMLViewNode", "vtkMRMLPlotViewNode", "vtkMRMLTableViewNode"} < set(classes)
    tags = [view.get("singletontag") for view in views]
    assert tags[:3] == list(SLICES)
    assert {PLOT, TABLE} < set(tags)
    for view in views[:3]:
        properties = {one.get("name"): one.text for one in view.iter("property")}
        assert properties["orientation"] == "Axial"
        assert len(properties["viewlabel"]) == 1


def test_slicer_takes_the_layout_and_its_slices_show_ct_map_and_spect(mapped, views, chest_files):
    import slicer

    from DLCTPMSlicerLib.views.layouts import LAYOUT_ID, SLICES

    spect = slicer.util.loadVolume(chest_files["spect"], {"name": "SPECT", "show": False})
    mapped.ui.spectSelector.setCurrentNode(spect)
    slicer.mrmlScene.AddNode(slicer.vtkMRMLLayoutNode())  # Slicer's own scene always has it
    composites = []
    for tag in SLICES:
        node = slicer.vtkMRMLSliceCompositeNode()
        node.SetSingletonTag(tag)
        composites.append(slicer.mrmlScene.AddNode(node))
    mapped.ui.comparisonLayoutButton.click()
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    assert layout.IsLayoutDescription(LAYOUT_ID)
    assert views.layout == LAYOUT_ID
    perfusion = mapped._parameterNode.perfusionVolume
    ct = perfusion.GetNodeReference("DLCTPM.ct")
    assert [one.GetBackgroundVolumeID() for one in composites] == [ct.GetID()] * 3
    assert [one.GetForegroundVolumeID() for one in composites] == [None, perfusion.GetID(), spect.GetID()]
    assert all(one.GetLinkedControl() for one in composites)


def test_the_map_in_3d_has_the_colours_of_perfusion(mapped):
    import slicer

    from DLCTPMSlicerLib.nodes.colours import colourNode

    logic = slicer.modules.volumerendering.logic()
    perfusion = mapped._parameterNode.perfusionVolume
    assert logic.GetFirstVolumeRenderingDisplayNode(perfusion) is None
    mapped.ui.mipCheckBox.click()
    display = logic.GetFirstVolumeRenderingDisplayNode(perfusion)
    assert display.GetVisibility()
    shown = display.GetVolumePropertyNode()
    colours, opacity = shown.GetColor(), shown.GetScalarOpacity()
    table = colourNode().GetLookupTable()
    for value in (0.0, 0.5, 1.0):
        expected = table.GetTableValue(round(value * (table.GetNumberOfTableValues() - 1)))[:3]
        np.testing.assert_allclose(colours.GetColor(value), expected, atol=0.02)
    assert opacity.GetValue(0.0) == 0
    assert opacity.GetValue(1.0) > opacity.GetValue(0.5) > 0
    mapped.ui.mipCheckBox.click()
    assert not display.GetVisibility()


def test_the_four_functional_regions_are_told_apart_by_codes(mapped):
    import vtk

    click(mapped, mapped.ui.contoursButton)
    segmentation = mapped._parameterNode.functionSegmentation.GetSegmentation()
    found = {}
    for segment_id in segmentation.GetSegmentIDs():
        segment, entry = segmentation.GetSegment(segment_id), vtk.reference("")
        segment.GetTag(segment.GetTerminologyEntryTagName(), entry)
        _context, category, kind, modifier, _region_context, region, side = str(entry).split("~")
        assert category == "SCT^123037004^Anatomical Structure"
        assert region == "SCT^39607008^Lung"
        assert modifier == "^^"
        found[segment_id] = (kind.split("^")[:2], side.split("^")[1])
    high, low = ["99DLCTPM", "high-functional-lung"], ["99DLCTPM", "low-functional-lung"]
    assert found == {
        "right-high-functional-lung": (high, "24028007"),
        "right-low-functional-lung": (low, "24028007"),
        "left-high-functional-lung": (high, "7771000"),
        "left-low-functional-lung": (low, "7771000"),
    }


@pytest.fixture
def breathing(slicer_app, chest_ct):
    """A 4D CT of two frames: a browser, and the frame that is shown."""
    import slicer

    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D CT")
    sequence.SetIndexName("phase")
    sequence.SetIndexUnit("%")
    second = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, chest_ct, "second")
    slicer.util.arrayFromVolume(second)[:] += 5
    for phase, volume in (("0", chest_ct), ("50", second)):
        sequence.SetDataNodeAtValue(volume, phase)
    slicer.mrmlScene.RemoveNode(second)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    browser.AddSynchronizedSequenceNode(sequence)
    browser.AddProxyNode(chest_ct, sequence, False)
    return browser


def test_every_frame_of_a_4d_ct_gets_a_map_that_is_browsed_with_it(panel, chest_ct, breathing, logic):
    import slicer

    from DLCTPMSlicerLib.nodes.result_tables import tableRows
    from DLCTPMSlicerLib.panel.predict import EVERY_FRAME

    ui = panel.ui
    ui.ctSelector.setCurrentNode(chest_ct)
    assert not ui.framesComboBox.isHidden()
    ui.framesComboBox.currentIndex = EVERY_FRAME
    ui.predictButton.click()
    until_idle(panel)
    assert ui.statusLabel.text.startswith("2 frames mapped.")
    (maps,) = [one for one in slicer.util.getNodesByClass("vtkMRMLSequenceNode") if one.GetName() != "4D CT"]
    assert [maps.GetNthIndexValue(index) for index in range(2)] == ["0", "50"]
    shown = breathing.GetProxyNode(maps)
    assert shown.GetAttribute("DLCTPM.Model") == "untrained"
    np.testing.assert_array_equal(
        slicer.util.arrayFromVolume(shown), slicer.util.arrayFromVolume(maps.GetNthDataNode(0))
    )
    alone = logic.predict(chest_ct, model=panel.panel.inputs.model())
    np.testing.assert_array_equal(
        slicer.util.arrayFromVolume(alone.perfusion), slicer.util.arrayFromVolume(maps.GetNthDataNode(0))
    )
    (table,) = [one for one in slicer.util.getNodesByClass("vtkMRMLTableNode") if one.GetName().endswith("frames")]
    names, rows = tableRows(table)
    assert names[:3] == ["phase", "region", "volume_ml"]
    assert [row[0] for row in rows] == ["0"] * 3 + ["50"] * 3
    assert rows[0][names.index("mean")] == alone.result["regions"]["lungs"]["mean"]


def test_cancel_between_frames_leaves_the_scene_as_before(panel, chest_ct, breathing, engine):
    from panel_steps import until
    from stand_in.probes import nothing_left_behind

    engine('import time; print(\'{"stage": "Network", "fraction": 0.4}\', flush=True); time.sleep(60)')
    panel.ui.ctSelector.setCurrentNode(chest_ct)
    panel.ui.framesComboBox.currentIndex = 1
    with nothing_left_behind():
        panel.ui.predictButton.click()
        until(lambda: panel.ui.cancelButton.enabled, 30, "the first frame")
        panel.ui.cancelButton.click()
        until_idle(panel)
    assert panel.ui.statusLabel.text == "Cancelled; the scene is as before."


def test_lungs_of_one_frame_are_not_taken_for_every_frame(panel, chest_ct, breathing):
    panel.ui.ctSelector.setCurrentNode(chest_ct)
    panel.ui.framesComboBox.currentIndex = 1
    panel._parameterNode.lungSource = "existing"
    assert not panel.ui.predictButton.enabled
    assert panel.ui.predictButton.toolTip.startswith("Lungs move")


def test_keys_are_there_while_the_module_is_open(mapped, module):
    shortcuts = mapped.panel.shortcuts
    keys = {one.key.toString(): one for one in shortcuts._installed}
    assert {"Ctrl+Shift+P", "Ctrl+Shift+M", "Ctrl+Shift+Up", "Ctrl+Shift+Down"} == set(keys)
    before = mapped._parameterNode.opacity
    keys["Ctrl+Shift+M"].activated.emit()
    assert mapped._parameterNode.opacity == 0
    keys["Ctrl+Shift+M"].activated.emit()
    assert mapped._parameterNode.opacity == before
    threshold = mapped._parameterNode.threshold
    keys["Ctrl+Shift+Up"].activated.emit()
    assert mapped._parameterNode.threshold == pytest.approx(threshold + 0.01)
    module.widgetRepresentation().exit()
    assert shortcuts._installed == []
    module.widgetRepresentation().enter()
    assert len(shortcuts._installed) == len(keys)


def test_reload_reads_the_helpers_again(panel, module):
    before = sys.modules["DLCTPMSlicerLib.panel.panel"]
    panel.onReload()
    again = module.widgetRepresentation().self()
    assert again is not panel
    assert sys.modules["DLCTPMSlicerLib.panel.panel"] is not before
    assert type(again.panel) is sys.modules["DLCTPMSlicerLib.panel.panel"].Panel
