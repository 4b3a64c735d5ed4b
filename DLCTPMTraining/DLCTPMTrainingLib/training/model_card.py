"""The model card: what a model is, what it was trained on, how good it was, and what it is not for."""

from __future__ import annotations

from DLCTPMLib.networks.settings import ARCHITECTURES
from DLCTPMTrainingLib.common.patient_origin import Origin
from DLCTPMTrainingLib.statistics.table import TidyTable


def model_card(metadata: dict, tested: TidyTable | None = None) -> str:
    """The model card in Markdown: of its metadata, and of its test if it had one."""
    training, preprocessing = metadata["training"], metadata["preprocessing"]
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
    return f"""# {metadata["name"]}, version {metadata["version"]}

**{metadata["intended_use"]}**

Maps *relative* lung perfusion from a chest CT: 1 is the patient's own {preprocessing["hir_percentile"]:g}th
percentile. It is not blood flow in absolute units. Method: Ren et al., *Deep Learning-Based Computed Tomography
Perfusion Mapping (DL-CTPM) for Pulmonary CT-to-Perfusion Translation*; {_title(metadata["network"])},
channels {"-".join(map(str, metadata["network"]["channels"]))}.

## Training
{training["patients"]} {origin} ({training["lungs"]} lungs): {diagnoses}.
{training["epochs_done"]} epochs, batch size {training["batch_size"]}, Adam, learning rate
{training["learning_rate"]:g}, seed {training["seed"]}, {metadata["software"]}, PyTorch {metadata["pytorch_version"]}.
{validated}

## Test
{test}

## Limits
- It sees anatomy and density. Perfusion defects that leave no trace in the CT, such as acute pulmonary embolism,
  cannot be seen by it or by any other method that has only the CT.
- Values are clipped at the {preprocessing["hir_percentile"]:g}th percentile, so shares of total perfusion computed
  from the map are compressed towards shares of volume.
- Trained lungs had {_words(metadata["training_ranges"]["lung_volume_ml"], "ml")} of volume and a mean density of
  {_words(metadata["training_ranges"]["lung_mean_hu"], "HU")}; outside of that it has learned nothing.
"""


def _title(network: dict) -> str:
    return ARCHITECTURES[network["architecture"]].title


def _words(bounds: list[float], unit: str) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g} {unit}"
