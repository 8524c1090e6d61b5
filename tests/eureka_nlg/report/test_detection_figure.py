"""The figure: which boxes and texts it has, and that it is written whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

pytest.importorskip("matplotlib")

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


def test_the_file(tmp_path: Path) -> None:
    images, predictions, truth = zip(*EXAMPLES)
    path = tmp_path / "figures" / "detections.png"
    draw_detections(images, predictions, truth, CLASS_NAMES, path, title="A run")
    with Image.open(path) as picture:
        picture.load()
        assert picture.width == 1800
    assert [file.name for file in path.parent.iterdir()] == ["detections.png"]
