"""The report is one honest, offline page, and its pictures show the patient the right way round."""

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from html_tags import Tags
from markupsafe import escape
from matplotlib import colormaps
from matplotlib import image as matplotlib_image
from pypdf import PdfReader
from small_chest import chest_ct, lung_labels, on_grid, perfusion_spect, points_mm

from DLCTPMLib import RESEARCH_USE_ONLY
from DLCTPMLib.agreement.comparison import on_spect_grid
from DLCTPMLib.agreement.regions import regional_agreement
from DLCTPMLib.agreement.scores import agreement_of, dice_curves
from DLCTPMLib.function.curve import CURVE_THRESHOLDS, volume_curve
from DLCTPMLib.function.regions import FunctionalLung, region_table
from DLCTPMLib.function.resection import Resection
from DLCTPMLib.function.zones import zone_scores
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.results.figures import (
    AXIAL,
    CORONAL,
    PLANES,
    SAGITTAL,
    SCALE_BAR_MM,
    ChestPictures,
    joint_histogram,
    spect_strip,
)
from DLCTPMLib.results.report import CITATION, ReportImages, write_report
from DLCTPMLib.results.result_json import header, json_ready, notes_for, write_json
from DLCTPMLib.volumes.reading import describe


@pytest.fixture(scope="module")
def perfusion():
    """1 in the right lung, 0.1 in the left: the two sides cannot be mistaken."""
    labels = sitk.GetArrayFromImage(lung_labels())
    return on_grid(np.select([labels == 2, labels == 3], [1.0, 0.1], 0).astype(np.float32))


@pytest.fixture(scope="module")
def comparison(perfusion):
    return on_spect_grid(perfusion, perfusion_spect(), lung_labels(), ct=chest_ct())


@pytest.fixture(scope="module")
def result(perfusion, comparison):
    """``result.json`` as a prediction would write it, made of the same parts."""
    ct = chest_ct()
    preprocessing = PreprocessingSettings()
    return json_ready(
        {
            **header(simulated=True),
            "notes": notes_for(75, 1),
            "model": {"name": "m", "version": "1", "sha256": "ab" * 32, "intended_use": "tests <only>"},
            "settings": {
                "preprocessing": preprocessing.to_dict(),
                "functional_regions": {"threshold": 0.66},
                "agreement": comparison.described(),
                "registration": {"kind": "rigid"},
            },
            "device": "cpu float32",
            "input": {
                **describe(ct, "scans/<b>ct</b>.nrrd", "NRRD"),
                "lungs": {"source": "the test"},
                "spect": describe(perfusion_spect(), "spect.nrrd", "NRRD"),
            },
            "registration": {"kind": "rigid", "metric_before": 0.25, "metric_after": 0.5, "improved": True},
            "regions": (regions := region_table(perfusion, lung_labels())),
            "zones": zone_scores(regions),
            "ppo_fev1": Resection(2.1, 3.0, "left").of(regions),
            "regional_agreement": regional_agreement(regions, dict.fromkeys(regions, 20.0)),
            "agreement": agreement_of(comparison),
            "function_curve": {
                "thresholds": list(CURVE_THRESHOLDS),
                "high_ml": volume_curve(perfusion, UprightLungs.of(lung_labels())),
                **dice_curves(comparison, CURVE_THRESHOLDS),
            },
            "quality": [
                {"check": "intravenous contrast", "status": "WARN", "value": 1, "message": "contrast was seen"}
            ],
            "warnings": ["a warning & more"],
            "timings_s": {"network": 1.25},
        }
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory, result, perfusion, comparison):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(
        path,
        result,
        ReportImages(chest_ct(), lung_labels(), FunctionalLung.of(perfusion, lung_labels()), comparison),
        load_bundle(),
    )
    return path.read_text(encoding="utf-8")


def pixels(png: bytes) -> np.ndarray:
    """RGB of a PNG, 0…255."""
    return np.round(matplotlib_image.imread(io.BytesIO(png))[..., :3] * 255).astype(int)


def panels(picture: np.ndarray, rows: int = 3) -> np.ndarray:
    """Where each panel of a strip lies, found by its white borders: list of (top, bottom, left, right) by row."""
    ink = (picture < 250).any(axis=-1)

    def runs(line, shortest):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
        return [(a, b) for a, b in edges.reshape(-1, 2) if b - a > shortest]

    height, width = ink.shape
    columns = runs(ink.mean(axis=0) > 0.5, width // 20)
    tall = runs(ink[:, columns[0][0] : columns[0][1]].mean(axis=1) > 0.95, height // 12)[:rows]
    return [[(top, bottom, left, right) for left, right in columns] for top, bottom in tall]


def part(picture, place):
    top, bottom, left, right = place
    return picture[top:bottom, left:right]


def is_colour(picture, rgba, tolerance=6):
    return np.abs(picture - np.round(np.array(rgba[:3]) * 255)).max(axis=-1) <= tolerance


def test_the_page_fetches_nothing(page):
    assert set(re.findall(r'(?:src|href)="(\w+):', page)) == {"data"}
    assert "<script" not in page
    assert "<link" not in page
    assert "@import" not in page
    assert "url(" not in page
    assert "http" not in re.sub(r'src="data:[^"]*"', "", page)


def test_every_picture_is_a_whole_png(page):
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(sources) == 9  # three planes, function, volume by threshold, SPECT in two planes, two plots of both
    for source in sources:
        assert pixels(base64.b64decode(source)).shape[1] > 500


def test_the_page_says_what_must_be_said(page):
    for sentence in (
        RESEARCH_USE_ONLY,
        "Simulated: every image",
        "not blood flow in absolute units",
        "compressed towards shares of volume",
        "a warning &amp; more",
        "contrast was seen",
        "tests &lt;only&gt;",
        "ab" * 32,
        CITATION,
        "doi:10.1016/j.ijrobp.2021.02.032",
        "baseline: geometry only",
        "High-functional lung: map above 0.66",
        "cpu float32",
        "dlctpm-demo-unet, version",
        "mutual information 0.250 at the start, 0.500 at the end",
        "With that of each lung by itself instead",
        "neither guideline knows this method, and nothing here is advice",
        "Mostly: a contrast-enhanced scan",
    ):
        assert sentence in page
    assert "<b>ct</b>" not in page


def hostile(value, harm):
    """The same content with ``harm`` behind every text that a file could bring, but for words of our own choosing."""
    if isinstance(value, dict):
        ours = ("status", "hir_scope", "kind", "edges", "inputs", "architecture", "sha256")
        return {key: item if key in ours else hostile(item, harm) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item, harm) for item in value]
    return value + harm if isinstance(value, str) else value


HARM = ["<script>alert(1)</script>", "\"onload='alert(1)'", "{{ 7 * 7 }}", "\x00\x1b[31m\x85\u202egnorw", "W" * 3000]


@pytest.mark.parametrize("harm", HARM, ids=["script", "attribute", "template", "controls", "long word"])
def test_texts_from_files_are_shown_and_never_run(tmp_path, result, perfusion, harm):
    """File name, series description, warnings, checks, model's texts: what looks like HTML stays text."""
    evil = hostile({**result, "input": {**result["input"], "dicom": {"SeriesDescription": "chest"}}}, harm)
    for compared in ("agreement", "regional_agreement"):
        evil.pop(compared)
    card = replace(load_bundle(), card=f"# Card {harm}")
    write_report(
        tmp_path / "r.html",
        evil,
        ReportImages(chest_ct(), lung_labels(), FunctionalLung.of(perfusion, lung_labels())),
        card,
        pdf=True,
    )
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    shown = escape(re.sub("[\x00\x1b\x85\u202e]", "\ufffd", harm))
    assert f"chest{shown}" in page
    assert f"a warning &amp; more{shown}" in page
    assert f"contrast was seen{shown}" in page
    assert f"# Card {shown}" in page
    assert harm not in page or harm in ("{{ 7 * 7 }}", "W" * 3000)
    assert not re.search("[\x00\x1b\x85\u202e]", page)
    assert not Tags(page).runs_something()
    document = PdfReader(tmp_path / "report.pdf")
    assert not {"/OpenAction", "/AA", "/Names"} & set(document.trailer["/Root"])
    assert not any("/Annots" in page for page in document.pages)
    words = "".join(page.extract_text() for page in document.pages)
    assert words.replace("\n", "").count(re.sub("[\x00\x1b\x85\u202e]", "\ufffd", harm[:8])) > 10


def test_lists_of_things_have_commas_and_sizes_have_crosses(tmp_path, result, perfusion):
    dicom = {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "contrast_agent_stated": False}
    seen = {**result, "input": {**result["input"], "dicom": dicom}}
    write_report(
        tmp_path / "r.html",
        seen,
        ReportImages(chest_ct(), lung_labels(), FunctionalLung.of(perfusion, lung_labels())),
    )
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<td>image type</td><td>ORIGINAL, PRIMARY, AXIAL</td>" in page
    assert "<td>contrast agent stated in the header</td><td>no</td>" in page
    assert "<td>grid shape</td><td>128 × 64 × 64</td>" in page
    assert "<td>HU low</td><td>−1000</td>" in page
    assert f"<td>size</td><td>{' × '.join(map(str, chest_ct().GetSize()))}</td>" in page


def test_the_right_lungs_share_is_no_conclusion(page, result):
    """Lungs equalised one by one cannot be compared: the share stands in the table, with what it is worth."""
    said = re.search(r'<p class="conclusion">(.*?)</p>', page, re.DOTALL).group(1)
    share = result["regions"]["right lung"]["perfusion_percent"]
    assert f"{share:.0f} %" not in said
    assert "this model cannot tell whether one lung is better perfused than the other" in said
    assert "not a measurement of blood flow" in said
    assert "cannot tell that one is better perfused than the other" in page


def test_the_first_page_says_what_was_examined(page):
    table = re.search(r"<tbody>(.*?)</tbody>", page, re.DOTALL).group(1)
    rows = dict(re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td></tr>", table))
    assert list(rows) == ["Examined", "Compared with", "Lungs", "Reported", "Model", "Calibration"]
    ellipsoids = 2 * 4 / 3 * np.pi * 0.48 * 0.70 * 1.05  # litres
    found, volume = re.fullmatch(r"(both lungs), (\S+) l; mask: the test", rows["Lungs"]).groups()
    assert found
    assert float(volume) == pytest.approx(ellipsoids, rel=0.01)
    assert "never measured" in rows["Calibration"]


def test_one_agreement_table_is_open_and_the_others_are_folded(page):
    folded = re.search(r"<details><summary[^>]*>The same in each lung.*?</details>", page, re.DOTALL).group(0)
    assert folded.count("<caption>") == 5
    assert page.count("SPECT voxels)</caption>") == 6


def test_real_patients_are_not_called_simulated(tmp_path, result, perfusion):
    compared = ("agreement", "regional_agreement")
    plain = {key: value for key, value in result.items() if key not in compared} | {"simulated": False}
    write_report(
        tmp_path / "r.html",
        plain,
        ReportImages(chest_ct(), lung_labels(), FunctionalLung.of(perfusion, lung_labels())),
    )
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "imulated" not in text.split("</style>")[1]
    assert "Agreement with the SPECT" not in text


def test_the_region_table_holds_every_region_with_its_figures(page, result):
    for name, row in result["regions"].items():
        cells = re.search(rf"<td>{name}</td>(.*?)</tr>", page, re.DOTALL).group(1)
        values = re.findall(r"<td>([^<]*)</td>", cells)
        assert values[0].replace("\u202f", "") == f"{row['volume_ml']:.0f}"
        assert values[2] == f"{row['mean']:.3f}"
        assert values[3] == f"{row['perfusion_percent']:.1f}"


def test_a_table_holds_volume_and_dsc_by_the_threshold(page, perfusion):
    table = re.search(r"<caption>High-functional volume.*?</table>", page, re.DOTALL)[0]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
    assert [row[0] for row in rows] == [f"0.{tenth}" for tenth in range(1, 10)]
    values, labels = sitk.GetArrayFromImage(perfusion), sitk.GetArrayFromImage(lung_labels())
    for row in rows:
        assert len(row) == 6
        for text, lung in zip(row[1:4], (labels > 0, labels == 2, labels == 3), strict=True):
            ml = float(text.replace("\u202f", ""))
            assert ml == pytest.approx(np.sum(values[lung] > np.float32(row[0])) * 0.15, abs=0.51)


def test_a_figure_without_a_value_is_a_dash_and_keeps_its_reason(tmp_path):
    ready = json_ready({"a": float("nan"), "b": [np.float32("inf")], "c": {"d": np.float64(2)}, "e": np.int16(3)})
    assert ready == {"a": None, "b": [None], "c": {"d": 2.0}, "e": 3, "undefined": {"a": ready["undefined"]["a"]}}
    assert "not a number" in ready["undefined"]["a"]
    write_json(tmp_path / "r.json", ready)
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8")) == ready


@pytest.mark.parametrize("plane", [AXIAL, CORONAL])
def test_the_patients_right_is_on_the_left_of_the_picture(perfusion, plane):
    picture = pixels(ChestPictures(chest_ct(), lung_labels(), perfusion).strip(plane))
    inferno = colormaps["inferno"]
    for place in panels(picture)[2]:
        shown = part(picture, place)
        middle = shown.shape[1] // 2
        bright, dark = is_colour(shown, inferno(1.0)), is_colour(shown, inferno(0.1))
        assert bright[:, :middle].sum() > 100
        assert dark[:, middle:].sum() > 100
        assert bright[:, middle:].sum() == dark[:, :middle].sum() == 0


@pytest.mark.parametrize(
    ("plane", "coordinate", "in_rows", "increasing"),
    [(AXIAL, 1, True, True), (CORONAL, 2, True, False), (SAGITTAL, 2, True, False), (SAGITTAL, 1, False, True)],
)
def test_front_and_head_are_at_the_top_and_front_is_left_in_sagittal_slices(plane, coordinate, in_rows, increasing):
    """A map that grows along y (to the back) or z (to the head) grows along the picture as it should."""
    values = points_mm()[coordinate]
    inside = sitk.GetArrayFromImage(lung_labels()) > 0
    ramp = (values - values[inside].min()) / np.ptp(values[inside])
    image = on_grid(np.where(inside, ramp, 0).astype(np.float32))
    picture = pixels(ChestPictures(chest_ct(), lung_labels(), image).strip(plane))
    shown = part(picture, panels(picture)[2][2])
    brightness = shown.sum(axis=-1).astype(float)
    lung = ~is_colour(shown, (0.13, 0.14, 0.16)) & (np.ptp(shown, axis=-1) > 20)
    rows, columns = np.nonzero(lung)
    slope = np.corrcoef(rows if in_rows else columns, brightness[lung])[0, 1]
    assert slope > 0.8 if increasing else slope < -0.8


def test_the_map_is_laid_over_the_lungs_only(perfusion):
    """Outside the lungs, and a voxel's width away from them, the overlay is the CT itself."""
    picture = pixels(ChestPictures(chest_ct(), lung_labels(), perfusion).strip(CORONAL))
    for ct, over, alone in list(zip(*panels(picture), strict=True))[:-1]:  # the last CT has the scale bar
        shown = [part(picture, place) for place in (ct, over, alone)]
        height = min(len(one) for one in shown)
        plain, overlay, lung_map = (one[:height] for one in shown)
        lung = np.ptp(lung_map, axis=-1) > 15
        for _ in range(4):  # pixels
            lung |= np.roll(lung, 1, 0) | np.roll(lung, -1, 0) | np.roll(lung, 1, 1) | np.roll(lung, -1, 1)
        assert (np.ptp(overlay, axis=-1) > 15).sum() > 500
        assert (np.abs(overlay - plain).max(axis=-1)[~lung] > 30).mean() < 0.02  # the letters, drawn anew
        assert (np.ptp(plain, axis=-1) < 5).all()


def test_pixels_have_the_proportions_they_have_in_the_patient(perfusion):
    """Each lung is an ellipsoid of 48 × 70 × 105 mm: its widest coronal outline is 96 mm by 210 mm."""
    picture = pixels(ChestPictures(chest_ct(), lung_labels(), perfusion).strip(CORONAL))
    outlines = [is_colour(part(picture, place), colormaps["inferno"](1.0)) for place in panels(picture)[2]]
    rows, columns = np.nonzero(max(outlines, key=np.sum))
    assert np.ptp(rows) / np.ptp(columns) == pytest.approx(210 / 96, rel=0.08)


def test_the_scale_bar_is_as_long_as_it_says(perfusion):
    """White pixels of the bar in the last CT, against the lungs' known height of 210 mm in the same picture."""
    picture = pixels(ChestPictures(chest_ct(), lung_labels(), perfusion).strip(CORONAL))
    rows = panels(picture)
    corner = part(picture, rows[0][-1])[-40:]
    longest = max(
        (len(run) for line in (corner > 250).all(axis=-1) for run in "".join(".#"[int(w)] for w in line).split(".")),
    )
    outlines = [is_colour(part(picture, place), colormaps["inferno"](1.0)) for place in rows[2]]
    tall = np.ptp(np.nonzero(max(outlines, key=np.sum))[0])
    assert longest == pytest.approx(tall * SCALE_BAR_MM / 210, rel=0.1, abs=3)


@pytest.mark.parametrize("order", [(2, 0, 1)])
def test_the_order_of_the_files_axes_changes_no_pixel(perfusion, order):
    def turned(image):
        return sitk.Flip(sitk.PermuteAxes(image, list(order)), [True, False, True])

    images = (chest_ct(), lung_labels(), perfusion)
    for plane in PLANES:
        assert ChestPictures(*map(turned, images)).strip(plane) == ChestPictures(*images).strip(plane)


def test_a_tilted_scan_is_shown_upright(perfusion):
    def tilted(image, interpolator):
        turn = sitk.Euler3DTransform((0, 0, 1040), 0, 0, np.radians(12))
        matrix = np.array(turn.GetMatrix()).reshape(3, 3)
        corner = np.array(image.GetOrigin()) - (0, 0, 1040)
        grid = sitk.Image(image.GetSize(), image.GetPixelID())
        grid.SetSpacing(image.GetSpacing())
        grid.SetDirection(matrix.ravel())
        grid.SetOrigin(matrix @ corner + (0, 0, 1040))
        return sitk.Resample(image, grid, sitk.Transform(), interpolator, -1000.0 if interpolator == 2 else 0.0)

    ct, labels = tilted(chest_ct(), sitk.sitkLinear), tilted(lung_labels(), sitk.sitkNearestNeighbor)
    picture = pixels(ChestPictures(ct, labels, tilted(perfusion, sitk.sitkNearestNeighbor)).strip(AXIAL))
    shown = part(picture, panels(picture)[2][2])
    rows, columns = np.nonzero(is_colour(shown, colormaps["inferno"](1.0)))
    assert abs(np.polyfit(rows, columns, 1)[0]) < 0.1  # the right lung's long axis stands upright


def test_spect_pictures_are_drawn_on_the_spects_grid(comparison):
    for plane in (CORONAL, AXIAL):
        assert len(panels(pixels(spect_strip(comparison, plane)))[0]) == 6
    assert pixels(joint_histogram(comparison)).shape[2] == 3
