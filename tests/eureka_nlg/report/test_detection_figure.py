"""The figure: which boxes and texts it has, and that it is written whole."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from eureka_nlg.report.detections import detection_figure, draw_detections

CLASS_NAMES = ["cat", "dog"]


def example(boxes: list[list[float]], labels: list[int], scores: list[float]) -> tuple[Any, Any, Any]:
    image = torch.full((3, 30, 40), 200, dtype=torch.uint8)
    truth = {"boxes": torch.tensor(boxes).view(-1, 4), "labels": torch.tensor(labels, dtype=torch.int64)}
    return image, truth | {"scores": torch.tensor(scores)}, truth


EXAMPLES = [
    example([[1, 2, 11, 12], [0, 0, 40, 30], [20, 3, 25, 9]], [1, 0, 0], [0.2, 0.55, 0.914]),
    example([], [], []),
    example([[5, 5, 9, 9]], [0], [0.3]),
]


def test_boxes_and_texts() -> None:
    images, predictions, truth = zip(*EXAMPLES)
    figure = detection_figure(images, predictions, truth, CLASS_NAMES, least_score=0.3)
    drawn = []
    for axes in figure.axes:
        rectangles = [p for p in axes.patches if isinstance(p, Rectangle)]
        boxes = {
            text.get_text(): patch.get_bbox().extents.tolist() for text, patch in zip(axes.texts, rectangles)
        }
        drawn.append((axes.get_title(loc="left"), boxes))
    assert drawn == [
        ("true boxes: 3", {"cat": [20, 3, 25, 9], "dog": [1, 2, 11, 12]}),
        ("detections: 2", {"cat 0.55": [0, 0, 40, 30], "cat 0.91": [20, 3, 25, 9]}),
        ("true boxes: 0", {}),
        ("detections: 0", {}),
        ("true boxes: 1", {"cat": [5, 5, 9, 9]}),
        ("detections: 1", {"cat 0.30": [5, 5, 9, 9]}),
    ]


def test_texts_of_boxes_in_one_place_can_all_be_read() -> None:
    """Of two classes that are found in one box, of boxes in a corner, and of one at the right edge."""
    image = torch.full((3, 96, 128), 200, dtype=torch.uint8)
    boxes = [
        [40, 40, 80, 70],
        [41, 41, 81, 71],
        [40, 39, 79, 70],
        [0, 0, 20, 30],
        [1, 1, 22, 31],
        [115, 40, 128, 60],
    ]
    found = {
        "boxes": torch.tensor(boxes).float(),
        "labels": torch.tensor([0, 1, 0, 0, 1, 1]),
        "scores": torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]),
    }
    figure = detection_figure([image] * 2, [found] * 2, [found] * 2, CLASS_NAMES)
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[1]
    places = [text.get_bbox_patch().get_window_extent() for text in axes.texts]
    assert len(places) == 6
    assert not [1 for one, other in combinations(places, 2) if one.overlaps(other)]
    panel = axes.get_window_extent()
    assert all(place.x1 < panel.x1 + 3 and place.y1 < panel.y1 + 3 for place in places)  # pixels


def test_texts_stand_out_from_their_colours() -> None:
    """By the contrast of WCAG 2, 4.5 for small text; for some of the colours it was 3 to 4."""

    def luminance(color: tuple[float, float, float]) -> float:
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for index in range(8):
        found = {"boxes": torch.tensor([[5.0, 9, 9, 20]]), "labels": torch.tensor([index])}
        image = torch.full((3, 30, 40), 200, dtype=torch.uint8)
        scored = found | {"scores": torch.tensor([0.9])}
        (text,) = detection_figure([image], [scored], [found], [*"abcdefgh"]).axes[0].texts
        patch = text.get_bbox_patch()
        assert patch is not None
        light = sorted(luminance(to_rgb(color)) for color in (text.get_color(), patch.get_facecolor()))
        assert (light[1] + 0.05) / (light[0] + 0.05) >= 4.5, index


def test_the_file(tmp_path: Path) -> None:
    images, predictions, truth = zip(*EXAMPLES)
    path = tmp_path / "figures" / "detections.png"
    draw_detections(images, predictions, truth, CLASS_NAMES, path, title="A run")
    with Image.open(path) as picture:
        picture.load()
        assert picture.width == 1800
    assert [file.name for file in path.parent.iterdir()] == ["detections.png"]
