"""``function.seg.nrrd`` holds each lung's classes as segments that codes tell apart, and says how they were made."""

import numpy as np
import pytest
import SimpleITK as sitk
from small_chest import lung_labels, on_grid

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.function.curve import CURVE_THRESHOLDS, volume_curve
from DLCTPMLib.function.definitions import HIGH, LOW, MIDDLE, parse_definition
from DLCTPMLib.function.regions import FunctionalLung, region_table
from DLCTPMLib.function.segments import write_function_segments
from DLCTPMLib.labels.seg_nrrd import segments_of
from DLCTPMLib.labels.segments import cip_labels
from DLCTPMLib.lungs.upright import UprightLungs

labels = sitk.GetArrayFromImage(lung_labels())
values = (np.random.default_rng(2).random(labels.shape) * (labels > 0)).astype(np.float32)


@pytest.fixture(scope="module")
def perfusion():
    return on_grid(values)


def written(tmp_path, perfusion, text):
    function = FunctionalLung.of(perfusion, lung_labels(), parse_definition(text))
    write_function_segments(tmp_path / "f.seg.nrrd", function, {"DLCTPM_Model": "m 1"})
    image = sitk.ReadImage(str(tmp_path / "f.seg.nrrd"))
    return image, segments_of(image, "f.seg.nrrd")


def test_four_segments_are_told_apart_by_codes_and_names(tmp_path, perfusion):
    image, read = written(tmp_path, perfusion, "percentile:70")
    limit = np.float32(np.percentile(values[labels > 0], 70))
    for segment in read.segments:
        high, side = segment.terminology.type.value, segment.terminology.region_modifier.value
        assert segment.terminology.region.value == "39607008"
        assert segment.terminology.type.scheme == "99DLCTPM"
        lung = labels == {"24028007": 2, "7771000": 3}[side]
        expected = lung & ((values > limit) if high == "high-functional-lung" else (values <= limit))
        assert np.array_equal(read.mask(segment), expected)
        assert segment.name.endswith("-functional lung (percentile:70)")
    assert len({(s.terminology, s.colour_rgb) for s in read.segments}) == 4
    assert image.GetMetaData("DLCTPM_Definition").startswith("percentile:70")
    assert image.GetMetaData("DLCTPM_Model") == "m 1"


def test_functional_lung_is_no_mask_of_lungs(tmp_path, perfusion):
    _, read = written(tmp_path, perfusion, "p75:0.66")
    with pytest.raises(InputError, match="no segment is recognised as lung"):
        cip_labels(read, "f.seg.nrrd")


def test_tertiles_have_a_middle_third(tmp_path, perfusion):
    _, read = written(tmp_path, perfusion, "tertiles")
    assert len(read.segments) == 6
    table = region_table(perfusion, lung_labels(), parse_definition("tertiles"))
    for row in table.values():
        assert row["high_ml"] + row["low_ml"] + row["middle_ml"] == pytest.approx(row["volume_ml"])
    thirds = [table["lungs"][f"{name}_ml"] for name in ("low", "middle", "high")]
    assert max(thirds) - min(thirds) < 1e-3 * sum(thirds)


def test_volumes_follow_the_segments_where_islands_are_removed(perfusion):
    function = FunctionalLung.of(perfusion, lung_labels(), parse_definition("p75:0.6,specks:0.5"))
    plain = FunctionalLung.of(perfusion, lung_labels(), parse_definition("p75:0.6"))
    assert not np.array_equal(function.classes, plain.classes)
    voxel_ml = function.lungs.axes.voxel_ml
    for kind, name in ((HIGH, "high_ml"), (LOW, "low_ml")):
        assert function.table()["lungs"][name] == pytest.approx(np.count_nonzero(function.classes == kind) * voxel_ml)
    assert not (function.classes == MIDDLE).any()


def test_the_curve_is_the_volume_above_every_threshold(perfusion):
    lungs = UprightLungs.of(lung_labels())
    curve = volume_curve(perfusion, lungs)
    for name, lung in (("lungs", labels > 0), ("right lung", labels == 2), ("left lung", labels == 3)):
        expected = [np.count_nonzero(values[lung] > np.float32(t)) * lungs.axes.voxel_ml for t in CURVE_THRESHOLDS]
        assert curve[name] == pytest.approx(expected)
    assert curve["lungs"][CURVE_THRESHOLDS.index(0.66)] == pytest.approx(
        region_table(perfusion, lung_labels())["lungs"]["high_ml"]
    )
