"""The logic alone, without a panel, on a real CT: its numbers are the command line's on the same files."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "cip_copd_64"


@pytest.fixture
def real_ct(slicer_app):
    """An inspiratory CT of a COPD patient, and its Chest Imaging Platform label map."""
    import slicer

    if not REAL.is_dir():
        pytest.skip(f"the real CT is not here: {REAL}")
    ct = slicer.util.loadVolume(str(REAL / "ct-64.nrrd"), {"name": "COPD"})
    return ct, slicer.util.loadVolume(str(REAL / "lm-64.nrrd"), {"labelmap": True, "name": "CIP labels"})


def command(tmp_path, *arguments):
    from DLCTPMSlicerLib.engine.command import engineCommand, engineEnvironment

    out = tmp_path / arguments[0]
    done = engineCommand([*map(str, arguments), "--out", str(out)])
    subprocess.run(done, env=engineEnvironment(), check=True, stdout=subprocess.DEVNULL)
    return out


def test_the_whole_way_without_a_panel(real_ct, logic, chest_files, tmp_path):
    import slicer

    ct, lungs = real_ct
    prediction = logic.predict(ct, lungs, model=chest_files["model"], threshold=0.5)
    arguments = ["predict", REAL / "ct-64.nrrd", "--lungs", REAL / "lm-64.nrrd", "--model", chest_files["model"]]
    files = command(tmp_path, *arguments, "--threshold", "0.5")
    expected = json.loads((files / "result.json").read_text())
    assert prediction.result["regions"] == expected["regions"]
    written = slicer.util.loadVolume(str(files / "perfusion.nrrd"), {"name": "of the command", "show": False})
    values = slicer.util.arrayFromVolume(prediction.perfusion)
    np.testing.assert_array_equal(values, slicer.util.arrayFromVolume(written))

    # a "SPECT" made of the map itself, on a coarser grid: its agreement is the command line's
    spect = tmp_path / "spect.nrrd"
    coarse(files / "perfusion.nrrd", spect)
    node = slicer.util.loadVolume(str(spect), {"name": "SPECT", "show": False})
    table = logic.evaluate(prediction.perfusion, node, ct, chest_files["model"], 0.5)
    arguments = ["evaluate", "--prediction", files / "perfusion.nrrd", "--spect", spect, "--ct", REAL / "ct-64.nrrd"]
    arguments += ["--lungs", files / "lungs.nrrd", "--model", chest_files["model"], "--threshold", "0.5"]
    agreement = json.loads((command(tmp_path, *arguments) / "result.json").read_text())["agreement"]
    assert json.loads(prediction.perfusion.GetAttribute("DLCTPM.Result"))["agreement"] == agreement
    assert table.GetTable().GetValueByName(0, "r_spearman").ToDouble() == agreement["lungs"]["r_spearman"]

    function = logic.createFunctionalSegmentation(prediction.perfusion, 0.5)
    voxel_ml = np.prod(ct.GetSpacing()) / 1000
    for side in ("right", "left"):
        segment = f"{side}-high-functional-lung"
        high = slicer.util.arrayFromSegmentBinaryLabelmap(function, segment, prediction.perfusion) > 0
        assert high.sum() * voxel_ml == pytest.approx(expected["regions"][f"{side} lung"]["high_ml"])
    names = {path.name for path in logic.exportReport(prediction.perfusion, str(tmp_path / "report"), function)}
    assert names >= {"report.html", "result.json", "perfusion.nrrd", "function.seg.nrrd", "lungs.seg.nrrd"}

    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    again = slicer.util.getNode("COPD perfusion")
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(again), values)
    assert json.loads(again.GetAttribute("DLCTPM.Result"))["agreement"] == agreement
    assert again.GetNodeReference("DLCTPM.difference").GetDisplayNode().GetWindowLevelMax() == 1


def test_lungs_are_found_without_a_mask(real_ct, logic):
    import slicer

    ct, cip = real_ct
    lungs = logic.segmentLungs(ct)
    names = {lungs.GetSegmentation().GetNthSegment(i).GetName() for i in range(2)}
    assert names == {"right lung", "left lung"}
    merged = slicer.util.arrayFromSegmentBinaryLabelmap(lungs, lungs.GetSegmentation().GetNthSegmentID(0), ct) > 0
    merged |= slicer.util.arrayFromSegmentBinaryLabelmap(lungs, lungs.GetSegmentation().GetNthSegmentID(1), ct) > 0
    region = slicer.util.arrayFromVolume(cip) & 255
    reference = (region >= 1) & (region <= 22)
    assert 2 * (merged & reference).sum() / (merged.sum() + reference.sum()) > 0.9


def coarse(source, path):
    """Write an image resampled to voxels of 8 mm."""
    import SimpleITK as sitk

    image = sitk.ReadImage(str(source))
    size = [int(n * s / 8) for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    grid = sitk.Image(size, sitk.sitkFloat32)
    grid.SetSpacing([8.0] * 3)
    grid.SetOrigin(image.GetOrigin())
    grid.SetDirection(image.GetDirection())
    sitk.WriteImage(sitk.Resample(sitk.SmoothingRecursiveGaussian(image, 3.0), grid) * 1000, str(path))
