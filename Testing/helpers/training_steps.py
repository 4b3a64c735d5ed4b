"""What the tests of the module "CT Perfusion Training" share: a small training, and what is read back of it."""

import json
from pathlib import Path

from slicer_process import REPOSITORY

TRAINING_MODULE = REPOSITORY / "DLCTPMTraining" / "DLCTPMTraining.py"

EPOCHS = 12
QUICK = {"epochs": EPOCHS, "channels": "4-8-16-32", "grid": "32x16x16", "plateau": False, "validationShare": 0.25}
"""Of a training of seconds; the widgets are set to the same in ``set_up``."""

MAKE_COHORT = """
import sys
from pathlib import Path
import numpy as np
import SimpleITK as sitk
from small_chest import chest_ct, lung_labels, perfusion_spect
folder = Path(sys.argv[1])
sitk.WriteImage(lung_labels(), str(folder / "lungs.nrrd"), True)
for number in range(1, 5):
    rng = np.random.default_rng(number)
    for name, image, spread in (("ct", chest_ct(), 10), ("spect", perfusion_spect(), 40)):
        voxels = sitk.GetArrayFromImage(image)
        changed = sitk.GetImageFromArray((voxels + rng.normal(0, spread, voxels.shape)).clip(
            voxels.min(), None).astype(voxels.dtype))
        changed.CopyInformation(image)
        sitk.WriteImage(changed, str(folder / f"{name}{number}.nrrd"), True)
"""
HEADER = "patient_id,ct,spect,lungs,diagnosis,sex,age,simulated"
GOOD = [f"P{n},ct{n}.nrrd,spect{n}.nrrd,lungs.nrrd,fever,{'FM'[n % 2]},50,yes" for n in range(1, 5)]
BAD = [GOOD[0], "P2,ct2.nrrd,nowhere.nrrd,lungs.nrrd,fever,M,50,yes", GOOD[2].replace("50", "old"), GOOD[0]]

EPOCH = {"loss": 0.6, "excess": 0.2, "validation_excess": 0.3, "validation_r": 0.5, "validation_ssim": 0.6}
"""Figures of an epoch, as the engine tells them."""


def set_up(panel, cohort: Path, out: Path):
    """Choose the small training in the panel."""
    ui = panel.ui
    ui.cohortPathLineEdit.currentPath = str(cohort)
    ui.outPathLineEdit.currentPath = str(out)
    ui.modelNameLineEdit.text = "tiny"
    ui.epochsSpinBox.value = EPOCHS
    ui.widthComboBox.currentIndex = 0
    ui.gridComboBox.currentIndex = 2
    ui.plateauCheckBox.checked = False
    ui.validationShareSpinBox.value = 0.25
    ui.deviceComboBox.currentIndex = 1  # the processor


def table_texts(widget) -> list[list[str]]:
    return [[widget.item(r, c).text() for c in range(widget.columnCount)] for r in range(widget.rowCount)]


def history(out: Path) -> list[dict]:
    """A run's epochs."""
    return [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]


def weights(bundle: Path) -> str:
    """Checksum of a model's weights."""
    lines = (bundle / "SHA256SUMS").read_text().splitlines()
    return next(line.split()[0] for line in lines if line.endswith("model.safetensors"))


def chart(part: str):
    """The scene's chart of "loss" or "scores"."""
    import slicer

    charts = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    return next(node for node in charts if node.GetAttribute("DLCTPM.TrainingPart") == part)


def plotted(part: str) -> dict[str, list[float]]:
    """Series name → its values, as a plot view would draw them."""
    import slicer

    found = {}
    for index in range(chart(part).GetNumberOfPlotSeriesNodes()):
        series = chart(part).GetNthPlotSeriesNode(index)
        assert series.GetXColumnName() == "Epoch"
        values = slicer.util.arrayFromTableColumn(series.GetTableNode(), series.GetYColumnName())
        found[series.GetName()] = values.tolist()
    return found
