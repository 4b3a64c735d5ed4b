"""The methods paragraph of a report, written from what was used: the model's own settings, not the paper's."""

from __future__ import annotations

from collections.abc import Sequence

from DLCTPMLib.common.templates import and_list, figure_text
from DLCTPMLib.networks.bundle import ModelBundle
from DLCTPMLib.networks.settings import network_words
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.results.finished import definition_of

BOTH_OR_EACH = {"patient": "both lungs together", "lung": "each lung by itself"}
"""Where the high intensity reference of Eq. 2 is taken, by ``hir_scope``."""


def methods_paragraph(result: dict, bundle: ModelBundle | None = None) -> str:
    """A paragraph for the methods section of a paper, with the settings that were used.

    Args:
        result: the content of ``result.json``.
        bundle: the model, where it is at hand: it adds the number of parameters and the training cohort.
    """
    settings = result["settings"]
    preprocessing = PreprocessingSettings.from_dict(settings["preprocessing"])
    members = result["model"].get("members") or [{"network": settings.get("network", {})}]
    networks = [member["network"] for member in members]
    definition = definition_of(result)
    follows = "an implementation of the method of Ren et al. (2021)"
    if any(network.get("architecture", "arnn") != "arnn" for network in networks):
        follows = "after the method of Ren et al. (2021), with another network than theirs"
    sentences = [
        f"Relative lung perfusion was estimated from the chest CT with {result['software']['name']} "
        f"{result['software']['version']} (model {result['model']['name']} {result['model']['version']}, SHA-256 "
        f"{result['model']['sha256'][:12]}…), {follows}.",
        f"Lung mask: {result['input']['lungs']['source']}.",
        *mapping_sentences(networks, preprocessing, bundle.parameters if bundle else None),
        *(
            _members_training(members, preprocessing)
            if len(members) > 1
            else [training_sentence(bundle.metadata if bundle else {}, preprocessing)]
        ),
        f"High-functional lung was defined as {definition.name}: {definition.words} (relative perfusion above "
        f"{settings['functional_regions']['threshold']:.4g} in this patient).",
    ]
    if "scale" in result:
        sentences.append(
            f"The map's own 75th percentile was {result['map_p75']:.2f} (in {result['scale']['patients']} "
            f"{result['scale']['whose']} {_range(result['scale']['map_p75'])})."
        )
    if result.get("agreement"):
        sentences.append(_agreement_sentence(result))
    if result["simulated"]:
        sentences.append("All images were simulated (virtual patient).")
    return " ".join(sentences)


def mapping_sentences(
    networks: Sequence[dict], preprocessing: PreprocessingSettings, parameters: int | None = None
) -> list[str]:
    """How a model of these settings gets from a CT to its map.

    Args:
        networks: settings of each member as ``network_dict`` gives them; without ``architecture`` the paper's.
        preprocessing: settings of Eq. 1.
        parameters: how many numbers they have learned; None leaves them out.
    """
    grid = "×".join(map(str, preprocessing.grid_shape))
    low, high = (figure_text(limit, 0) for limit in (preprocessing.hu_low, preprocessing.hu_high))
    edges = {"zero": "with a background of 0", "masked": "which looked at lung only"}[preprocessing.edges]
    if preprocessing.cell_mm:
        sentences = [
            f"Both lungs were brought to one grid of cells of {preprocessing.cell_mm:g} mm by area averaging or, "
            f"where the CT is coarser, by linear interpolation, as density of aerated ({low} to {high} HU) and of "
            f"dense lung (above {high} HU) and each cell's part of lung, on one scale for all patients."
        ]
    else:
        sentences = [_each_lung(preprocessing, grid, low, high, edges)]
    if "density" in preprocessing.inputs:
        sentences.append(
            "A second image held the lung's density (−1\u202f000 to 0 HU as 0 to 1), neither equalised nor filtered."
        )
    images = {1: "this image", 2: "both images"}.get(len(preprocessing.inputs), "these images")
    together = "both lungs together" if preprocessing.cell_mm else "each lung by itself"
    return [
        *sentences,
        f"{_networks(networks, parameters)} turned {images} into relative perfusion, {together}; it was brought back "
        "to the CT grid by trilinear interpolation within the lung.",
    ]


def _range(limits: Sequence[float]) -> str:
    return f"{limits[0]:.2f} to {limits[1]:.2f}"


def _networks(networks: Sequence[dict], parameters: int | None) -> str:
    """What turns images into perfusion: one network, or the mean of several."""
    learned = [] if parameters is None else [f"{figure_text(parameters, 0)} parameters"]
    words = [network_words(network) for network in networks]
    if len(words) > 1:
        kinds = [f"{words.count(kind)} × {kind}" for kind in dict.fromkeys(words)]
        return f"The mean of {len(words)} networks ({'; '.join([*kinds, *learned])})"
    title, *made_of = words[0].split(", ")
    brackets = ", ".join([*made_of, *learned])
    return f"{'An' if title[0] in 'aeiou' else 'A'} {title}" + (f" ({brackets})" if brackets else "")


def member_words(member: dict) -> str:
    """One network of ``model.members`` of ``result.json`` and its training, in half a sentence."""
    parts = [network_words(member["network"])]
    if "patients" in member:
        parts.append(f"trained on {_whom(member)}")
    if "epochs" in member:
        parts.append(f"{member['epochs']} epochs")
    if "fold" in member:
        parts.append("part {} of {} of their cohort left out".format(*member["fold"]))
    return ", ".join(parts)


def _members_training(members: Sequence[dict], preprocessing: PreprocessingSettings) -> list[str]:
    """Every member's training, and what all had as their target."""
    told = "; ".join(f"({number}) {member_words(member)}" for number, member in enumerate(members, start=1))
    return [f"Each network had been trained by itself: {told}.", training_sentence({}, preprocessing)]


def _each_lung(preprocessing: PreprocessingSettings, grid: str, low: str, high: str, edges: str) -> str:
    """How the paper's way prepares a lung."""
    return (
        f"Each lung was cropped to its bounding box and brought to {grid} cells (z×y×x), by area averaging or, where "
        f"the CT is coarser, by linear interpolation; its cumulative HU histogram was equalised between "
        f"{low} and {high} HU (Eq. 1), followed by a median filter of {preprocessing.median_size} and a uniform "
        f"filter of {preprocessing.uniform_size} cells, {edges}."
    )


def training_sentence(metadata: dict, preprocessing: PreprocessingSettings) -> str:
    """Whom the model learned from, and what its target was (Eq. 2).

    Args:
        metadata: the bundle's; without ``training`` only the target is told.
        preprocessing: settings of Eq. 2.
    """
    levels = f"in {preprocessing.levels} levels" if preprocessing.levels else "without rounding to levels"
    top = "" if preprocessing.clip_at == 1 else f" times {preprocessing.clip_at:g}"
    target = (
        f"the SPECT divided by the {preprocessing.hir_percentile:g}th percentile of "
        f"{BOTH_OR_EACH[preprocessing.hir_scope]}{top}, clipped at 1, {levels} (Eq. 2)"
    )
    training = metadata.get("training", {})
    if "patients" not in training:
        return f"The model's target was {target}."
    return (
        f"The model had been trained on {_whom(training, metadata.get('simulated', False))}; its target was {target}."
    )


def _whom(training: dict, simulated: bool = False) -> str:
    """ "42 simulated patients (84 lungs)" and the like; models made before ``origin`` was kept say only whether
    ``simulated``.
    """
    lungs = f" ({training['lungs']} lungs)" if "lungs" in training else ""
    return _cohort(training, simulated) + lungs


def _cohort(training: dict, simulated: bool) -> str:
    patients, origin = training["patients"], training.get("origin")
    if origin is None:
        return f"{patients} {'simulated ' if simulated else ''}patients"
    kinds = {
        "virtual": "simulated patients",
        "real_cts": "real CTs with simulated perfusion",
        "measured": "patients with measured SPECT",
    }
    return and_list([f"{origin[kind]} {words}" for kind, words in kinds.items() if origin.get(kind)])


def _agreement_sentence(result: dict) -> str:
    agreement, registration = result["settings"]["agreement"], result["settings"]["registration"]
    how = {
        "none": "taken in the CT's coordinates",
        "given": "brought to the CT by a transform that was given with it",
    }.get(registration["kind"], f"registered to the CT ({registration['kind']}, Mattes mutual information)")
    return (
        f"The perfusion SPECT was {how} and divided by the {agreement['hir_percentile']:g}th percentile of "
        f"{BOTH_OR_EACH[agreement['hir_scope']]}; agreement was computed on the SPECT's grid in voxels at least half "
        f"of which were lung ({result['agreement']['lungs']['ssim_convention']})."
    )
