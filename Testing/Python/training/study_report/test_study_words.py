"""A study's report names the network that was trained, and shows what files bring without running it."""

from types import SimpleNamespace

import pytest
from html_tags import Tags
from markupsafe import escape

from DLCTPMLib.common.templates import render_html
from DLCTPMLib.networks.settings import ContextSettings, UnetSettings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMTrainingLib.common.patient_origin import Origin
from DLCTPMTrainingLib.statistics.tests import StatisticsSettings
from DLCTPMTrainingLib.study_report.words import methods


def words_of(network, preprocessing) -> str:
    """The methods paragraph of a study that chose these settings."""
    chosen = SimpleNamespace(
        network=network,
        preprocessing=preprocessing,
        label="as planned",
        training=SimpleNamespace(batch_size=1, seed=3),
    )
    results = SimpleNamespace(
        plan=SimpleNamespace(register="none", split=SimpleNamespace(seed=7), statistics=StatisticsSettings()),
        chosen=chosen,
        split=SimpleNamespace(training=["a", "b"], folds=[["a"], ["b"]], test=["c"]),
        histories={"fold 1": [{}] * 4, "all": [{}] * 5},
        trials=[],
        rows=["a", "b", "c"],
        origin=Origin(virtual=3),
        alternatives={},
        without=None,
    )
    return methods(results)


def test_a_study_of_the_u_net_does_not_speak_of_attention_or_density():
    text = words_of(UnetSettings(channels=(8, 16, 32, 64)), PreprocessingSettings(grid_shape=(64, 32, 32)))
    assert "A plain 3D U-Net (channels 8-16-32-64, kernels of 5 cells) turned this image" in text
    assert "attention" not in text
    assert "density" not in text
    assert "64×32×32 cells" in text
    assert "75th percentile of both lungs together, clipped at 1, in 11 levels" in text


def test_a_study_of_the_network_with_density_says_so():
    settings = PreprocessingSettings(inputs=("enhanced", "density"), hir_scope="lung", levels=0)
    text = words_of(ContextSettings(), settings)
    assert "An attention residual network with place and density" in text
    assert "A second image held the lung's density" in text
    assert "percentile of each lung by itself, clipped at 1, without rounding to levels" in text


@pytest.mark.parametrize("harm", ["<script>alert(1)</script>", "\" onload='alert(1)'"])
def test_a_patients_id_and_every_other_text_is_shown_and_never_run(harm):
    evil = f"P-1{harm}"
    table = SimpleNamespace(title=evil, columns=[evil], rows=[[evil, f"0.5 [{evil}"]], emphasis=(), note=evil)
    page = render_html(
        "study.html.j2",
        title=evil,
        software=evil,
        research_use_only=evil,
        origin=SimpleNamespace(banner=evil, warning=evil, tag=evil, simulated=1, kind=lambda: evil),
        reduced=evil,
        cards=[{"value": evil, "label": evil}],
        verdicts=[evil],
        sections=[
            {"title": evil, "parts": [{"kind": "table", "table": table},
                                      {"kind": "figure", "caption": evil, "narrow": True, "source": "data:,"}]}
        ],
        warnings=[evil],
        methods=evil,
        citation=evil,
        settings=[(evil, [(evil, evil)])],
    )  # fmt: skip
    assert not Tags(page).runs_something()
    assert harm not in page
    assert f"<td>{escape(evil)}</td>" in page
