"""Patients made on real CTs: the CT stays, the perfusion follows it, one CT is one patient, nobody is named.

The 'real' CT is a virtual patient's, written as any scanner's file would be; what it is made from is the truth.
"""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from real_cts import SPACING_MM, ask, quick

from DLCTPMLib.cli.main import DONE
from DLCTPMLib.common.errors import InputError
from DLCTPMLib.labels.chest_regions import LEFT, RIGHT, is_region
from DLCTPMLib.lungs.segmentation import segment_lungs
from DLCTPMLib.parallel.settings import WorkerSettings
from DLCTPMLib.volumes.patient_axes import patient_array
from DLCTPMLib.volumes.reading import read_ct
from DLCTPMTrainingLib.cohorts.on_real_cts import plan_on_real_cts, simulate_on_real_cts
from DLCTPMTrainingLib.cohorts.table import read_cohort
from DLCTPMTrainingLib.patients.diseases import DISEASES
from DLCTPMTrainingLib.patients.lung_tissue import UnseenStreams
from DLCTPMTrainingLib.patients.real_cts.anatomy import real_chest
from DLCTPMTrainingLib.patients.real_cts.folder import RealCt, find_real_cts
from DLCTPMTrainingLib.patients.real_cts.patient import RealCtPatientSettings, content_sha256
from DLCTPMTrainingLib.patients.real_cts.perfusion import ADDED, AS_SHOWN, arteries_of, measured_lung


def perfused(ct, labels, diagnosis=AS_SHOWN, seed=3):
    """The lung as measured on a CT with a diagnosis added, and flow × density of each voxel (gravity left out)."""
    real = real_chest(ct, labels, SPACING_MM, np.random.default_rng(seed))
    arteries = arteries_of(real, np.random.default_rng(seed))
    state = measured_lung(real, arteries, UnseenStreams(np.random.default_rng(seed), np.random.default_rng(seed)))
    if ADDED[diagnosis]:
        ADDED[diagnosis](state, np.random.default_rng(seed))
    flow = state.flow * state.of_terminal(state.terminal_flow * state.silent_flow)
    return state, flow * state.density * (state.anatomy.lung_mm < 0)


# ---------------------------------------------------------------------------------------------- the cohort


def test_the_ct_of_a_patient_is_the_real_one_voxel_by_voxel(cohort, cts, chest):
    first, second = read_cohort(cohort / "cohort.csv")
    for row, source in ((first, cts / "anna.nrrd"), (second, cts / "bert")):
        kept, real = sitk.ReadImage(str(row.ct)), read_ct(source).image
        np.testing.assert_array_equal(sitk.GetArrayViewFromImage(kept), sitk.GetArrayViewFromImage(real))
        assert kept.GetOrigin() == pytest.approx(real.GetOrigin())
        assert kept.GetSpacing() == pytest.approx(real.GetSpacing())
    labels = sitk.GetArrayFromImage(chest.lungs)
    lobes = np.where(is_region(labels, LEFT | RIGHT), labels & 255, 0)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(first.lungs))), lobes)


def test_table_and_notes_say_what_is_real_and_what_is_simulated(cohort):
    rows = read_cohort(cohort / "cohort.csv")
    assert [row.patient_id for row in rows] == ["SYNTH-CT-0001", "SYNTH-CT-0002"]
    assert all(row.simulated for row in rows)
    assert [row.other["anatomy"] for row in rows] == ["real", "real"]
    assert [row.other["ct_source"] for row in rows] == ["anna.nrrd", "bert"]
    for row, lungs in zip(rows, ("anna_lungs.nrrd", "segmented from the CT"), strict=True):
        note = json.loads((row.ct.parent / "patient.json").read_text())
        assert note["simulated"] is True
        assert "perfusion and SPECT" in note["what_is_simulated"]
        assert note["anatomy"]["real"] is True
        assert note["anatomy"]["lungs"] == lungs
        for image in (row.ct, row.lungs, row.spect, row.perfusion):
            said = sitk.ReadImage(str(image)).GetMetaData("simulated")
            assert "simulated" in said
            assert said.startswith("no" if image in (row.ct, row.lungs) else "yes")


def test_nobody_s_name_and_no_path_travels_into_the_cohort(cohort, cts):
    names = [str(pydicom.dcmread(next((cts / "bert").iterdir()))[tag].value) for tag in ("PatientName", "PatientID")]
    assert b"Soames^Anna" in (cts / "anna.nrrd").read_bytes()
    for file in cohort.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(name.encode() in content for name in (*names, "Roe^Richard", "Soames", str(cts)))


def test_a_second_run_leaves_everything_and_makes_again_what_is_missing(cohort, cts):
    spects = [cohort / f"SYNTH-CT-000{i}" / "spect.nrrd" for i in (1, 2)]
    before = [(path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in spects]
    simulate_on_real_cts(cts, 2, 5, cohort, adjust=quick)
    assert [path.stat().st_mtime_ns for path in spects] == [stamp for stamp, _ in before]
    spects[0].unlink()
    simulate_on_real_cts(cts, 2, 5, cohort, adjust=quick)
    assert hashlib.sha256(spects[0].read_bytes()).hexdigest() == before[0][1]  # the same seed, the same patient
    assert spects[1].stat().st_mtime_ns == before[1][0]


@pytest.mark.parametrize("name", ["a.nrrd", "a.nii.gz", "a.mha", "a.mhd", "a.nhdr"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_changed_ct_is_another_one_also_where_its_voxels_lie_in_a_file_of_their_own(
    chest, tmp_path, name, compressed
):
    one = RealCt(name, tmp_path / name)
    hashes = set()
    for image in (chest.ct, chest.ct + 1):
        sitk.WriteImage(image, str(one.path), compressed)
        hashes.add(RealCtPatientSettings("SYNTH-CT-0001", 1, one, content_sha256(one), AS_SHOWN).sha256)
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("line", "said"), [("LIST", "list of files"), ("a%03d.raw", "list of files"), ("b.raw", "b.raw, which is not")]
)
def test_voxels_in_many_files_or_in_none_are_refused(tmp_path, line, said):
    path = tmp_path / "a.mhd"
    path.write_text(f"ObjectType = Image\nElementDataFile = {line}\n")
    with pytest.raises(InputError, match=said):
        content_sha256(RealCt("a.mhd", path))


def test_a_ct_added_to_a_finished_cohort_s_folder_replaces_nobody(cohort, cts, chest, tmp_path):
    more = tmp_path / "cts"
    shutil.copytree(cts, more)
    sitk.WriteImage(chest.ct, str(more / "aaron.nrrd"))
    before = {path: path.stat().st_mtime_ns for path in cohort.rglob("*")}
    with pytest.raises(InputError, match=r"made from anna.nrrd, not from aaron.nrrd.*use another --out"):
        simulate_on_real_cts(more, 3, 5, cohort, adjust=quick)
    assert {path: path.stat().st_mtime_ns for path in cohort.rglob("*")} == before


def test_progress_rises_once_from_the_first_file_to_the_last_patient(cts, tmp_path):
    told = []
    simulate_on_real_cts(cts, 1, 5, tmp_path / "out", lambda *one: told.append(one), adjust=quick)
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions.count(1) == 1
    assert told[0][0] == "looking at CT 1 of 1"


def test_the_mix_is_of_diagnoses_that_leave_the_ct_alone(tmp_path):
    path = tmp_path / "a.nrrd"
    path.write_bytes(b"a CT")
    plan = plan_on_real_cts([RealCt(f"{i}.nrrd", path) for i in range(73)], 73, 1)
    counts = {name: sum(s.diagnosis == name for s in plan) for name in ADDED}
    assert counts == {"pulmonary hypertension": 25, "acute pulmonary embolism": 12, AS_SHOWN: 36}
    assert {*ADDED} - {AS_SHOWN} <= {*DISEASES}
    assert [s.diagnosis for s in plan] != [s.diagnosis for s in plan_on_real_cts([s.ct for s in plan], 73, 2)]
    with pytest.raises(InputError, match="cannot be simulated on a real CT"):
        replace(plan[0], diagnosis="lung cancer")


# ---------------------------------------------------------------------------------------------- the lung


def on_core(image, real):
    """The values of an image at the core grid's voxels."""
    frame = real.anatomy.grid.image(np.zeros(real.anatomy.grid.shape, np.uint8), real.offset_mm)
    return sitk.GetArrayFromImage(sitk.Resample(image, frame, sitk.Transform(), sitk.sitkNearestNeighbor))


def test_sides_hila_and_estimated_lobes_lie_where_the_patient_was_made_with_them(chest):
    real = real_chest(chest.ct, segment_lungs(chest.ct).labels, SPACING_MM, np.random.default_rng(1))
    assert real.measured["lobes"] == {"right lung": "estimated", "left lung": "estimated"}
    truth = on_core(chest.lungs, real)
    both = np.isin(truth, range(4, 9)) & real.anatomy.lung
    assert np.mean(truth[both] == real.anatomy.lobe[both]) > 0.9
    right, left = (real.anatomy.points[f"{side} hilum"] for side in ("right", "left"))
    assert right[0] < -20 < 20 < left[0]  # LPS: the patient's right is at low x
    middle = np.average(real.anatomy.grid.axis(2), weights=real.anatomy.lung.sum(axis=(1, 2)))
    assert abs(right[2] - middle) < 60
    assert abs(left[2] - middle) < 60


def test_lobes_of_the_label_map_are_taken_as_they_are(chest):
    array = sitk.GetArrayFromImage(chest.lungs)
    height = np.arange(len(array))[:, None, None] > np.argwhere(array > 0)[:, 0].mean()
    flat = np.where(is_region(array, RIGHT), np.where(height, 4, 6), np.where(height, 7, 8))
    flat = sitk.GetImageFromArray(np.where(is_region(array, RIGHT | LEFT), flat, 0).astype(np.uint16))
    flat.CopyInformation(chest.lungs)
    real = real_chest(chest.ct, flat, SPACING_MM, np.random.default_rng(1))
    assert real.measured["lobes"] == {"right lung": "labelled", "left lung": "labelled"}
    seen = on_core(flat, real)
    both = (seen > 0) & real.anatomy.lung
    assert np.mean(seen[both] == real.anatomy.lobe[both]) > 0.98


def test_the_ct_s_orientation_on_file_changes_nothing(chest):
    _, usual = perfused(chest.ct, chest.lungs)
    _, turned = perfused(*(sitk.DICOMOrient(image, "RAI") for image in (chest.ct, chest.lungs)))
    np.testing.assert_allclose(turned, usual, atol=1e-5)


def painted(ct, labels, hu, radius_mm=22.0):
    """The CT with a ball in the middle of the right lung, and the ball."""
    right = is_region(patient_array(labels), RIGHT)
    z, y, x = (np.argwhere(right).mean(axis=0)).astype(int)
    grid = np.indices(right.shape) - np.array([z, y, x + 4])[:, None, None, None]
    ball = (np.sqrt((grid**2).sum(axis=0)) * SPACING_MM < radius_mm) & right
    array = sitk.GetArrayFromImage(ct)
    array[ball] = hu
    image = sitk.GetImageFromArray(array)
    image.CopyInformation(ct)
    mask = sitk.GetImageFromArray(ball.astype(np.uint8))
    mask.CopyInformation(ct)
    return image, mask


@pytest.mark.parametrize("hu", [-985, -30], ids=["emphysema", "consolidation"])
def test_disease_that_the_ct_shows_lowers_the_perfusion_there(chest, hu):
    diseased, ball = painted(chest.ct, chest.lungs, hu)
    healthy, before = perfused(chest.ct, chest.lungs)
    state, after = perfused(diseased, chest.lungs)
    real = real_chest(chest.ct, chest.lungs, SPACING_MM, np.random.default_rng(3))
    there = (on_core(sitk.BinaryErode(ball, [1] * 3), real) > 0) & (before > 0)
    assert there.sum() > 30
    left = after[there].sum() / before[there].sum()
    if hu < -950:  # less than what the density alone would leave
        assert 0 < left < 0.6 * state.density[there].sum() / healthy.density[there].sum()
    else:
        assert 0.05 < left < 0.75
    far = (state.anatomy.side > 0) & (before > 0)
    np.testing.assert_allclose(after[far].sum() / before[far].sum(), 1, atol=0.02)


def test_acute_embolism_leaves_wedges_inside_lobes_and_the_density_as_measured(chest):
    plain, shown = perfused(chest.ct, chest.lungs)
    state, embolised = perfused(chest.ct, chest.lungs, "acute pulmonary embolism")
    np.testing.assert_array_equal(state.density, plain.density)
    inside = shown > 0
    ratio = embolised[inside] / shown[inside]
    assert 0.1 < np.mean(ratio < 0.9) < 0.6
    np.testing.assert_allclose(ratio[ratio > 0.9], 1, rtol=1e-5)
    lobe_of_feeding = state.arteries.lobe[state.territory[inside]]
    np.testing.assert_array_equal(state.anatomy.lobe[inside], lobe_of_feeding)
    blocked = np.flatnonzero(state.silent_flow < 1)
    wedges = np.split(blocked, np.flatnonzero(np.diff(state.silent_flow[blocked]) != 0) + 1)
    assert len(wedges) > 1
    assert all(len(np.unique(state.arteries.lobe[wedge])) == 1 for wedge in wedges)


def test_hypertension_is_in_the_flow_alone(chest):
    plain, _ = perfused(chest.ct, chest.lungs)
    for seed in range(6):  # some with mosaic perfusion
        state, _ = perfused(chest.ct, chest.lungs, "pulmonary hypertension", seed)
        np.testing.assert_array_equal(state.density, plain.density)
        assert state.findings[-1].startswith("pulmonary hypertension in the flow alone")


def test_perfusion_rises_towards_the_back_and_lies_in_the_lungs(cohort):
    for row in read_cohort(cohort / "cohort.csv"):
        perfusion = sitk.ReadImage(str(row.perfusion))
        labels = sitk.Resample(sitk.ReadImage(str(row.lungs)), perfusion, sitk.Transform(), sitk.sitkNearestNeighbor)
        flow, lung = sitk.GetArrayFromImage(perfusion), sitk.GetArrayFromImage(labels) > 0
        assert flow[~lung].sum() < 0.1 * flow.sum()  # the border, resampled
        means = [flow[:, part][lung[:, part]].mean() for part in np.array_split(np.flatnonzero(lung.any((0, 2))), 3)]
        assert means[2] > 1.1 * means[0]  # hypertension follows gravity less


@pytest.mark.long
def test_an_acquired_and_reconstructed_spect_shows_the_perfusion_of_the_real_ct(cts, tmp_path):
    def acquired(settings):
        return replace(quick(settings), spect="osem")

    simulate_on_real_cts(cts, 1, 5, tmp_path / "out", adjust=acquired)
    (row,) = read_cohort(tmp_path / "out" / "cohort.csv")
    spect = sitk.ReadImage(str(row.spect))
    perfusion = sitk.Resample(sitk.ReadImage(str(row.perfusion)), spect)
    perfusion = sitk.GetArrayFromImage(sitk.DiscreteGaussian(perfusion, 30.0))
    assert np.corrcoef(sitk.GetArrayFromImage(spect).ravel(), perfusion.ravel())[0, 1] > 0.8


@pytest.mark.long
def test_real_cts_of_several_kinds_make_a_cohort(real_data, tmp_path):
    folder, out = tmp_path / "cts", tmp_path / "out"
    folder.mkdir()
    for one in real_data.iterdir():
        if one.is_dir() and one.name != "cases":  # which holds files that went wrong
            (folder / one.name).symlink_to(one)
    found = find_real_cts(folder)
    assert len(found) >= 4
    simulate_on_real_cts(folder, len(found), 7, out, at_once=WorkerSettings(jobs=2), adjust=quick)
    for row in read_cohort(out / "cohort.csv"):
        flow = sitk.GetArrayFromImage(sitk.ReadImage(str(row.perfusion)))
        assert flow.max() > 0
        assert row.other["ct_source"] in {ct.name for ct in found}


def test_the_command_makes_the_cohort(cts, tmp_path, capsys):
    assert ask(cts, tmp_path / "out", 1, "--jobs", "1") == DONE
    assert "1 patients with real CTs and simulated perfusion and SPECT" in capsys.readouterr().out
    assert [row.patient_id for row in read_cohort(tmp_path / "out" / "cohort.csv")] == ["SYNTH-CT-0001"]
