"""The model card: what a model is, what it was trained on, how good it was, and what it is not for."""

from __future__ import annotations

from DLCTPMLib.common.resources import resource_path
from DLCTPMLib.function.settings import FUNCTIONAL_THRESHOLD
from DLCTPMLib.networks.balance import LungBalance
from DLCTPMLib.networks.scale import LearnedScale
from DLCTPMLib.networks.settings import network_words
from DLCTPMTrainingLib.common.patient_origin import Origin
from DLCTPMTrainingLib.statistics.table import TidyTable


def model_card(metadata: dict, tested: TidyTable | None = None) -> str:
    """The model card in Markdown: of its metadata, and of its test if it had one."""
    members = metadata.get("members", [metadata["network"]])
    trainings = metadata.get("members_training", [metadata["training"]])
    validation = metadata["validation"]
    validated = (
        f"Mean Spearman R of the validation lungs on the network's grid after the last epoch: {validation['r']:.3f}."
        if validation
        else "No patients were kept for validation."
    )
    test = "Not tested on patients of its own yet."
    if tested is not None:
        from DLCTPMTrainingLib.training.evaluation import as_markdown, by_diagnosis

        whom = Origin(**metadata["test"]["origin"]).kind("**simulated**")
        test = (
            f"{metadata['test']['patients']} {whom} whom training never saw; both lungs together, on the SPECT's "
            f"own grid, mean ± SD over patients. The core is each lung eroded by two SPECT voxels.\n\n"
            f"{as_markdown(tested)}\n\n{by_diagnosis(tested)}"
        )
    text = resource_path("Templates/model_card.md").read_text(encoding="utf-8")
    return text.format(  # no Jinja: a machine that trains from samples has PyTorch and NumPy only
        model=metadata,
        title=_networks(members),
        training=_trainings(members, trainings, metadata),
        scale=_scale(metadata.get("scale")),
        balance=_balance(metadata.get("balance")),
        validated=validated,
        test=test,
        volume_ml=metadata["training_ranges"]["lung_volume_ml"],
        mean_hu=metadata["training_ranges"]["lung_mean_hu"],
    )


def _networks(members: list[dict]) -> str:
    """What the map comes from: one network, or the mean of several."""
    each = [network_words(one) for one in members]
    return each[0] if len(each) == 1 else f"mean of {len(each)} networks, each trained by itself (below)"


def _trainings(members: list[dict], trainings: list[dict], metadata: dict) -> str:
    """Whom the network, or each member, learned from, and how."""
    made = f"{metadata['software']}, PyTorch {metadata['pytorch_version']}"
    if len(members) == 1:
        return f"{_training(trainings[0])}, {made}."
    lines = [
        f"- {network_words(network)}: {_training(training)}."
        for network, training in zip(members, trainings, strict=True)
    ]
    return "\n".join([f"Each network by itself, {made}:\n", *lines])


def _training(training: dict) -> str:
    origin = Origin(**training["origin"]).kind("**simulated**")
    diagnoses = ", ".join(f"{name} {count}" for name, count in training["diagnoses"].items())
    fold = ", part {} of {} of the cohort left out".format(*training["fold"]) if training.get("fold") else ""
    return (
        f"{training['patients']} {origin} ({training['lungs']} lungs{fold}): {diagnoses}; {training['epochs_done']} "
        f"epochs, batch size {training['batch_size']}, Adam, learning rate {training['learning_rate']:g}, "
        f"seed {training['seed']}"
    )


def _scale(told: dict | None) -> str:
    """What is known of the maps' own scale."""
    expected = "A map is an expected value, smoother than any SPECT. "
    if told is None:
        return f"{expected}How its values lie beside SPECTs has not been measured for this model."
    scale = LearnedScale.from_dict(told)
    return (
        f"{expected}Its own 75th percentile was {scale.map_p75[0]:.2f} to {scale.map_p75[1]:.2f} in {scale.patients} "
        f"{scale.whose}. There, as much lung lies above {scale.map_value(FUNCTIONAL_THRESHOLD):.3f} of the map as "
        f"above {FUNCTIONAL_THRESHOLD:g} of the 75th percentile in the SPECTs, on the mean; definitions in terms of "
        "that percentile (`p75`) are cut there, `fixed` takes the map as it stands."
    )


def _balance(told: dict | None) -> str:
    """How right and left come to one level."""
    if told is None:
        return "Right and left stay as the network has them."
    balance = LungBalance.from_dict(told)
    return (
        "The ratio of the right lung's mean perfusion to the left's is not the network's: its logarithm is "
        f"{balance.equal:.3f} {balance.per_log_volume:+.2f} × ln(volume right/left) {balance.per_hu:+.4f} × (aerated "
        f"density right − left, HU) {balance.per_log_map:+.2f} × ln(network's mean right/left), fitted on "
        f"{balance.patients} {balance.whose}. Differences beyond theirs (volume {balance.log_volume[0]:.2f} to "
        f"{balance.log_volume[1]:.2f}, density {balance.density_hu[0]:.0f} to {balance.density_hu[1]:.0f} HU) count "
        "as the largest of them."
    )
