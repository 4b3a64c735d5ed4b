"""The interactive view shows the patient's images where they lie, offline, and says so where it cannot."""

import hashlib
import html
import json
import re
import runpy
import shutil
import subprocess

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from html_tags import Tags
from small_chest import CENTRES, chest_ct, lung_labels, on_grid, write_inputs

from DLCTPMLib.cli.main import BAD_INPUT, DONE, main
from DLCTPMLib.common.resources import resource_path
from DLCTPMLib.lungs.upright import UprightLungs
from DLCTPMLib.viewer.panes import WINDOW_HU, ViewedImages, viewer_panes

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
NO_WEBGL = ("--disable-gpu", "--disable-3d-apis")
CLICKS = """<script>(async () => {
  const texts = () => [...document.querySelectorAll('#viewer output')].map((one) => one.textContent);
  const said = () => document.getElementById('viewer-said').textContent;
  const later = (ms) => new Promise((done) => setTimeout(done, ms));
  document.getElementById('viewer-start').click();
  while (!said() || said().startsWith('Loading')) await later(50);
  const before = texts(), canvas = document.querySelector('#viewer canvas');
  if (canvas) {
    const place = canvas.getBoundingClientRect();
    const at = { clientX: place.left + place.width / 2 + 20, clientY: place.top + 60, bubbles: true, button: 0 };
    for (const kind of ['mousedown', 'mouseup']) canvas.dispatchEvent(new MouseEvent(kind, at));
    await later(500);
  }
  const told = document.createElement('pre');
  told.id = 'told';
  told.textContent = JSON.stringify([said(), before, texts()]);
  document.body.append(told);
})();</script>"""


@pytest.fixture(scope="module")
def perfusion():
    """1 in the right lung, 0.1 in the left."""
    labels = sitk.GetArrayFromImage(lung_labels())
    return on_grid(np.select([labels == 2, labels == 3], [1.0, 0.1], 0).astype(np.float32))


def opened(pane, folder):
    path = folder / "volume.nii.gz"
    path.write_bytes(pane.nifti)
    image = nibabel.load(path)
    return image.affine, image.get_fdata()


def value_at(affine, values, lps):
    index = np.linalg.inv(affine) @ [-lps[0], -lps[1], lps[2], 1]
    return values[tuple(np.round(index[:3]).astype(int))]


def test_volumes_lie_where_the_images_lie(perfusion, tmp_path):
    """Read by nibabel, in its RAS coordinates; 80 mm of shift of the SPECT are those of its transform."""
    moved = sitk.TranslationTransform(3, (80.0, 0, 0))
    spect = sitk.Image(perfusion)
    spect.SetOrigin(moved.TransformPoint(perfusion.GetOrigin()))
    images = ViewedImages(chest_ct(), perfusion, UprightLungs.of(lung_labels()), perfusion * 0.2, spect, moved)
    panes = viewer_panes(images)
    assert [pane.name for pane in panes] == ["CT", "map", "spread of the networks", "SPECT / HIR"]
    for pane, right, left, step in zip(
        panes, (-810, 1, 0.2, 1), (-810, 0.1, 0.02, 0.1), (60, 0.003, 0.001, 0.003), strict=True
    ):
        image = opened(pane, tmp_path)
        assert np.array_equal(image[0], opened(panes[0], tmp_path)[0])
        assert value_at(*image, CENTRES[2]) == pytest.approx(right, abs=step)
        assert value_at(*image, CENTRES[3]) == pytest.approx(left, abs=step)
    assert (panes[0].low, panes[0].high) == WINDOW_HU


def test_niivue_is_the_file_that_its_script_fetches():
    pinned = runpy.run_path(str(resource_path("Viewer/fetch_niivue.py")))
    content = resource_path("Viewer/niivue.umd.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == pinned["FILE_SHA256"]
    assert f"NiiVue {pinned['VERSION']}" in resource_path("Viewer/LICENSE.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A report without and with the view."""
    folder = tmp_path_factory.mktemp("pages")
    files = write_inputs(folder / "files")
    given = [files["ct"], "--lungs", files["lungs"], "--model", files["model"], "--spect", files["spect"]]
    found = {}
    for name, option in (("plain", []), ("interactive", ["--interactive"])):
        out = folder / name
        command = ["predict", *given, "--register", "none", "--device", "cpu", "--progress", "none", *option]
        assert main([*command, "--out", str(out)]) == DONE
        found[name] = (out / "report.html").read_text(encoding="utf-8")
    return found


def test_a_plain_report_runs_nothing_and_holds_no_view(pages):
    assert not Tags(pages["plain"]).runs_something()
    assert "viewer" not in pages["plain"]


def test_the_view_is_in_the_page_with_its_licence_and_fetches_nothing(pages):
    page = pages["interactive"]
    assert "BSD 2-Clause License" in page
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
    data = json.loads(re.search(r'id="viewer-data">(.*?)</script>', page, re.DOTALL)[1])
    assert [pane["name"] for pane in data] == ["CT", "map", "SPECT / HIR"]


def test_the_view_without_a_report_is_refused(tmp_path, capsys):
    files = write_inputs(tmp_path)
    command = ["evaluate", "--prediction", files["ct"], "--lungs", files["lungs"], "--spect", files["spect"]]
    assert main([*command, "--interactive"]) == BAD_INPUT
    assert "--interactive: is of the report" in capsys.readouterr().err


def in_browser(page, folder, flags):
    """What the view says, and what stands above its panes before and after a click into the first one."""
    (folder / "page.html").write_text(page.replace("</body>", f"{CLICKS}</body>"), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", f"--user-data-dir={folder / 'profile'}", *flags]
    command += ["--virtual-time-budget=30000", "--dump-dom", (folder / "page.html").as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False).stdout
    found = re.search(r'<pre id="told">(.*?)</pre>', shown, re.DOTALL)
    if found is None:
        pytest.skip("the browser here does not get through the page")
    return json.loads(html.unescape(found[1]))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_click_moves_the_cursor_in_every_pane(pages, tmp_path):
    said, before, after = in_browser(pages["interactive"], tmp_path, WEBGL)
    if "WebGL" in said:
        pytest.skip("the browser here has no WebGL 2")
    places = [[text.split(" at ")[1] for text in texts] for texts in (before, after)]
    assert [len(set(all_of_them)) for all_of_them in places] == [1, 1]
    assert len(places[0]) == 3
    assert places[0] != places[1]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_without_webgl_a_sentence_says_so(pages, tmp_path):
    said, before, after = in_browser(pages["interactive"], tmp_path, NO_WEBGL)
    assert "has no WebGL 2" in said
    assert before == after == []
