"""COCO's scores: by hand, against pycocotools called another way, and at the edges."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("accelerate")
pycocotools_coco = pytest.importorskip("pycocotools.coco")
pycocotools_eval = pytest.importorskip("pycocotools.cocoeval")

from eureka_nlg.vision.detection.config import DetectionDataConfig  # noqa: E402
from eureka_nlg.vision.detection.data import Categories, load_detection_data  # noqa: E402
from eureka_nlg.vision.detection.evaluation import SCORES, coco_detections, evaluate  # noqa: E402

CATEGORIES = Categories([3, 7, 90], ["cat", "dog", "mouse"])
COUNTS = torch.tensor([50, 5, 9])


def box(image_id: int, category_id: int, bbox: list[float], **more: Any) -> dict[str, Any]:
    area = bbox[2] * bbox[3]
    return {"image_id": image_id, "category_id": category_id, "bbox": bbox, "area": area, **more}


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """Two images: a cat, a large dog and a crowd of dogs in the first, nothing in the second; no mouse."""
    content = {
        "images": [
            {"id": 11, "file_name": "a.png", "width": 200, "height": 200},
            {"id": 12, "file_name": "b.png", "width": 200, "height": 200},
        ],
        "annotations": [
            box(11, 3, [10, 10, 20, 20], id=1, iscrowd=0),
            box(11, 7, [50, 50, 100, 100], id=2, iscrowd=0),
            box(11, 7, [0, 150, 200, 50], id=3, iscrowd=1),
        ],
        "categories": [{"id": i, "name": n} for i, n in zip(CATEGORIES.ids, CATEGORIES.names)],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    return path


def test_detections_have_cocos_format() -> None:
    prediction = {
        "boxes": torch.tensor([[10.5, 20.0, 30.5, 60.0]]),
        "labels": torch.tensor([1]),
        "scores": torch.tensor([0.75]),
    }
    assert coco_detections(12, prediction, CATEGORIES) == [
        {"image_id": 12, "category_id": 7, "bbox": [10.5, 20.0, 20.0, 40.0], "score": 0.75}
    ]


def test_scores_by_hand(annotations: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cat box of overlap 0.8 is right at 7 of the 10 thresholds; the dog is found behind a wrong one."""
    detections = [
        {"image_id": 11, "category_id": 3, "bbox": [10, 10, 20, 16], "score": 0.9},
        {"image_id": 12, "category_id": 7, "bbox": [50, 50, 100, 100], "score": 0.8},
        {"image_id": 11, "category_id": 7, "bbox": [50, 50, 100, 100], "score": 0.6},
        {"image_id": 11, "category_id": 7, "bbox": [20, 160, 30, 30], "score": 0.7},  # in the crowd: no error
    ]
    before = json.dumps(detections)
    scores = evaluate(annotations, detections, CATEGORIES, COUNTS)
    assert [row["AP"] for row in scores.classes] == [pytest.approx(70), pytest.approx(50), None]
    assert [row["AP50"] for row in scores.classes] == [pytest.approx(100), pytest.approx(50), None]
    assert scores.overall["AP"] == pytest.approx(60)
    assert scores.overall["AP50"] == scores.overall["AP75"] == pytest.approx(75)
    assert scores.overall["AP_small"] == pytest.approx(70)
    assert scores.overall["AP_medium"] is None
    assert scores.overall["AP_large"] == pytest.approx(50)
    assert scores.groups == {
        "common": {"AP": pytest.approx(70), "classes": 2},  # the mouse has no boxes to find
        "rare": {"AP": pytest.approx(50), "classes": 1},
    }
    assert [row["training_boxes"] for row in scores.classes] == [50, 5, 9]
    assert [row["evaluation_boxes"] for row in scores.classes] == [1, 1, 0]
    assert capsys.readouterr().out == ""
    assert json.dumps(detections) == before


def test_no_detections_and_fewer_images(annotations: Path) -> None:
    nothing = evaluate(annotations, [], CATEGORIES, COUNTS)
    assert (nothing.overall["AP"], nothing.overall["AR_100"]) == (0, 0)
    empty = evaluate(annotations, [], CATEGORIES, COUNTS, image_ids=[12])
    assert set(empty.overall.values()) == {None}
    assert [row["evaluation_boxes"] for row in empty.classes] == [0, 0, 0]


def test_scores_are_those_of_pycocotools(
    shapes_config: DetectionDataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On noisy copies of the true boxes, through a file, and class by class."""
    data = load_detection_data(shapes_config)
    torch.manual_seed(1)
    detections: list[dict[str, Any]] = []
    for index, image_id in enumerate(data.evaluation.image_ids):
        _, target = data.evaluation[index]
        labels = target["labels"].clone()
        labels[::3] = (labels[::3] + 1) % len(data.categories)
        prediction = {
            "boxes": target["boxes"] + 2 * torch.randn(len(labels), 4),
            "labels": labels,
            "scores": torch.rand(len(labels)),
        }
        detections += coco_detections(image_id, prediction, data.categories)
    scores = evaluate(data.evaluation.annotations_path, detections, data.categories, data.class_counts)

    path = tmp_path / "detections.json"
    path.write_text(json.dumps(detections))
    by_hand: Callable[..., list[float]] = lambda **params: pycocotools_scores(  # noqa: E731
        data.evaluation.annotations_path, path, **params
    )
    for name, value, expected in zip(SCORES, scores.overall.values(), by_hand()):
        assert value == (None if expected == -1 else pytest.approx(100 * expected)), name
    assert 5 < scores.overall["AP"] < 95
    for category, row in zip(data.categories.ids, scores.classes):
        ap, ap50 = by_hand(catIds=[category])[:2]
        assert (row["AP"], row["AP50"]) == (pytest.approx(100 * ap), pytest.approx(100 * ap50))


def pycocotools_scores(annotations: Path, detections: Path, **params: Any) -> list[float]:
    truth = pycocotools_coco.COCO(str(annotations))
    evaluation = pycocotools_eval.COCOeval(truth, truth.loadRes(str(detections)), "bbox")
    for name, value in params.items():
        setattr(evaluation.params, name, value)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return list(evaluation.stats)
