"""The figures of the results page on CIFAR-10-LT, for draw_results.py."""

from __future__ import annotations

import statistics

from cifar10_lt.tables import NAMES, Runs
from matplotlib.figure import Figure

from eureka_nlg.report.theme import DASHES, INK, MARKERS, MUTED, PALETTE, themed


@themed
def accuracy_by_class(runs: Runs) -> Figure:
    """Accuracy of each class over its training images, mean over the seeds."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
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
    for axes, (title, names) in zip(figure.subplots(1, 2, sharey=True), groups):
        for index, name in enumerate(name for name in names if name in runs):
            counts = runs[name][0]["class_counts"]
            accuracy = [
                statistics.fmean(values) for values in zip(*(r["accuracy_of_class"] for r in runs[name]))
            ]
            axes.plot(
                counts,
                accuracy,
                label=NAMES[name],
                color=PALETTE[index],
                marker=MARKERS[index],
                linestyle=DASHES[index],
            )
        axes.set(title=title, xscale="log", xlabel="training images of the class", ylim=(0, 100))
        axes.set_xticks([5000, 1000, 200, 50], ["5,000", "1,000", "200", "50"])
        axes.set_xticks([], minor=True)
        axes.invert_xaxis()
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    figure.axes[0].set_ylabel("test accuracy (%)")
    return figure


@themed
def losses(runs: Runs) -> Figure:
    """Training loss by epoch of Eureka from the first epoch, and what holds it."""
    figure = Figure(figsize=(4.6, 3.0), layout="constrained")
    axes = figure.subplots()
    for index, name in enumerate(
        name for name in ("ce", "el_capped", "el_clamped", "el_mean_weight", "el") if name in runs
    ):
        log = runs[name][0]["log"]
        axes.plot(
            [entry["epoch"] for entry in log],
            [entry["loss"] for entry in log],
            label=NAMES[name],
            color=PALETTE[index],
            linestyle=DASHES[index],
        )
    axes.axhline(0, color=MUTED, linewidth=0.7)
    axes.set_yscale("symlog", linthresh=1)
    powers = [-(10**6), -(10**4), -100, -1, 0, 1, 100, 10**4, 10**6]
    axes.set_yticks(powers, [f"{power:,}" for power in powers])
    axes.set(xlabel="epoch", ylabel="mean training loss", title="The reward without a floor")
    axes.title.set_color(INK)
    axes.legend(loc="lower left")
    return figure


FIGURES = {"accuracy_by_class": accuracy_by_class, "training_loss": losses}
