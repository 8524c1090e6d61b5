"""The figures of the results pages on long-tailed CIFAR, for draw_results.py."""

from __future__ import annotations

import statistics
from typing import Any

from cifar_lt.tables import NAMES, Runs
from matplotlib.figure import Figure

from eureka_nlg.report.panels import add_legend, color_of, dash_of, marker_of, new_figure, set_log_axis
from eureka_nlg.report.theme import MUTED, themed


@themed
def accuracy_by_class(runs: Runs) -> Figure:
    """Accuracy of each class over its training images, mean over the seeds."""
    figure, panels = new_figure(2, False, 2, 3.2, "Accuracy of each class")
    groups = (
        ("From the first epoch", ("ce", "fl", "hfl_half", "power_bonus", "el_clamped", "el_capped")),
        (
            "Deferred",
            (
                "ce",
                "cb_deferred",
                "ldam_cb_deferred",
                "el_deferred",
                "el_deferred_capped",
                "el_cb_deferred_capped",
            ),
        ),
    )
    for axes, (title, names) in zip(panels, groups):
        for index, name in enumerate(name for name in names if name in runs):
            counts = runs[name][0]["class_counts"]
            accuracy = [
                statistics.fmean(values) for values in zip(*(r["accuracy_of_class"] for r in runs[name]))
            ]
            axes.plot(
                counts,
                accuracy,
                label=NAMES[name],
                color=color_of(index),
                marker=marker_of(index),
                linestyle=dash_of(index),
            )
        axes.set(title=title, ylabel="test accuracy (%)", ylim=(0, 100))
        set_log_axis(axes, "x", "training images of the class, log scale")
        axes.invert_xaxis()
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.18), ncols=3)
    return figure


@themed
def losses(runs: Runs) -> Figure:
    """Training loss by epoch of the Eureka loss from the first epoch, and of options that bound it."""
    figure, (axes,) = new_figure(
        1, False, 1, 2.7, "Training loss with and without a bound, log scale", width=5.5
    )
    lines: dict[str, Any] = {}
    for index, name in enumerate(
        name for name in ("ce", "el_capped", "el_clamped", "el_mean_weight", "el") if name in runs
    ):
        log = runs[name][0]["log"]
        (lines[NAMES[name]],) = axes.plot(
            [entry["epoch"] for entry in log],
            [entry["loss"] for entry in log],
            color=color_of(index),
            linestyle=dash_of(index),
        )
    axes.axhline(0, color=MUTED, linewidth=0.7)
    axes.set_yscale("symlog", linthresh=1)
    powers = [-(10**6), -(10**4), -100, -1, 0, 1, 100, 10**4, 10**6]
    axes.set_yticks(powers, [f"{power:,}" for power in powers])
    axes.set(xlabel="epoch", ylabel="mean training loss (nats)")
    add_legend(figure, lines, False, columns=3)
    return figure


FIGURES = {"accuracy_by_class": accuracy_by_class, "training_loss": losses}
