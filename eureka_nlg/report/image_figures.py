"""The figure that only reports on image classifiers have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from eureka_nlg.report.panels import add_legend, color_of, dash_of, marker_of, new_figure, set_log_axis
from eureka_nlg.report.theme import themed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["accuracy_by_class"]

_MOST_CLASSES = 40  # that are drawn one by one
_PARTS = 20  # of neighbouring classes otherwise


@themed
def accuracy_by_class(
    class_counts: Sequence[int],
    accuracies: Mapping[str, Sequence[float | None]],
    *,
    narrow: bool = False,
    title: str = "Accuracy of each class",
) -> Figure:
    """Test accuracy of each class over its training images, frequent classes on the left.

    Args:
        class_counts: training images of each class, ``[C]``.
        accuracies: system -> accuracy of each class in percent, ``[C]``; None without test images.
        narrow: for a phone.
        title: above the panel; empty for none.
    """
    figure, (axes,) = new_figure(1, narrow, 1, 2.8, title)
    order = np.argsort(-np.asarray(class_counts), kind="stable")
    parts = np.array_split(order, _PARTS) if len(order) > _MOST_CLASSES else [[index] for index in order]
    lines = {}
    for number, (name, values) in enumerate(accuracies.items()):
        points = []
        for part in parts:
            tested = [index for index in part if values[index] is not None]
            if tested:
                points.append(
                    (
                        np.mean([class_counts[index] for index in tested]),
                        np.mean([float(values[index] or 0.0) for index in tested]),
                    )
                )
        (lines[name],) = axes.plot(
            *zip(*points), color=color_of(number), linestyle=dash_of(number), marker=marker_of(number)
        )
    axes.set(ylabel="test accuracy (%)", ylim=(0, 100))
    set_log_axis(axes, "x", "training images of the class, log scale")
    axes.invert_xaxis()
    add_legend(figure, lines, narrow, columns=4)
    return figure
