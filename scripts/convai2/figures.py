"""The figures of the results page on ConvAI2, for draw_results.py."""

from __future__ import annotations

import statistics
from typing import Any

from convai2.tables import DECODINGS, ROWS, Runs
from matplotlib.figure import Figure

from eureka_nlg.report.figures import training_curves
from eureka_nlg.report.panels import (
    add_legend,
    bar_style,
    color_of,
    dash_of,
    marker_of,
    new_figure,
    set_log_axis,
)
from eureka_nlg.report.theme import themed


@themed
def diversity_against_perplexity(runs: Runs) -> Figure:
    """Diversity of greedy replies over validation perplexity, for each epoch of each loss."""
    title = "Diversity and perplexity, epoch by epoch"
    figure, (axes,) = new_figure(1, False, 1, 3.2, title, width=6.5)
    lines: dict[str, Any] = {}
    for index, name in enumerate(name for name in ROWS if name in runs):
        for run in runs[name]:
            perplexity, diversity = (dict(run["curves"][key]["valid"]) for key in ("ppl", "diversity_4"))
            epochs = sorted(perplexity.keys() & diversity.keys())
            (lines[ROWS[name]],) = axes.plot(
                [perplexity[epoch] for epoch in epochs],
                [diversity[epoch] for epoch in epochs],
                color=color_of(index),
                marker=marker_of(index),
                markersize=3.5,
                linewidth=1,
            )
    set_log_axis(axes, "x", "validation perplexity, log scale")
    axes.set_ylabel("4-gram diversity of greedy replies (%)")
    add_legend(figure, lines, False)
    return figure


@themed
def lead_by_epoch(runs: Runs) -> Figure:
    """How far each loss is ahead of the cross-entropy of its seed, epoch by epoch, on the validation set."""
    measures = {"macro_f": "macro F", "diversity_4": "4-gram diversity"}
    figure, panels = new_figure(len(measures), False, 2, 2.8, "Lead over cross-entropy on validation")
    baselines = {run["seed"]: run["curves"] for run in runs.get("ce_longer", [])}
    lines: dict[str, Any] = {}
    for axes, (key, label) in zip(panels, measures.items(), strict=True):
        for index, name in enumerate(ROWS):
            leads: dict[int, list[float]] = {}
            for run in runs.get(name, []) if name != "ce_longer" else []:
                against = dict(baselines.get(run["seed"], {}).get(key, {}).get("valid", []))
                for epoch, value in run["curves"][key]["valid"]:
                    if epoch in against:
                        leads.setdefault(epoch, []).append(value - against[epoch])
            if not leads:
                continue
            epochs = sorted(leads)
            for epoch in epochs:
                axes.plot(
                    [epoch] * len(leads[epoch]),
                    leads[epoch],
                    marker_of(index),
                    color=color_of(index),
                    markersize=2.5,
                    alpha=0.4,
                )
            (lines[ROWS[name]],) = axes.plot(
                epochs,
                [statistics.fmean(leads[epoch]) for epoch in epochs],
                color=color_of(index),
                linestyle=dash_of(index),
                marker=marker_of(index),
            )
        axes.axhline(0.0, color="0.6", linewidth=0.8)
        axes.set(xlabel="epoch", ylabel=f"{label}, points ahead of CE")
    add_legend(figure, lines, False)
    return figure


@themed
def f_by_band(runs: Runs) -> Figure:
    """How far macro F of each band of training frequency is from that of cross-entropy, on the test set."""
    decodings = [key for key in DECODINGS if any(key in run["scores"] for run in runs.get("ce_longer", []))]
    title = "Macro F by band of training frequency, compared with cross-entropy"
    figure, panels = new_figure(len(decodings), False, 3, 2.8, title)
    others = [name for name in ROWS if name != "ce_longer" and name in runs]
    bands = ("head", "body", "tail")
    bars: dict[str, Any] = {}
    for axes, decoding in zip(panels, decodings, strict=True):
        baselines = {run["seed"]: run["scores"].get(decoding) for run in runs["ce_longer"]}
        for place, name in enumerate(others):
            offset = 0.8 * ((place + 0.5) / len(others) - 0.5)
            for position, band in enumerate(bands):
                key = f"macro_f_{band}"
                differences = [
                    100.0 * (run["scores"][decoding][key] / baseline[key] - 1.0)
                    for run in runs[name]
                    if decoding in run["scores"] and (baseline := baselines.get(run["seed"]))
                ]
                if not differences:
                    continue
                bars[ROWS[name]] = axes.bar(
                    position + offset,
                    statistics.fmean(differences),
                    width=0.7 / len(others),
                    **bar_style(list(ROWS).index(name)),
                )
                axes.plot(
                    [position + offset] * len(differences), differences, ".", color="0.25", markersize=4
                )
        axes.axhline(0.0, color="0.6", linewidth=0.8)
        axes.set_xticks(range(len(bands)), bands)
        axes.set(title=DECODINGS[decoding], xlabel="training frequency of the word")
        axes.grid(False, axis="x")
    panels[0].set_ylabel("macro F, % above that of CE")
    add_legend(figure, bars, False)
    return figure


def curves(runs: Runs) -> Figure:
    """Perplexity, macro F and diversity by epoch, of the first seed of each loss."""
    rows = {label: runs[name][0]["curves"] for name, label in ROWS.items() if name in runs}
    measures = {"ppl": "perplexity", "macro_f": "macro F (%)", "diversity_4": "4-gram diversity (%)"}
    return training_curves(rows, measures, title="Training curves, seed 1")


FIGURES = {
    "diversity_against_perplexity": diversity_against_perplexity,
    "f_by_band": f_by_band,
    "lead_by_epoch": lead_by_epoch,
    "training_curves": curves,
}
