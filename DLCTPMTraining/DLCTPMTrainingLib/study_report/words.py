"""What a study comes to in sentences: verdicts with their figures, the methods paragraph, why it is reduced."""

from __future__ import annotations

from DLCTPMLib.agreement.comparison import MODEL
from DLCTPMLib.agreement.scores import BASELINE_NAMES
from DLCTPMLib.common.templates import MISSING
from DLCTPMLib.networks.settings import ARCHITECTURES, ArnnSettings, network_dict
from DLCTPMLib.preprocessing.settings import PreprocessingSettings
from DLCTPMLib.results.methods import mapping_sentences, training_sentence
from DLCTPMTrainingLib.common.patient_origin import Origin
from DLCTPMTrainingLib.statistics.numbers import LUNG
from DLCTPMTrainingLib.statistics.table import CORE, WHOLE
from DLCTPMTrainingLib.study.results import StudyResults
from DLCTPMTrainingLib.study_report.paired import paired_words
from DLCTPMTrainingLib.study_report.side_by_side import side_by_side_words
from DLCTPMTrainingLib.study_report.variants import variants_words

FULL_EPOCHS = 100
"""A study whose final fit has fewer epochs, or a smaller network or grid than the paper's, is called reduced."""


def verdicts(numbers: dict, origin: Origin) -> list[str]:
    """What the numbers come to, in sentences that name their figures."""
    model = numbers["test"][LUNG][MODEL]
    whole, core = model[WHOLE], model[CORE]
    sentences = [
        f"On {numbers['patients']['test']} test patients the map reaches R {_of(whole['r_spearman'])}, "
        f"SSIM {_of(whole['ssim'])}, DSC {_of(whole['dsc_high'])} for high- and {_of(whole['dsc_low'])} for "
        f"low-functional lung ({whole['ssim']['n']} lungs)."
    ]
    for part, words in ((WHOLE, "In the whole lung"), (CORE, "In the core, where edge blur no longer helps,")):
        sentences += _against_baselines(numbers, part, words)
    sentences.append(f"R in the core is {_of(core['r_spearman'])}.")
    sentences.append(_on_acute_embolism(numbers))
    sentences += side_by_side_words(numbers["side_by_side"])
    sentences += paired_words(numbers)
    sentences += variants_words(numbers)
    if origin.simulated:
        some = f"Perfusion of {origin.simulated} of {origin.count} patients"
        whose = some if origin.measured else "All perfusion here"
        sentences.append(f"{whose} is simulated: no figure may be set against a clinical one as if it were.")
    return sentences


def _against_baselines(numbers: dict, part: str, words: str) -> list[str]:
    """Model against the best baseline: the one of the highest R in validation."""
    gains = {
        name: figures["r_spearman"]
        for name, figures in numbers["advantage"][part].items()
        if figures["r_spearman"]["interval"]
    }
    validation = numbers["validation"][LUNG]
    strength = {name: validation[name][part]["r_spearman"]["mean"] for name in gains if name in validation}
    known = {name: mean for name, mean in strength.items() if mean is not None}
    sentences = []
    for name in [max(known, key=known.get)] if known else []:
        low, high = gains[name]["interval"]
        reading = "above" if low > 0 else ("below" if high < 0 else "not shown to differ from")
        baseline = BASELINE_NAMES.get(name, name).replace("baseline: ", "")
        sentences.append(
            f"{words} the map's R is {reading} that of the best baseline ({baseline}): difference "
            f"{_signed(gains[name]['mean'])} (95 % interval {_signed(low)} to {_signed(high)})."
        )
    return sentences


def _on_acute_embolism(numbers: dict) -> str:
    for part, words in (("test", "test set"), ("validation", "validation folds; none is in the test set")):
        found = numbers["acute_embolism"][part][LUNG]
        if found:
            r, others = found[MODEL][WHOLE]["r_spearman"], numbers[part][LUNG][MODEL][WHOLE]["r_spearman"]
            core = found[MODEL][CORE]["r_spearman"]
            patients = f"{r['patients']} patient{'s' * (r['patients'] > 1)}"
            return (
                f"Acute embolism ({patients}, {words}): R {_of(r)}, in the core {_of(core)}, against {_of(others)} "
                "over everybody there. Such defects leave no trace in the CT: where they are the map fails, as any "
                "CT method must, whatever R says over the whole lung, and it never excludes an embolism."
            )
    return (
        "No patient has acute embolism, where any CT method must fail, since such defects leave no trace in the CT; "
        "this study does not show that failure."
    )


def reduced(results: StudyResults) -> str:
    """Why this is no study at the paper's size; "" if it is one."""
    chosen, reasons = results.chosen, []
    if chosen.network.channels != ArnnSettings().channels:
        reasons.append(f"channels {'-'.join(map(str, chosen.network.channels))} instead of 16-32-64-128")
    if chosen.preprocessing.grid_shape != PreprocessingSettings().grid_shape:
        reasons.append(f"a grid of {'×'.join(map(str, chosen.preprocessing.grid_shape))} instead of 128×64×64")
    if chosen.training.epochs < FULL_EPOCHS:
        reasons.append(f"{chosen.training.epochs} epochs instead of {FULL_EPOCHS} or more")
    if len(results.rows) < 73:
        reasons.append(f"{len(results.rows)} patients instead of 73")
    return f"Smaller than the paper's: {'; '.join(reasons)}." if reasons else ""


def methods(results: StudyResults) -> str:
    """A paragraph for the methods section of a paper, with the settings that were used."""
    plan, chosen, split = results.plan, results.chosen, results.split
    epochs = {name: len(history) for name, history in results.histories.items()}
    registration = {"none": "taken in the CT's coordinates"}.get(
        plan.register, f"registered to the CT ({plan.register}, Mattes mutual information)"
    )
    search = (
        f"{len(results.trials)} settings were compared on {plan.search.folds} fold(s), {plan.search_epochs()} epochs "
        f"each, and the one with the highest mean validation R was kept ({chosen.label})."
        if results.trials
        else f"No settings were searched ({chosen.label})."
    )
    sentences = [
        f"{len(results.rows)} {results.origin.kind()} were divided by patient into "
        f"{len(split.training)} for training, in {len(split.folds)} folds, and {len(split.test)} for testing "
        f"(seed {plan.split.seed}).",
        f"The SPECT was {registration}.",
        *mapping_sentences([network_dict(chosen.network)], chosen.preprocessing),
        training_sentence({}, chosen.preprocessing),
        search,
        f"The network was trained for {min(epochs.values())} to {max(epochs.values())} epochs (Adam, batch size "
        f"{chosen.training.batch_size}, seed {chosen.training.seed}) on each set of folds and then on the whole "
        "training set, and evaluated on the test set once.",
        f"Agreement was computed on the SPECT's own grid. Intervals: percentile bootstrap over patients, "
        f"{plan.statistics.resamples} resamples; equivalence margin ± {plan.statistics.margin:g}.",
    ]
    if results.alternatives:
        names = " and ".join(ARCHITECTURES[name].title for name in results.alternatives)
        sentences.append(
            f"{names} had the same split, folds, epochs, learning rate and widths; nothing was searched for them. "
            "Each looked at the test set once, and the choice between them is made on the validation folds alone. "
            "Networks were compared by the means of each patient's lungs: bootstrap interval of the mean difference, "
            "Wilcoxon's signed-rank test with Holm's correction over the comparisons of a metric."
        )
    if results.without is not None:
        sentences.append(
            f"As in the paper, a second network was trained without {plan.without} and tested on the "
            "test patients without it; nothing was chosen by it."
        )
    return " ".join(sentences)


def _of(found: dict) -> str:
    if found["mean"] is None:
        return MISSING
    return f"{found['mean']:.3f}" + ("" if found["sd"] is None else f" ± {found['sd']:.3f}")


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
