"""What a folder, a tree of DICOM series or a table holds, and why the rest is left out."""

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_samples import hu_volume, write_ct_series, write_nm

from DLCTPMLib.batch.finding import find_patients
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.volumes.reading import read_ct


def ids(found):
    return [patient.patient_id for patient in found.patients]


def reasons(found):
    return {one.name: one.reason for one in found.left_out}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Two examinations in folders of their own, two flat in one folder, and what a PACS has beside them."""
    root = tmp_path_factory.mktemp("pacs")
    volume = hu_volume((12, 10, 14))
    write_ct_series(root / "anna" / "thin", volume, StudyInstanceUID="1.2.1", number=2)
    write_ct_series(root / "anna" / "thick", volume[:9], StudyInstanceUID="1.2.1", number=1)
    scout = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    write_ct_series(root / "anna" / "scout", volume, StudyInstanceUID="1.2.1", number=3, ImageType=scout)
    write_ct_series(root / "bert" / "few", volume[:3], StudyInstanceUID="1.2.2", number=4)
    write_nm(root / "bert" / "nm.dcm", np.ones((9, 8, 8), np.uint16))
    for name, uid, number in (("a", "1.2.3", 5), ("b", "1.2.4", 6)):
        write_ct_series(root / name, volume + number, StudyInstanceUID=uid, number=number)
        (root / "flat").mkdir(exist_ok=True)
        for file in sorted((root / name).iterdir()):
            file.rename(root / "flat" / f"{name}-{file.name}")
    (root / "flat" / "notes.txt").write_text("no image")
    return root


def test_a_tree_s_examinations_are_one_patient_each(tree):
    found = find_patients(tree)
    assert ids(found) == ["anna_thin", "flat_series-5", "flat_series-6"]
    told = reasons(found)
    assert told["anna/thick, series 1"].startswith("of the same examination series 2 was taken")
    assert told["anna/scout, series 3"].startswith("a localizer")
    assert told["bert/few, series 4"].startswith("only 3 slices")
    assert told["bert, series 7"] == "images of modality NM, no CT"
    assert len(told) == 4


def test_every_series_is_taken_where_that_is_asked_for(tree):
    assert ids(find_patients(tree, every_series=True))[:2] == ["anna_thick_series-1", "anna_thin_series-2"]


def test_of_a_folder_of_several_series_only_the_own_files_are_read(tree, monkeypatch):
    paths = find_patients(tree).patients[2].paths
    looked_at = []
    from DLCTPMLib.volumes.dicom import series

    read_header = series.read_header
    monkeypatch.setattr(series, "read_header", lambda path: looked_at.append(path.name) or read_header(path))
    scan = read_ct(paths.ct, paths.series, files=paths.files)
    assert looked_at
    assert all(name.startswith("b-") for name in looked_at)
    assert np.array_equal(sitk.GetArrayFromImage(scan.image), hu_volume((12, 10, 14)) + 6)


def test_image_files_get_the_label_map_of_their_name(tmp_path):
    for name in (
        "p1.nrrd",
        "p1_lungs.nrrd",
        "sub/ct.nii.gz",
        "sub/a_lungs.nrrd",
        "p2.mha",
        "p2_mask.mha",
        "p2_lobes.mha",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"looked at later")
    (tmp_path / ".hidden.nrrd").write_bytes(b"")
    found = find_patients(tmp_path)
    masks = {patient.patient_id: patient.paths.lungs for patient in found.patients}
    assert masks == {"p1": str(tmp_path / "p1_lungs.nrrd"), "p2": None, "sub_ct": None}
    assert set(reasons(found)) == {"p2_mask.mha", "p2_lobes.mha", "sub/a_lungs.nrrd"}


def test_ids_name_a_folder_everywhere(tmp_path):
    for name in ("a b.nrrd", "a_b.nrrd", "A_B.nrrd", "con.nrrd", "ü.nrrd"):
        (tmp_path / name).write_bytes(b"")
    found = ids(find_patients(tmp_path))
    assert len({name.lower() for name in found}) == 5
    assert not any(set(name) & set(' /\\:*?"<>|') for name in found)
    assert "con" not in found


def test_a_table_s_faults_are_left_out_by_line(tmp_path):
    (tmp_path / "ct.nrrd").write_bytes(b"")
    table = tmp_path / "patients.csv"
    table.write_text("patient_id;ct;orientation\nP1;ct.nrrd;LPS\nP2;gone.nrrd;\nP1;ct.nrrd;\n../x;ct.nrrd;\n")
    found = find_patients(table)
    (patient,) = found.patients
    assert (patient.patient_id, patient.paths.ct, patient.paths.orientation) == (
        "P1",
        str(tmp_path / "ct.nrrd"),
        "LPS",
    )
    assert patient.named_by_id
    told = reasons(found)
    assert list(told) == ["line 3", "line 4", "line 5"]
    assert "does not exist" in told["line 3"]
    assert "already on line 2" in told["line 4"]


@pytest.mark.parametrize("name", ["empty", "ct.nrrd"])
def test_what_holds_no_ct_is_one_sentence(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "ct.nrrd").write_bytes(b"")
    with pytest.raises(InputError, match=name):
        find_patients(tmp_path / name)
