"""Side by side: the main network, its alternatives, the ensemble of the folds, the baselines and the paper.

The best is chosen by validation alone, before anybody looks at the test set's column.
"""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from DLCTPMLib.agreement.comparison import MODEL
from DLCTPMLib.agreement.scores import BASELINE_NAMES
from DLCTPMLib.common.templates import MISSING
from DLCTPMLib.networks.registry import build_network
from DLCTPMLib.networks.settings import ARCHITECTURES, NetworkSettings
from DLCTPMTrainingLib.ceiling.estimate import CEILING
from DLCTPMTrainingLib.common.drawing import GRAY, GREEN, PURPLE, panels
from DLCTPMTrainingLib.common.patient_origin import Origin
from DLCTPMTrainingLib.statistics.numbers import MEASURES, predictions_of, summary_of, with_acute_embolism
from DLCTPMTrainingLib.statistics.table import WHOLE, TidyTable
from DLCTPMTrainingLib.statistics.tests import StatisticsSettings
from DLCTPMTrainingLib.study.results import StudyResults
from DLCTPMTrainingLib.study_report.paper import PAPER
from DLCTPMTrainingLib.study_report.table import Table, interval_text

NETWORK, ENSEMBLE, BASELINE = "network", "ensemble", "baseline"
COLUMNS = {
    "validation": ("R, validation folds", "r_spearman", WHOLE),
    **{name: MEASURES[name] for name in ("r", "ssim", "dsc_low", "dsc_high", "core")},
    "acute": ("R, acute embolism", "r_spearman", WHOLE),
    "acute_validation": ("R, acute embolism, validation", "r_spearman", WHOLE),
}
"""What is compared: title, metric, part of the lung. Validation by name, else the test set; all per lung."""
_PAPER = {"validation": PAPER["validation"]["r_spearman"], "r": PAPER["test"]["r_spearman"]} | {
    name: PAPER["test"][name] for name in ("ssim", "dsc_low", "dsc_high")
}


def side_by_side(results: StudyResults) -> dict:
    """Every row's numbers.

    Returns:
        ``rows`` by key ("main", names of the alternatives, "ensemble", baselines): ``title``, ``kind``,
        ``parameters`` (None for a baseline) and a ``summary`` for each of ``COLUMNS``; ``best``, the key of the
        network with the highest mean R of the validation lungs; ``folds`` and ``failed``, the alternatives that
        diverged.
    """
    settings = results.plan.statistics
    validation, test = results.all_validation, results.test.table
    main = results.chosen.network
    rows = {"main": _row(main, validation, test, settings)}
    for name, arm in results.alternatives.items():
        rows[name] = _row(arm.choice.network, arm.all_validation, arm.test.table, settings)
    folds = len(results.split.folds)
    rows["ensemble"] = {
        "title": f"mean of the {folds} folds' networks",
        "kind": ENSEMBLE,
        "parameters": folds * parameters_of(main),
        **_figures(TidyTable.of([]), results.ensemble.table, MODEL, settings),
    }
    for name in predictions_of(test)[1:]:
        rows[name] = {
            "title": BASELINE_NAMES.get(name, name),
            "kind": BASELINE,
            "parameters": None,
            **_figures(validation, test, name, settings),
        }
    if results.ceiling:
        rows[CEILING] = {
            "title": "ceiling, an estimate (simulated)",
            "kind": CEILING,
            "parameters": None,
            **_figures(TidyTable.of([]), results.ceiling.table, CEILING, settings),
        }
    networks = {
        name: row["validation"]["mean"]
        for name, row in rows.items()
        if row["kind"] == NETWORK and row["validation"]["mean"] is not None
    }
    return {
        "rows": rows,
        "best": max(networks, key=networks.get) if networks else None,
        "folds": folds,
        "failed": dict(results.failed),
    }


def parameters_of(settings: NetworkSettings) -> int:
    """Weights of a network that training changes."""
    with torch.device("meta"):
        return sum(weights.numel() for weights in build_network(settings).parameters())


def _row(network: NetworkSettings, validation: TidyTable, test: TidyTable, settings: StatisticsSettings) -> dict:
    return {
        "title": ARCHITECTURES[network.ARCHITECTURE].title,
        "kind": NETWORK,
        "parameters": parameters_of(network),
        **_figures(validation, test, MODEL, settings),
    }


def _figures(validation: TidyTable, test: TidyTable, prediction: str, settings: StatisticsSettings) -> dict:
    acute = {"acute": test, "acute_validation": validation}
    figures = {}
    for name, (_, metric, part) in COLUMNS.items():
        table = validation if name == "validation" else test
        if name in acute:
            table = with_acute_embolism(acute[name])
        figures[name] = summary_of(table, metric, settings, prediction=prediction, part=part)
    return figures


def side_by_side_table(numbers: dict, seconds: dict[str, float]) -> Table:
    """The headline table.

    Args:
        numbers: of ``numbers_of``.
        seconds: how long a map takes, by row; "" is the main network's.
    """
    found = numbers["side_by_side"]
    rows, emphasis = [], []
    for place, (name, row) in enumerate(found["rows"].items()):
        if name == found["best"]:
            emphasis.append(place)
        time = seconds.get("" if name == "main" else name)
        cells = [
            f"{row['title']} (best on validation)" if name == found["best"] else row["title"],
            MISSING if row["parameters"] is None else f"{row['parameters']:,}".replace(",", " "),
            MISSING if time is None else f"{time:.1f}",
        ]
        rows.append([*cells, *(_cell(row[column]) for column in COLUMNS)])
    rows += [[f"{name} (diverged)", *[MISSING] * (2 + len(COLUMNS))] for name in found["failed"]]
    rows.append(["paper, 62 lungs of 31 real patients, mean ± SD", MISSING, MISSING]
                + [_PAPER.get(column, MISSING) for column in COLUMNS])  # fmt: skip
    return Table(
        "side-by-side",
        "Side by side: same split, same folds, same budget",
        ["mean of the lungs [95 % interval]", "parameters", "s a map", *(_title(name, found) for name in COLUMNS)],
        rows,
        tuple(emphasis),
        NOTE,
    )


NOTE = (
    "Test set unless it says validation; intervals bootstrapped over patients. The alternatives have the settings "
    "that the search had chosen on the main network. The best is chosen by the mean R of the validation folds "
    "alone. The ensemble cannot be chosen so: each of its networks has seen the validation patients of the "
    "others; it is shown on the test set and chosen by nobody. A map must not win by geometry: see the core, "
    "where edge blur no longer helps, and acute embolism, whose defects leave no trace in the CT, so that every "
    "map must fail there. s a map: from CT and lungs in memory to the map, on this machine. The paper's patients "
    "are others; its figures are for orientation."
)


def as_markdown(table: Table, origin: Origin) -> str:
    """A table for a README."""
    said = f"*{origin.tag}*" if origin.real_people else "*simulated* patients"
    title = f"**{table.title}**" + (f" ({said})" if origin.simulated else "")
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    text = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return f"{title}\n\n{text}\n\n{table.note}\n"


def side_by_side_figure(numbers: dict) -> Figure:
    """Every row's mean with its interval; the networks purple, the best filled."""
    found = numbers["side_by_side"]
    shown = [name for name in COLUMNS if any(row[name]["mean"] is not None for row in found["rows"].values())]
    figure, axes = panels(len(shown), width=1.9, height=1.1 + 0.32 * len(found["rows"]))
    for axis, column in zip(axes, shown, strict=True):
        for place, (name, row) in enumerate(found["rows"].items()):
            value = row[column]
            if value["mean"] is None:
                continue
            colour = {NETWORK: PURPLE, ENSEMBLE: GREEN}.get(row["kind"], GRAY)
            if value["interval"]:
                axis.plot(value["interval"], [place, place], color=colour, linewidth=1)
            fill = colour if name == found["best"] else "white"
            axis.plot([value["mean"]], [place], "o", color=colour, markerfacecolor=fill, markersize=4.5)
        axis.set_title("\n".join(_title(column, found).split(", ")), fontsize=7.5)
        axis.set(ylim=(len(found["rows"]) - 0.5, -0.5))
        names = [row["title"] for row in found["rows"].values()] if axis is axes[0] else [""] * len(found["rows"])
        axis.set_yticks(range(len(found["rows"])), names, fontsize=7)
        axis.tick_params(axis="x", labelsize=6.5)
    return figure


def side_by_side_words(found: dict) -> list[str]:
    """Which network is the best on validation, and what the test set says of it."""
    best, rows = found["best"], found["rows"]
    networks = [name for name, row in rows.items() if row["kind"] == NETWORK]
    if best is None or len(networks) < 2:
        return []
    row = rows[best]
    sentences = [
        f"Of {len(networks)} networks under the same budget the {row['title']} is the best on the validation folds "
        f"(R {_cell(row['validation'])}); on the test set, which had no part in the choice, its R is "
        f"{_cell(row['r'])}, in the core {_cell(row['core'])}."
    ]
    others = [f"{rows[name]['title']} {_cell(rows[name]['r'])}" for name in networks if name != best]
    sentences.append(
        f"The others' R on the test set: {'; '.join(others)}. The mean of the {found['folds']} folds' networks has "
        f"{_cell(rows['ensemble']['r'])}; it cannot be chosen by cross-validation."
    )
    sentences += [f"{name} diverged and has no figures." for name in found["failed"]]
    return sentences


def _title(column: str, found: dict) -> str:
    """A column's title; how many patients had acute embolism belongs into it."""
    title = COLUMNS[column][0]
    if not column.startswith("acute"):
        return title
    count = found["rows"]["main"][column]["patients"]
    return f"{title}, {count} patient{'s' * (count != 1)}"


def _cell(found: dict) -> str:
    return interval_text(found["mean"], found["interval"])
