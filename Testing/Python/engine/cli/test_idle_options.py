"""An option that would do nothing for the given input is refused: whoever gave it would take it for done."""

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_mask_samples import write_seg
from dicom_samples import hu_volume, write_ct_series, write_enhanced_ct, write_nm
from rt_samples import filled, write_rt_dose
from small_chest import SIZE, chest_ct, lung_labels, on_grid, write_inputs

from DLCTPMLib.cli.main import BAD_INPUT, main
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.dose.files import read_dose
from DLCTPMLib.lungs.masks import read_lungs
from DLCTPMLib.volumes.reading import read_ct, read_spect


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("inputs"))


COMPARED = ("evaluate", "--prediction", "{ct}", "--spect", "{spect}", "--lungs", "{lungs}")


@pytest.mark.parametrize(
    ("command", "idle", "said"),
    [
        (("predict", "{ct}"), ("--register", "none"), "--register: goes with --spect"),
        (("predict", "{ct}"), ("--spect-series", "4"), "--spect-series: goes with --spect"),
        (("predict", "{ct}"), ("--hir-scope", "lung"), "--hir-scope: goes with --spect"),
        (("predict", "{ct}"), ("--lungs-values", "cip"), "--lungs-values: goes with --lungs"),
        (("predict", "{ct}"), ("--series", "4"), "leave out --series 4"),
        (("segment", "{ct}"), ("--acquisition", "2"), "leave out --acquisition 2"),
        (("register", "--fixed", "{ct}", "--moving", "{spect}"), ("--spect-series", ":1"), "--spect-series :1"),
        (("register", "--fixed", "{ct}", "--moving", "{spect}"), ("--lungs-values", "mask"), "goes with --lungs"),
        (COMPARED, ("--series", "4"), "--series: goes with --ct"),
        (COMPARED, ("--acquisition", "4"), "--acquisition: goes with --ct"),
        (("dose", "{ct}", "--dose", "{ct}"), ("--series", "4"), "--series: goes with --dicom"),
        (("dose", "{ct}", "--dose", "{ct}"), ("--acquisition", "4"), "--acquisition: goes with --dicom"),
        (("export", "{ct}", "--dicom", "{ct}", "--objects", "map"), ("--holes", "xor"), "--holes: is of contours"),
        (("export", "{ct}", "--dicom", "{ct}", "--objects", "map"), ("--structures", "high"), "--structures: is of"),
        (("train", "--members", "{model}", "{model}"), ("--epochs", "9"), "--epochs: is of a training"),
        (("train", "--members", "{model}", "{model}"), ("--plateau",), "--plateau: is of a training"),
        (("train", "{ct}", "--fold", "1/5"), ("--validation-share", "0.3"), "--fold both say who validates"),
        (("train", "{ct}", "--export", "s.npz"), ("--device", "cpu"), "--device: is of the training"),
        (("train", "{ct}", "--cell-mm", "5"), ("--grid", "32x16x16"), "--grid: is for each lung by itself"),
        (("study", "{ct}"), ("--search-epochs", "9"), "--search-epochs: is of a search"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_what_would_do_nothing_is_refused_before_anything_is_written(files, tmp_path, capsys, command, idle, said):
    command = [part.format(**files) for part in (*command, *idle)]
    assert main([*command, "--out", str(tmp_path / "out.nrrd"), "--progress", "none"]) == BAD_INPUT
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert said in told
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_chosen_in_a_dicom_file_of_one_volume(tmp_path):
    path = write_enhanced_ct(tmp_path / "ct.dcm", hu_volume(), np.arange(12), own=False)
    for more in ({"series": "77"}, {"acquisition": "1"}):
        with pytest.raises(InputError, match=r"not 77|leave out --acquisition 1"):
            read_ct(path, **more)
    nm = write_nm(tmp_path / "nm.dcm", np.ones((16, 9, 11)), step=4.4)
    assert read_spect(nm, "7").image.GetSize() == read_spect(nm, "7:1").image.GetSize() == (11, 9, 16)
    with pytest.raises(InputError, match="is of series 7, not 8"):
        read_spect(nm, "8")
    write_ct_series(tmp_path / "pet", hu_volume() + 1000, sop_class="1.2.840.10008.5.1.4.1.1.128", modality="PT")
    with pytest.raises(InputError, match="leave out :2"):
        read_spect(tmp_path / "pet", "3:2")


def test_values_are_not_explained_where_segments_have_names(tmp_path):
    ct, labels = chest_ct(), sitk.GetArrayFromImage(lung_labels())
    path = write_seg(tmp_path / "seg.dcm", ct, [("left", "left", labels == 3), ("right", "right", labels == 2)])
    with pytest.raises(InputError, match="leave out --lungs-values mask"):
        read_lungs(path, ct, "mask")
    assert np.array_equal(sitk.GetArrayFromImage(read_lungs(path, ct).labels) > 0, labels > 0)


def test_the_orientation_of_a_dicom_dose_is_its_own(tmp_path):
    grid = on_grid(np.ones(SIZE[::-1], np.float32))
    path = write_rt_dose(tmp_path / "rd.dcm", filled(grid, lambda points: np.full(points.shape[:3], 20.0)))
    assert read_dose([path], orientation="LPS").image.GetSize() == SIZE
    with pytest.raises(InputError, match="states that its axes run to LPS, not RAS"):
        read_dose([path], orientation="RAS")
