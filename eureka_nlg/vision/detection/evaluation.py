"""COCO's scores of detections, by pycocotools: over all classes, by class and by training frequency."""

from __future__ import annotations

import contextlib
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from eureka_nlg.errors import require
from eureka_nlg.files import read_json
from eureka_nlg.metrics.classes.bands import FrequencyBands
from eureka_nlg.vision.detection.data import Categories

__all__ = ["SCORES", "coco_detections", "DetectionScores", "evaluate"]

SCORES = (
    "AP",
    "AP50",
    "AP75",
    "AP_small",
    "AP_medium",
    "AP_large",
    "AR_1",
    "AR_10",
    "AR_100",
    "AR_small",
    "AR_medium",
    "AR_large",
)
"""Names of COCO's twelve scores in the order of pycocotools: average precision (AP) and recall (AR)."""


def coco_detections(
    image_id: int, prediction: Mapping[str, Tensor], categories: Categories
) -> list[dict[str, Any]]:
    """Detections of an image in COCO's format for results.

    Args:
        image_id: id of the image in the annotations.
        prediction: ``boxes`` ``[n, 4]`` (left, top, right, bottom in pixels), ``scores`` and ``labels``.
        categories: the categories of the labels.

    Returns:
        For each detection its image, the id of its category, ``[left, top, width, height]`` and its score.
    """
    boxes = prediction["boxes"].double()  # so that the width of a float32 box is exact
    sized = boxes.clone()
    sized[:, 2:] -= boxes[:, :2]
    return [
        {"image_id": image_id, "category_id": categories.ids[label], "bbox": box, "score": score}
        for label, box, score in zip(
            prediction["labels"].tolist(), sized.tolist(), prediction["scores"].tolist()
        )
    ]


@dataclass
class DetectionScores:
    """Scores in percent, as in the paper; None if there are no boxes to find.

    Attributes:
        overall: scores by the names in :data:`SCORES`.
        classes: for each category its ``name``, ``AP``, ``AP50``, and its numbers of ``training_boxes`` and
            ``evaluation_boxes``.
        groups: mean AP of the ``common`` and of the ``rare`` half of the classes.
        rule: sentence that defines the groups.
    """

    overall: dict[str, float | None]
    classes: list[dict[str, Any]]
    groups: dict[str, dict[str, Any]]
    rule: str


def evaluate(
    annotations: Path,
    detections: Iterable[Mapping[str, Any]],
    categories: Categories,
    class_counts: Tensor,
    image_ids: Sequence[int] | None = None,
) -> DetectionScores:
    """Score detections as COCO does.

    Args:
        annotations: instances JSON, in which :func:`.instances.read_instances` has found no problems.
        detections: detections in the format of :func:`coco_detections`.
        categories: categories of the annotations.
        class_counts: ``[K]`` training boxes of each class.
        image_ids: ids of the images to score; default: all images of the annotations.
    """
    coco: Any = require("pycocotools.coco", extra="vision").COCO
    cocoeval: Any = require("pycocotools.cocoeval", extra="vision").COCOeval
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        truth = coco()
        truth.dataset = _with_areas(read_json(annotations))
        truth.createIndex()
        evaluation = cocoeval(truth, _loaded(truth, [dict(found) for found in detections]), "bbox")
        evaluation.params.catIds = categories.ids
        if image_ids is not None:
            evaluation.params.imgIds = sorted(image_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    overall = {name: _percent(value) for name, value in zip(SCORES, evaluation.stats)}
    # dimensions: threshold, recall, class, size, maximal number; used: all sizes, largest maximal number
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    classes = [
        {
            "name": name,
            "AP": _percent(_mean(precision[:, :, k])),
            "AP50": _percent(_mean(precision[0, :, k])),
            "training_boxes": int(class_counts[k]),
            "evaluation_boxes": len(
                truth.getAnnIds(imgIds=evaluation.params.imgIds, catIds=[categories.ids[k]], iscrowd=False)
            ),
        }
        for k, name in enumerate(categories.names)
    ]
    bands = FrequencyBands.by_type_share(class_counts)
    groups = {name: _group(classes, bands.of_class == i) for i, name in enumerate(bands.names)}
    return DetectionScores(overall, classes, groups, bands.rule)


def _with_areas(content: dict[str, Any]) -> dict[str, Any]:
    """The document, with fields added that pycocotools needs and files in COCO's format may lack."""
    for entry in content["annotations"]:
        entry.setdefault("iscrowd", 0)
        entry.setdefault("area", entry["bbox"][2] * entry["bbox"][3])
    return content


def _loaded(truth: Any, detections: list[dict[str, Any]]) -> Any:
    if detections:
        return truth.loadRes(detections)
    nothing = type(truth)()  # loadRes needs at least one detection
    nothing.dataset = {"images": truth.dataset["images"], "categories": truth.dataset["categories"]}
    nothing.dataset["annotations"] = []
    nothing.createIndex()
    return nothing


def _mean(precision: Any) -> float:
    """Mean of the valid entries; pycocotools has -1 where there are no boxes to find."""
    meant = precision[precision > -1]
    return float(meant.mean()) if meant.size else -1.0


def _percent(value: float) -> float | None:
    return None if value < 0 else 100 * float(value)


def _group(classes: list[dict[str, Any]], chosen: Any) -> dict[str, Any]:
    members = [classes[k] for k in np.flatnonzero(chosen)]
    scores = [member["AP"] for member in members if member["AP"] is not None]
    return {"AP": statistics.fmean(scores) if scores else None, "classes": len(members)}
