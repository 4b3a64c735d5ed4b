"""The methods paragraph tells what the model at hand does, not what the paper's did."""

import pytest

from DLCTPMLib.networks.bundle import ModelBundle, load_bundle, save_bundle
from DLCTPMLib.networks.context import ContextNetwork
from DLCTPMLib.networks.settings import ContextSettings
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.results.methods import methods_paragraph


def paragraph(bundle: ModelBundle, with_bundle=True, **changes) -> str:
    """The paragraph of a prediction by a model, as ``result.json`` holds what was used."""
    result = {
        "software": {"name": "DL-CTPM", "version": "9"},
        "model": bundle.identity(),
        "simulated": False,
        "input": {"lungs": {"source": "segmented from the CT"}},
        "settings": {
            "preprocessing": bundle.preprocessing.to_dict(),
            "network": bundle.metadata["network"],
            "functional_regions": {"threshold": 0.66},
        },
        **changes,
    }
    return methods_paragraph(result, bundle if with_bundle else None)


@pytest.fixture
def context_bundle(tmp_path) -> ModelBundle:
    """Gets density too, learned from patients of all three kinds, and has settings far from the paper's."""
    network = ContextNetwork(ContextSettings(channels=(4, 4, 6, 6), kernel=3))
    preprocessing = PreprocessingSettings(
        grid_shape=(24, 16, 8),
        hu_low=-950,
        hu_high=-200,
        median_size=7,
        uniform_size=2,
        edges="masked",
        hir_percentile=90,
        hir_scope="lung",
        clip_at=1.5,
        levels=0,
        inputs=("enhanced", "density"),
    )
    metadata = {
        "name": "of the test",
        "version": "3.1",
        "intended_use": "Tests.",
        "simulated": True,
        "preprocessing": preprocessing.to_dict(),
        "training": {"patients": 9, "lungs": 17, "origin": {"virtual": 4, "real_cts": 3, "measured": 2}},
    }
    return load_bundle(save_bundle(tmp_path / "context", network, metadata, "# Card", "Apache-2.0"))


def learned(bundle: ModelBundle) -> str:
    """The number of the network's parameters as PyTorch counts them, with thin spaces between thousands."""
    return f"{sum(p.numel() for p in bundle.network().parameters()):,}".replace(",", "\u202f")


def test_the_default_model_is_called_the_u_net_that_it_is():
    bundle = load_bundle("default")
    text = paragraph(bundle)
    assert f"A plain 3D U-Net (channels 8-16-32-64, kernels of 5 cells, {learned(bundle)} parameters)" in text
    assert "attention" not in text
    assert "with another network than theirs" in text
    assert "64×32×32 cells" in text
    assert "between −1\u202f000 and −300 HU (Eq. 1)" in text
    assert "median filter of 5 and a uniform filter of 3 cells, with a background of 0" in text
    assert "turned this image into" in text
    assert "density" not in text
    assert "trained on 42 simulated patients (84 lungs)" in text
    assert "75th percentile of both lungs together, clipped at 1, in 11 levels (Eq. 2)" in text
    assert f"{bundle.name} {bundle.version}, SHA-256 {bundle.sha256[:12]}…" in text


def test_the_papers_network_is_called_by_its_name():
    bundle = load_bundle("paper")
    text = paragraph(bundle)
    assert f"An attention residual network (channels 8-16-32-64, kernels of 5 cells, {learned(bundle)} par" in text
    assert "an implementation of the method of Ren et al. (2021)." in text
    assert "simulated patients" in text


def test_a_model_with_density_says_so_and_whom_it_learned_from(context_bundle):
    text = paragraph(context_bundle)
    assert "An attention residual network with place and density (channels 4-4-6-6, kernels of 3 cells," in text
    assert f"{learned(context_bundle)} parameters" in text
    assert "A second image held the lung's density" in text
    assert "turned both images into" in text
    assert "24×16×8 cells" in text
    assert "between −950 and −200 HU" in text
    assert "median filter of 7 and a uniform filter of 2 cells, which looked at lung only" in text
    assert "90th percentile of each lung by itself times 1.5, clipped at 1, without rounding to levels" in text
    origin = "4 simulated patients, 3 real CTs with simulated perfusion and 2 patients with measured SPECT (17 lungs)"
    assert f"trained on {origin}" in text


def test_without_the_bundle_nothing_is_guessed(context_bundle):
    text = paragraph(context_bundle, with_bundle=False)
    assert "parameters" not in text
    assert "trained on" not in text
    assert "The model's target was the SPECT divided by the 90th percentile" in text


def test_a_network_without_a_name_is_the_papers():
    """Bundles made before there was a choice."""
    bundle = load_bundle("paper")
    bundle.metadata["network"].pop("architecture")
    assert "An attention residual network (" in paragraph(bundle)
