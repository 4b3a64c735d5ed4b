"""The PDF report: what is filed, page by page, as another program reads it."""

import json
import re

import pytest
from pypdf import PdfReader
from small_chest import write_inputs

from DLCTPMLib import RESEARCH_USE_ONLY
from DLCTPMLib.cli.main import BAD_INPUT, DONE, main
from DLCTPMLib.results import settings


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def predicted(files, tmp_path_factory):
    """The folder of a prediction with a PDF, a SPECT and an operation that is thought of."""
    folder = tmp_path_factory.mktemp("result") / "out"
    command = ["predict", files["ct"], "--lungs", files["lungs"], "--model", files["model"], "--device", "cpu"]
    command += ["--spect", files["spect"], "--register", "none", "--fev1", "2.1", "--removed", "left", "--pdf"]
    assert main([*command, "--out", str(folder), "--progress", "none"]) == DONE
    return folder


@pytest.fixture(scope="module")
def pages(predicted):
    return [re.sub(r"\s+", " ", page.extract_text()) for page in PdfReader(predicted / "report.pdf").pages]


def test_every_page_is_a4_and_says_what_it_is_not_for(predicted, pages):
    for page in PdfReader(predicted / "report.pdf").pages:
        assert [round(float(side) / 72 * 25.4) for side in page.mediabox[2:]] == [210, 297]
    assert all(RESEARCH_USE_ONLY in page for page in pages)


def test_the_first_page_is_what_is_filed_and_the_second_the_methods(predicted, pages):
    result = json.loads((predicted / "result.json").read_text(encoding="utf-8"))
    first, second = pages[:2]
    for said in ("Conclusion.", "Lungs", "Six zones", "Check before interpreting", "Predicted postoperative FEV1"):
        assert said in first
    assert result["input"]["sha256"][:16] in first
    left = result["regions"]["left lung"]
    assert f"{left['perfusion_percent']:.1f}" in first
    assert f"{result['ppo_fev1']['ppo_fev1_l']:.2f} l" in first
    assert "Methods" not in first
    for said in ("Methods Relative lung perfusion was estimated", "Definitions", "Versions and hashes", "Settings"):
        assert said in second
    assert result["model"]["sha256"] in second.replace(" ", "")
    assert result["input"]["spect"]["sha256"] in second.replace(" ", "")


def test_the_rest_has_maps_regions_agreement_and_checks(pages):
    rest = " ".join(pages[2:])
    for said in ("Perfusion map", "Regions", "Agreement with the SPECT", "The SPECT's own regions", "Checks and"):
        assert said in rest
    assert "right intermediate third" in rest
    assert rest.count("baseline: geometry only") == 1


def test_a_picture_lies_whole_on_its_page(predicted):
    """ReportLab places pictures by matrices in points: none reaches beyond the page's edge."""
    placed = 0
    for page in PdfReader(predicted / "report.pdf").pages:
        content = page.get_contents().get_data()
        for match in re.finditer(rb"([\d.]+) 0 0 ([\d.]+) ([\d.]+) ([\d.]+) cm\s*/\S+ Do", content):
            width, height = (float(value) for value in match.groups()[:2])
            assert width <= 528
            assert height <= 774
            placed += 1
    assert placed == 9


def test_a_result_without_pdf_takes_the_earlier_pdf_away(files, predicted, tmp_path):
    command = ["predict", files["ct"], "--lungs", files["lungs"], "--model", files["model"], "--device", "cpu"]
    out = tmp_path / "out"
    assert main([*command, "--pdf", "--out", str(out), "--progress", "none"]) == DONE
    assert (out / "report.pdf").is_file()
    assert main([*command, "--out", str(out), "--progress", "none"]) == DONE
    assert not (out / "report.pdf").exists()


def test_an_evaluation_writes_its_report_as_pdf_too(files, predicted, tmp_path, capsys):
    command = ["evaluate", "--prediction", str(predicted / "perfusion.nrrd"), "--spect", files["spect"], "--pdf"]
    command += ["--lungs", files["lungs"], "--ct", files["ct"], "--out", str(tmp_path / "out"), "--progress", "none"]
    assert main(command) == BAD_INPUT
    assert "--pdf: is of the report" in capsys.readouterr().err
    assert main([*command, "--result", str(predicted / "result.json")]) == DONE
    assert "Agreement with the SPECT" in " ".join(
        page.extract_text() for page in PdfReader(tmp_path / "out" / "report.pdf").pages
    )


def test_a_missing_library_is_asked_for_in_one_sentence(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(settings, "find_spec", lambda name: None)
    command = ["predict", files["ct"], "--lungs", files["lungs"], "--model", files["model"], "--pdf"]
    assert main([*command, "--out", str(tmp_path / "out"), "--progress", "none"]) == BAD_INPUT
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "needs ReportLab" in said
    assert "pip install" in said
    assert list(tmp_path.iterdir()) == []
