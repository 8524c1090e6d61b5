"""A figure of images with their true boxes and their detections."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from eureka_nlg.errors import require
from eureka_nlg.files import write_whole
from eureka_nlg.report.panels import color_of
from eureka_nlg.report.theme import MUTED, themed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["detection_figure", "draw_detections"]

_WIDTH, _TITLE = 9.0, 0.25  # inches: four panels, a line of text
_PANEL = _WIDTH / 4
_TEXT = 5.5  # points
_OUTLINE = "#ffffff"


@themed
def detection_figure(
    images: Sequence[Tensor],
    predictions: Sequence[Mapping[str, Any]],
    truth: Sequence[Mapping[str, Any]],
    class_names: Sequence[str],
    *,
    least_score: float = 0.3,
    title: str = "Detections",
) -> Figure:
    """Two panels for each image: the true boxes with their classes, and the detections with class and score.

    Args:
        images: each ``[3, H, W]`` uint8.
        predictions: for each image ``boxes`` ``[n, 4]`` (left, top, right, bottom in pixels), ``labels`` and
            ``scores`` ``[n]``, as torchvision's detectors return them.
        truth: for each image ``boxes`` and ``labels``.
        class_names: names of the labels, from 0 on.
        least_score: detections with a lower score are not drawn.
        title: above the panels.
    """
    columns = max(1, min(2, len(images)))  # of pairs
    shapes = [image.shape[1] / image.shape[2] for image in images]
    heights = [_PANEL * max(shapes[i : i + columns]) + _TITLE for i in range(0, len(images), columns)]
    figure: Figure = require("matplotlib.figure", extra="report").Figure(
        figsize=(2 * columns * _PANEL, sum(heights) + 2 * _TITLE), layout="constrained", facecolor="white"
    )
    figure.suptitle(f"{title}, with a score of {least_score:g} or more", x=0.01, ha="left")
    grid = figure.add_gridspec(len(heights) or 1, 2 * columns, height_ratios=heights or None)
    for index, (image, detected, true) in enumerate(zip(images, predictions, truth)):
        row, column = divmod(index, columns)
        kept = [
            position for position, score in enumerate(detected["scores"].tolist()) if score >= least_score
        ]
        names = [class_names[label] for label in true["labels"].tolist()]
        _draw_panel(figure.add_subplot(grid[row, 2 * column]), image, "true boxes", true, names)
        scored = [
            f"{class_names[int(detected['labels'][position])]} {float(detected['scores'][position]):.2f}"
            for position in kept
        ]
        chosen = {key: detected[key][kept] for key in ("boxes", "labels")}
        _draw_panel(figure.add_subplot(grid[row, 2 * column + 1]), image, "detections", chosen, scored)
    return figure


def draw_detections(
    images: Sequence[Tensor],
    predictions: Sequence[Mapping[str, Any]],
    truth: Sequence[Mapping[str, Any]],
    class_names: Sequence[str],
    path: str | os.PathLike[str],
    **options: Any,
) -> None:
    """Write :func:`detection_figure` of the same arguments to a PNG, whole or not at all."""
    figure = detection_figure(images, predictions, truth, class_names, **options)
    with write_whole(path) as file:
        figure.savefig(file, format="png", dpi=200)


def _draw_panel(axes: Axes, image: Tensor, title: str, target: Mapping[str, Any], texts: list[str]) -> None:
    patches = require("matplotlib.patches", extra="report")
    effects = require("matplotlib.patheffects", extra="report")
    height, width = image.shape[1:]
    axes.imshow(image.permute(1, 2, 0).cpu().numpy(), extent=(0, width, height, 0), interpolation="nearest")
    axes.set_axis_off()
    axes.set_anchor("N")
    axes.set_title(f"{title}: {len(texts)}", fontsize=8, color=MUTED, fontweight="normal", pad=3)
    boxes, labels = target["boxes"].tolist(), target["labels"].tolist()
    # the largest first, so that a small box lies on a large one
    order = sorted(
        range(len(boxes)), key=lambda i: -(boxes[i][2] - boxes[i][0]) * (boxes[i][3] - boxes[i][1])
    )
    for index in order:
        (left, top, right, bottom), color = boxes[index], color_of(labels[index])
        axes.add_patch(
            patches.Rectangle(
                (left, top),
                right - left,
                bottom - top,
                fill=False,
                edgecolor=color,
                linewidth=1.3,
                path_effects=[effects.Stroke(linewidth=2.6, foreground=_OUTLINE), effects.Normal()],
            )
        )
    places = _places(boxes, texts, width, height)
    for index in order:
        color = color_of(labels[index])
        axes.text(
            *places[index],
            texts[index],
            va="top",
            fontsize=_TEXT,
            color=_readable_on(color),
            bbox={"boxstyle": "square,pad=0.12", "facecolor": color, "edgecolor": "none"},
        )


def _places(
    boxes: Sequence[Sequence[float]], texts: Sequence[str], width: int, height: int
) -> list[tuple[float, float]]:
    """Left top corners of the texts, in pixels of the image: at their boxes, and free where there is room."""
    point = width / (72 * _PANEL)
    taken: list[tuple[float, float, float, float]] = []
    places = []
    for (left, top, _, bottom), text in zip(boxes, texts):
        wide, high = (0.66 * len(text) + 0.4) * _TEXT * point, 1.75 * _TEXT * point
        x = min(max(left, 0.0), max(width - wide, 0.0))
        levels = (top - high, bottom, top, bottom - high, *(top + step * high for step in range(1, 8)))
        free = [
            y
            for y in levels
            if 0 <= y <= height - high
            and not any(
                x < right and x + wide > left_of and y < below and y + high > above
                for left_of, above, right, below in taken
            )
        ]
        y = free[0] if free else max(top, 0.0)
        taken.append((x, y, x + wide, y + high))
        places.append((x + 0.15 * _TEXT * point, y + 0.3 * _TEXT * point))
    return places


def _readable_on(color: str) -> str:
    """White or black, whichever stands out more from the colour; luminance is nearly that of WCAG."""
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    luminance = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    return "#ffffff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000000"
