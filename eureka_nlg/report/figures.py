"""The figures of the report on trained models, one function each, from plain data to a matplotlib figure.

With ``narrow=True`` a figure is one panel wide, which is legible on a phone. No function uses pyplot, so
nothing is shown or kept open, and no setting of the process changes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eureka_nlg.analysis import log_positions
from eureka_nlg.errors import require
from eureka_nlg.report.panels import (
    add_legend,
    bar_style,
    color_of,
    dash_of,
    marker_of,
    new_figure,
    set_log_axis,
    short,
    union,
)
from eureka_nlg.report.theme import INK, MUTED, themed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "scores_with_intervals",
    "training_curves",
    "likelihood_histograms",
    "likelihood_by_group",
    "train_test_gap",
    "word_frequency",
]

_MOST_POINTS = 300  # of a curve on a logarithmic axis
_MOST_BAR_LABELS = 12  # in a panel; more would run into each other

Interval = tuple[float, float, float]
"""A value and the ends of its interval; without an interval, the value three times."""


@themed
def scores_with_intervals(
    scores: Mapping[str, Mapping[str, Interval]],
    *,
    narrow: bool = False,
    title: str = "Scores with intervals",
) -> Figure:
    """One panel per metric, one row per system: the value as a point on its interval.

    Args:
        scores: label of the metric with its unit -> system -> (value, low, high).
        narrow: one panel wide instead of three.
        title: above the panels; empty for none.
    """
    systems = union(scores.values())
    figure, panels = new_figure(len(scores), narrow, 3, 0.62 + 0.22 * len(systems), title)
    for axes, (metric, values) in zip(panels, scores.items()):
        for row, system in enumerate(systems):
            if system in values:
                value, low, high = values[system]
                color = color_of(row)
                axes.plot([low, high], [row, row], color=color, linewidth=2.2, solid_capstyle="butt")
                axes.plot([value], [row], marker=marker_of(row), color=color, markersize=6)
        axes.set(title=metric, yticks=range(len(systems)), ylim=(len(systems) - 0.4, -0.6))
        axes.set_yticklabels(systems)
        axes.margins(x=0.12)
        _bound_percent(axes, metric, [edge for interval in values.values() for edge in interval])
        axes.grid(False, axis="y")
        axes.locator_params(axis="x", nbins=5)
    return figure


def _bound_percent(axes: Axes, metric: str, edges: Sequence[float]) -> None:
    """Let axes of percentages end at 0 and 100, and be no narrower than a tenth of a point."""
    if "(%)" not in metric:
        return
    low, high = axes.get_xlim()
    if max(edges) - min(edges) < 0.1:
        low, high = min(edges) - 0.05, max(edges) + 0.05
    # half a mark is left beside an end that is reached
    margin = 0.03 * (high - low)
    low = -margin if min(edges) >= 0 > low else low
    high = 100 + margin if max(edges) <= 100 < high else high
    axes.set_xlim(low, high)
    ticker = require("matplotlib.ticker", extra="report")
    axes.xaxis.set_major_formatter(
        ticker.FuncFormatter(lambda value, _: f"{value:g}" if 0 <= round(value, 9) <= 100 else "")
    )


@themed
def training_curves(
    runs: Mapping[str, Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]],
    measures: Mapping[str, str],
    *,
    held_out: str = "validation",
    narrow: bool = False,
    title: str = "Training",
) -> Figure:
    """One panel per measure over epochs: held-out data solid with full marks, training dotted, hollow ones.

    Args:
        runs: run -> measure -> split (``"train"``, ``"valid"`` or another) -> (epoch, value) pairs.
        measures: the measures to draw -> label of the axis, with the unit.
        held_out: what the legend calls the data that are not training data.
        narrow: one panel wide instead of two.
        title: above the panels.
    """
    figure, panels = new_figure(len(measures), narrow, 2, 2.3, title)
    lines: dict[str, Any] = {}
    for axes, (measure, label) in zip(panels, measures.items()):
        for index, (run, curves) in enumerate(runs.items()):
            for split, points in curves.get(measure, {}).items():
                training = split == "train"
                (line,) = axes.plot(
                    *zip(*points),
                    color=color_of(index),
                    linestyle=(0, (1, 1.2)) if training else "-",
                    linewidth=1.2 if training else 1.6,
                    marker=marker_of(index),
                    markersize=2.5 if training else 3,
                    fillstyle="none" if training else "full",
                    markeredgewidth=0.8,
                )
                lines.setdefault(f"{run}, {'training' if training else held_out}", line)
        axes.set(xlabel="epoch", ylabel=label)
        epochs = {
            epoch
            for curves in runs.values()
            for points in curves.get(measure, {}).values()
            for epoch, _ in points
        }
        if len(epochs) == 1:  # around one point there is no room for whole numbers to be chosen from
            axes.set_xticks(list(epochs))
        else:
            axes.locator_params(axis="x", integer=True)
        values = [
            value
            for curves in runs.values()
            for points in curves.get(measure, {}).values()
            for _, value in points
        ]
        if measure == "ppl" and max(values) > 4 * min(values) > 0:
            set_log_axis(axes, "y", f"{label}, log scale")
    add_legend(figure, lines, narrow, columns=4)
    return figure


@themed
def likelihood_histograms(
    systems: Mapping[str, Mapping[str, Sequence[int]]],
    *,
    noun: str = "class",
    narrow: bool = False,
    title: str = "Likelihood of what is right, by frequency group",
) -> Figure:
    """Histograms of the likelihood of the right class, a panel per frequency group (paper, Figures 4, 5).

    Args:
        systems: system -> group -> counts in bins of equal width over [0, 1].
        noun: what is predicted, ``class`` or ``word``.
        narrow: one panel wide instead of two.
        title: above the panels.
    """
    groups = union(systems.values())
    figure, panels = new_figure(len(groups), narrow, 2, 2.1, title)
    lines: dict[str, Any] = {}
    for axes, group in zip(panels, groups):
        for index, (system, histograms) in enumerate(systems.items()):
            counts = histograms.get(group, ())
            total = sum(counts)
            if total:
                lines[system] = axes.stairs(
                    [100 * count / total for count in counts],
                    [position / len(counts) for position in range(len(counts) + 1)],
                    color=color_of(index),
                    linestyle=dash_of(index),
                    linewidth=1.5,
                )
        axes.set(title=group, xlim=(0, 1), xlabel=f"likelihood of the right {noun}")
        # the first bin holds most of a rare group; the high-likelihood area is what matters here
        set_log_axis(axes, "y", "examples (%), log scale")
    add_legend(figure, lines, narrow)
    return figure


@themed
def likelihood_by_group(
    measures: Mapping[str, Mapping[str, Mapping[str, float]]],
    *,
    log_scaled: Collection[str] = (),
    narrow: bool = False,
    title: str = "By frequency of the right class",
) -> Figure:
    """Bars by frequency group, one panel per measure, one bar per system.

    Args:
        measures: label of the axis with its unit -> system -> group -> value.
        log_scaled: the labels whose axis is logarithmic and begins at one, the least value of their measure.
        narrow: one panel wide instead of two.
        title: above the panels.
    """
    figure, panels = new_figure(len(measures), narrow, 2, 2.2, title)
    bars: dict[str, Any] = {}
    for axes, (label, systems) in zip(panels, measures.items()):
        groups = union(systems.values())
        width = 0.8 / max(1, len(systems))
        for index, (system, values) in enumerate(systems.items()):
            shown = [(position, values[group]) for position, group in enumerate(groups) if group in values]
            bars[system] = axes.bar(
                [position + (index - (len(systems) - 1) / 2) * width for position, _ in shown],
                [value for _, value in shown],
                width=0.92 * width,
                **bar_style(index),
            )
            number = len(groups) * len(systems)
            if number <= (_MOST_BAR_LABELS if narrow else 2 * _MOST_BAR_LABELS):
                # side by side they would run into each other where bars are narrow
                stands = number > (_MOST_BAR_LABELS // 3 if narrow else _MOST_BAR_LABELS // 2)
                axes.bar_label(
                    bars[system],
                    fmt=short,
                    fontsize=7.5,
                    color=MUTED,
                    padding=2 if stands else 1,
                    rotation=90 if stands else 0,
                )
        axes.set(xticks=range(len(groups)), ylabel=label)
        axes.set_xticklabels([textwrap.fill(group, 11) if narrow else group for group in groups])
        axes.grid(False, axis="x")
        axes.margins(y=0.24 if len(groups) * len(systems) > _MOST_BAR_LABELS // 3 else 0.12)
        if label in log_scaled:
            set_log_axis(axes, "y", f"{label}, log scale")
            axes.set_ylim(bottom=1.0)
    add_legend(figure, bars, narrow)
    return figure


@themed
def train_test_gap(
    systems: Mapping[str, Mapping[str, tuple[float, float]]],
    *,
    label: str = "accuracy (%)",
    narrow: bool = False,
    title: str = "Gap between training and test data",
) -> Figure:
    """How much better training data is predicted than test data, by frequency group (paper, Figure 6).

    Args:
        systems: system -> group -> (value on the training data, value on the test data).
        label: the measure with its unit.
        narrow: one panel wide instead of two.
        title: above the panels.
    """
    groups = union(systems.values())
    figure, panels = new_figure(len(groups), narrow, 2, 0.75 + 0.24 * len(systems), title)
    for axes, group in zip(panels, groups):
        for row, values in enumerate(systems.values()):
            if group in values:
                train, test = values[group]
                color = color_of(row)
                axes.plot([test, train], [row, row], color=color, linewidth=1.6)
                axes.plot([test], [row], marker="o", color=color, markersize=6)
                axes.plot([train], [row], marker="o", color=color, markersize=6, fillstyle="none")
                axes.annotate(
                    f"{train - test:+.1f}",
                    ((train + test) / 2, row),
                    (0, 3),
                    textcoords="offset points",
                    ha="center",
                    va="bottom",
                    fontsize=7.5,
                )
        axes.set(title=group, xlabel=label, yticks=range(len(systems)), ylim=(len(systems) - 0.4, -0.8))
        axes.set_yticklabels(systems)
        axes.margins(x=0.1)
        axes.grid(False, axis="y")
    line = require("matplotlib.lines", extra="report").Line2D
    kinds = {
        name: line([], [], color=MUTED, marker="o", linestyle="", markersize=6, fillstyle=style)
        for name, style in (("test data", "full"), ("training data", "none"))
    }
    add_legend(figure, kinds, narrow)
    return figure


@themed
def word_frequency(
    ranks: Sequence[int],
    counts: Sequence[int],
    *,
    imbalance_ratio: float | None = None,
    noun: str = "word",
    narrow: bool = False,
    title: str = "Word frequency of the training replies",
) -> Figure:
    """Count of each word or class over its rank, both on log scales (paper, Figure 7).

    Args:
        ranks: ranks from 1 on; some may be left out.
        counts: training count at each of these ranks.
        imbalance_ratio: count of the most frequent word over that of the rarest, written into the figure.
        noun: what is counted.
        narrow: for a phone.
        title: above the panel.
    """
    figure, (axes,) = new_figure(1, narrow, 1, 2.7, title, width=5.5)
    drawn = log_positions(len(ranks), _MOST_POINTS)
    ranks, counts = [ranks[index] for index in drawn], [counts[index] for index in drawn]
    axes.plot(ranks, counts, color=color_of(0), linewidth=1.8)
    axes.fill_between(ranks, counts, min(counts, default=1), color=color_of(0), alpha=0.12, linewidth=0)
    set_log_axis(axes, "x", f"rank of the {noun}, log scale")
    set_log_axis(axes, "y", "occurrences, log scale")
    if imbalance_ratio is not None:
        text = f"imbalance ratio {imbalance_ratio:,.0f}"
        axes.text(0.97, 0.93, text, transform=axes.transAxes, ha="right", va="top", color=INK)
    return figure
