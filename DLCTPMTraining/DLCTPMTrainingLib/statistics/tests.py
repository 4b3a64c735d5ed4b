"""The statistics of a study (METHOD.md §5): plain arrays in, plain numbers out.

A cohort's lungs come in pairs, so intervals are bootstrapped over patients, and every test that the paper makes over
lungs is made over patients as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from DLCTPMLib.common.settings import StageSettings

FRACTIONS = (0.5, 0.6, 0.7)
"""Thresholds of the paper's "… % of the test cases have more than"."""
FEWEST_PATIENTS = 8
"""Patients below which no interval is bootstrapped: drawing a handful again and again makes it far too narrow."""
_SAME = 1e-12  # a spread below this is rounding


@dataclass(frozen=True)
class StatisticsSettings(StageSettings):
    """Choices that change a figure of the statistics.

    Attributes:
        resamples: of the patient-cluster bootstrap.
        confidence: of its intervals.
        margin: half-width of the equivalence bounds between left and right lung, in R or SSIM.
        seed: of the bootstrap.
    """

    WHAT = "statistics settings"

    resamples: int = 5000
    confidence: float = 0.95
    margin: float = 0.05
    seed: int = 2026

    def __post_init__(self):
        self.require(
            {
                "resamples must be at least 100": self.resamples >= 100,
                "confidence must lie between 0 and 1": 0 < self.confidence < 1,
                "the equivalence margin must be positive": self.margin > 0,
            }
        )


def summary(values: np.ndarray, patients: np.ndarray, settings: StatisticsSettings) -> dict:
    """What is said of one metric over a cohort.

    Args:
        values: one number a lung or a patient.
        patients: whom each belongs to.
        settings: of the interval.

    Returns:
        ``n``, ``patients``, ``mean``, ``sd`` (n − 1; None for one value), ``interval`` of the mean, ``median``,
        ``minimum``, ``maximum``, ``above`` (percent above each of ``FRACTIONS``). All None without values.
    """
    values, patients = np.asarray(values, float), np.asarray(patients)
    if not len(values):
        names = ("mean", "sd", "interval", "median", "minimum", "maximum", "above")
        return {"n": 0, "patients": 0, **dict.fromkeys(names)}
    return {
        "n": len(values),
        "patients": len(np.unique(patients)),
        "mean": float(values.mean()),
        "sd": float(values.std(ddof=1)) if len(values) > 1 else None,
        "interval": cluster_interval(values, patients, settings),
        "median": float(np.median(values)),
        "minimum": float(values.min()),
        "maximum": float(values.max()),
        "above": {f"{limit:g}": float(100 * (values > limit).mean()) for limit in FRACTIONS},
    }


def cluster_interval(values: np.ndarray, clusters: np.ndarray, settings: StatisticsSettings) -> list[float] | None:
    """Percentile interval of the mean when whole patients are drawn with replacement; None under eight patients."""
    _, group = np.unique(clusters, return_inverse=True)
    number = group.max() + 1
    if number < FEWEST_PATIENTS:
        return None
    sums, counts = np.bincount(group, weights=values), np.bincount(group)
    rng = np.random.default_rng(settings.seed)
    drawn = rng.multinomial(number, np.full(number, 1 / number), size=settings.resamples)
    means = (drawn @ sums) / (drawn @ counts)
    tail = 100 * (1 - settings.confidence) / 2
    return [float(v) for v in np.percentile(means, [tail, 100 - tail])]


@dataclass(frozen=True)
class Fences:
    """Tukey's box: quartiles (linear interpolation), whisker limits at 1.5 interquartile ranges, and what is beyond.

    ``outliers`` are indices into the values. They are listed, never dropped.
    """

    lower_quartile: float
    median: float
    upper_quartile: float
    low: float
    high: float
    outliers: tuple[int, ...]


def fences(values: np.ndarray) -> Fences:
    """The box and the outliers of some values."""
    values = np.asarray(values, float)
    q1, q2, q3 = np.percentile(values, [25, 50, 75])
    low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    beyond = np.flatnonzero((values < low) | (values > high))
    return Fences(float(q1), float(q2), float(q3), float(low), float(high), tuple(int(i) for i in beyond))


def unpaired_test(a: np.ndarray, b: np.ndarray, equal_variances: bool = True) -> dict:
    """Two-tailed unpaired t-test of two groups' means: Student's as in the paper, or Welch's.

    Returns:
        ``difference`` (mean of a − mean of b), ``t``, ``degrees`` of freedom, ``p``; None where there is no spread or
        a group has fewer than two values.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    difference = float(a.mean() - b.mean()) if len(a) and len(b) else None
    if min(len(a), len(b)) < 2 or max(np.ptp(a), np.ptp(b)) < _SAME:
        return {"difference": difference, "t": None, "degrees": None, "p": None}
    result = stats.ttest_ind(a, b, equal_var=equal_variances)
    return {"difference": difference, "t": float(result.statistic), "degrees": float(result.df),
            "p": float(result.pvalue)}  # fmt: skip


def paired_test(a: np.ndarray, b: np.ndarray, margin: float) -> dict:
    """Paired t-test of two sides of the same patients, and whether they are equivalent within ± margin (TOST).

    Args:
        a, b: one value each of the same patients in the same order.
        margin: half-width of the equivalence bounds.

    Returns:
        ``pairs``, ``difference`` (mean of a − b), ``t``, ``degrees``, ``p`` two-tailed; ``margin``, ``p_equivalence``
        (the larger of the two one-sided p), ``interval_90`` of the difference, ``equivalent`` (it lies within the
        margin, which is p < 0.05). None where there are fewer than two pairs or no spread.
    """
    difference = np.asarray(a, float) - np.asarray(b, float)
    n = len(difference)
    result = {"pairs": n, "difference": float(difference.mean()) if n else None, "margin": margin}
    names = ("t", "degrees", "p", "p_equivalence", "interval_90", "equivalent")
    if n < 2 or np.ptp(difference) < _SAME:
        return {**result, **dict.fromkeys(names)}
    error = difference.std(ddof=1) / np.sqrt(n)
    mean, spread = result["difference"], stats.t(n - 1)
    above_low, below_high = spread.sf((mean + margin) / error), spread.cdf((mean - margin) / error)
    reach = spread.ppf(0.95) * error
    p_equivalence = float(max(above_low, below_high))
    return {
        **result,
        "t": float(mean / error),
        "degrees": n - 1,
        "p": float(2 * spread.sf(abs(mean / error))),
        "p_equivalence": p_equivalence,
        "interval_90": [float(mean - reach), float(mean + reach)],
        "equivalent": bool(p_equivalence < 0.05),
    }


def paired_difference(a: np.ndarray, b: np.ndarray, settings: StatisticsSettings) -> dict:
    """How two predictions of the same patients differ.

    Args:
        a, b: one value each of the same patients in the same order.
        settings: of the interval.

    Returns:
        ``pairs``, ``difference`` (mean of a − b), ``interval`` of it (bootstrap over the patients; None for fewer
        than ``FEWEST_PATIENTS``), ``p`` of Wilcoxon's signed-rank test, two-sided (Wilcoxon 1945; None for fewer
        than two patients or without any difference), and ``shift``, the middle that this test speaks of (Hodges and
        Lehmann 1963: the median of the means of all pairs of differences), which a few large differences do not turn
        round.
    """
    difference = np.asarray(a, float) - np.asarray(b, float)
    n = len(difference)
    some = n > 1 and bool(np.abs(difference).max() > _SAME)
    pairs = (difference[:, None] + difference)[np.triu_indices(n)] / 2
    return {
        "pairs": n,
        "difference": float(difference.mean()) if n else None,
        "interval": cluster_interval(difference, np.arange(n), settings) if n > 1 else None,
        "p": float(stats.wilcoxon(difference).pvalue) if some else None,
        "shift": float(np.median(pairs)) if n else None,
    }


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number (Holm 1979), in their order; a None stays and does not count."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        corrected[place] = highest
    return corrected


def bland_altman(measured: np.ndarray, reference: np.ndarray) -> dict:
    """Bias and 95 % limits of agreement of two measurements (Bland and Altman 1986).

    Returns:
        ``n``, ``bias`` (mean of measured − reference), ``sd``, ``limits`` (bias ± 1.96 SD), ``slope`` of the
        difference over the mean of both (compression of the map shows as a slope). None with fewer than two values.
    """
    difference = np.asarray(measured, float) - np.asarray(reference, float)
    middle = (np.asarray(measured, float) + np.asarray(reference, float)) / 2
    if len(difference) < 2:
        return {"n": len(difference), **dict.fromkeys(("bias", "sd", "limits", "slope"))}
    bias, sd = float(difference.mean()), float(difference.std(ddof=1))
    slope = float(np.polyfit(middle, difference, 1)[0]) if np.ptp(middle) > _SAME else None
    return {
        "n": len(difference),
        "bias": bias,
        "sd": sd,
        "limits": [bias - 1.96 * sd, bias + 1.96 * sd],
        "slope": slope,
    }


def patient_means(values: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """One mean a patient, in the order of the sorted ids."""
    _, group = np.unique(patients, return_inverse=True)
    return np.bincount(group, weights=np.asarray(values, float)) / np.bincount(group)
