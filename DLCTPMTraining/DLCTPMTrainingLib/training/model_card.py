"""The model card: what a model is, what it was trained on, how good it was, and what it is not for."""

from __future__ import annotations

from DLCTPMLib.common.resources import resource_path
from DLCTPMLib.networks.settings import ARCHITECTURES
from DLCTPMTrainingLib.common.patient_origin import Origin
from DLCTPMTrainingLib.statistics.table import TidyTable


def model_card(metadata: dict, tested: TidyTable | None = None) -> str:
    """The model card in Markdown: of its metadata, and of its test if it had one."""
    training = metadata["training"]
    origin = Origin(**training["origin"]).kind("**simulated**")
    validation = metadata["validation"]
    diagnoses = ", ".join(f"{name} {count}" for name, count in training["diagnoses"].items())
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
        title=_networks(metadata.get("members", [metadata["network"]])),
        origin=origin,
        diagnoses=diagnoses,
        validated=validated,
        test=test,
        volume_ml=metadata["training_ranges"]["lung_volume_ml"],
        mean_hu=metadata["training_ranges"]["lung_mean_hu"],
    )


def _networks(members: list[dict]) -> str:
    """What the map comes from: one network, or the mean of several."""
    each = [
        f"{ARCHITECTURES[one['architecture']].title},\nchannels {'-'.join(map(str, one['channels']))}"
        for one in members
    ]
    if len(each) == 1:
        return each[0]
    kinds = "; ".join(f"{each.count(kind)} × {kind}" for kind in dict.fromkeys(each))
    return f"mean of {len(each)} networks\n({kinds}), each trained by itself; the training below is the first one's"
