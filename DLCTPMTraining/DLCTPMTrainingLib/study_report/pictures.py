"""The list of a study's figures with their captions: which are drawn, of whom, and how they are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from DLCTPMLib.networks.bundle import load_bundle
from DLCTPMLib.networks.inference import Predictor, choose_device
from DLCTPMTrainingLib.statistics.numbers import PATIENT, values_of
from DLCTPMTrainingLib.study.contact_sheet import contact_sheet
from DLCTPMTrainingLib.study.evaluation import Mapped, map_patient
from DLCTPMTrainingLib.study.results import LEARNING_CURVE, SENSITIVITY, StudyResults
from DLCTPMTrainingLib.study_report import case_figures as study_case_figures
from DLCTPMTrainingLib.study_report import figures as study_figures
from DLCTPMTrainingLib.study_report import method_figures as study_method_figures
from DLCTPMTrainingLib.study_report.paired import paired_figure
from DLCTPMTrainingLib.study_report.side_by_side import side_by_side_figure
from DLCTPMTrainingLib.study_report.variants import learning_figure, sensitivity_figure


@dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes:
        name: file name without ending.
        caption: below it.
        draw: makes it.
        vector: whether an SVG is written too.
        narrow: whether the report shows it small.
    """

    name: str
    caption: str
    draw: Callable[[], Figure]
    vector: bool = True
    narrow: bool = False


def all_pictures(results: StudyResults, numbers: dict) -> list[Picture]:
    """Every figure that the study has something for."""
    chosen = results.chosen
    shown = _shown_cases(results)
    shape = chosen.preprocessing.grid_shape
    first = results.patients[results.split.training[0]]
    pictures = [
        Picture("fig-1-flow-chart", "Fig. 1: how the patients were divided.",
                lambda: study_method_figures.flow_chart(results), narrow=True),
        Picture("contact-sheet", "Every patient: coronal CT, the SPECT's colours over it, the lung mask's outline. "
                "Look here for masks and registrations that went wrong.",
                lambda: contact_sheet(results.patients), vector=False),
        Picture("fig-2a-preprocessing", f"Fig. 2(a): preprocessing, {first.row.patient_id}.",
                lambda: study_case_figures.preprocessing_strip(first.load(), chosen.preprocessing), vector=False),
        Picture("fig-2b-network", "Fig. 2(b): the network, drawn from the live module. S1 to S4: each half the last. "
                "Dashed: skips.",
                lambda: study_method_figures.network_drawing(chosen.network, shape)),
        Picture("fig-3-colour-views", f"Fig. 3: {_title(shown[0])}; one coronal slice as SPECT and as CT in three "
                "colourings. Blue: low-functional on the SPECT.",
                lambda: study_case_figures.colour_views(_mapped(results, shown[0][1])), vector=False),
        Picture("side-by-side", "Mean over the lungs with 95 % intervals. Filled: the best on the validation folds.",
                lambda: side_by_side_figure(numbers)),
        Picture("paired-differences", "Paired differences between the networks, and of each from the best baseline: "
                "mean over the patients with 95 % intervals. Filled: shown, with Holm's correction.",
                lambda: paired_figure(numbers)),
        Picture("fig-4ab-curves", "Fig. 4(a, b): R and SSIM on the SPECT's grid by epoch. The test curve was "
                "computed afterwards from saved weights and used for nothing.",
                lambda: study_figures.curves(results)),
        Picture("fig-4cd-boxes", "Fig. 4(c, d): box plots over the lungs, outliers beyond 1.5 interquartile "
                "ranges named.",
                lambda: study_figures.boxes(results)),
        Picture("fig-5-cases", "Fig. 5: worst, median and best test patient by R; SPECT and map on one scale, "
                "patient right on the left.",
                lambda: study_case_figures.cases([(_title(c), _mapped(results, c[1])) for c in shown]), vector=False),
        Picture("fig-6-dsc", "Fig. 6: DSC of the test lungs; lines: means of the map and of what needs no learning.",
                lambda: study_figures.dice_histograms(results, numbers)),
        Picture("joint-histogram", "All voxels of the test lungs.",
                lambda: study_figures.joint_histogram(results), vector=False, narrow=True),
        Picture("bland-altman", "Shares of perfusion, map less SPECT, test set.",
                lambda: study_figures.bland_altman(numbers)),
        Picture("calibration", "Mean SPECT where the map says so much; bars: share of the voxels.",
                lambda: study_figures.calibration(numbers), narrow=True),
        Picture("dsc-threshold", "DSC of both lungs by the threshold, test set.",
                lambda: study_figures.dice_by_threshold(numbers), narrow=True),
        Picture("diagnoses", "R by row of Table 1.", lambda: study_figures.by_diagnosis(numbers), narrow=True),
        Picture("loss", "Binary cross-entropy less the entropy of the soft targets, below which it cannot fall.",
                lambda: study_figures.losses(results), narrow=True),
    ]  # fmt: skip
    if numbers[SENSITIVITY]:
        caption = "What one other choice of preprocessing changes, first validation fold; bars: 95 % intervals."
        pictures.append(Picture("sensitivity", caption, lambda: sensitivity_figure(numbers[SENSITIVITY])))
    if numbers[LEARNING_CURVE]:
        caption = (
            "Learning curve, first validation fold; bars: 95 % intervals of the difference from all patients. "
            "Dashed: the best baseline."
        )
        pictures.append(Picture("learning_curve", caption, lambda: learning_figure(numbers[LEARNING_CURVE])))
    return pictures


def _shown_cases(results: StudyResults) -> list[tuple[str, str, float]]:
    """Worst, median and best test patient: words, id, R of both lungs. Fewer patients give fewer cases."""
    found = values_of(results.test.table, "r_spearman", unit=PATIENT)
    order = sorted(zip(found.value.tolist(), found.patient.tolist(), strict=True))
    if not order:
        return [("test patient", results.split.test[0], float("nan"))]
    places = {0: "worst", (len(order) - 1) // 2: "median", len(order) - 1: "best"}
    return [(words, order[place][1], order[place][0]) for place, words in places.items()]


def _title(case: tuple[str, str, float]) -> str:
    words, patient, r = case
    return f"{words}: {patient}, R {r:.2f}"


def _mapped(results: StudyResults, patient: str) -> Mapped:
    predictor = Predictor(load_bundle(results.model).network(), choose_device(results.plan.device))
    return map_patient(results.patients[patient], predictor, results.chosen.preprocessing)
