"""A detection run in its folder: starting, resuming, evaluation."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eureka_nlg.errors import MissingExtraError
from eureka_nlg.files import write_json
from eureka_nlg.progress import doing
from eureka_nlg.shapes_of_json import SCORE, TEXT, WHOLE, each
from eureka_nlg.vision import run_folder
from eureka_nlg.vision.detection.config import DetectionConfig
from eureka_nlg.vision.detection.data import DetectionData, load_detection_data
from eureka_nlg.vision.detection.evaluation import DetectionScores
from eureka_nlg.vision.detection.task import Detection
from eureka_nlg.vision.run_folder import (
    CHECKPOINT,
    FREE_OPTIONS,
    RESULT,
    check_folder,
    check_keep_epochs,
    load_network,
    make_accelerator,
    read_run_config,
    run_record,
    running,
    with_precision,
    write_config,
)
from eureka_nlg.vision.training import fit
from eureka_nlg.vision.training.checkpoint import load_checkpoint

__all__ = ["train_detection_run", "evaluate_detection_run", "DETECTIONS", "FIGURE"]

DETECTIONS = "detections.json"
"""Detections in the evaluation images, in COCO's format for results."""
FIGURE = "detections.png"

_FIGURE_IMAGES = 6
_RESULT_SHAPE = {
    "updates": WHOLE,
    "overall": each(SCORE),
    "classes": [
        {"name": TEXT, "AP": SCORE, "AP50": SCORE, "training_boxes": WHOLE, "evaluation_boxes": WHOLE}
    ],
    "groups": each({"AP": SCORE, "classes": WHOLE}),
    "waiting_for_data": SCORE,
}
_FREE = FREE_OPTIONS | {
    "data.train_images",
    "data.train_annotations",
    "data.evaluation_images",
    "data.evaluation_annotations",
}
_log = logging.getLogger(__name__)


Draw = Callable[[list[Tensor], list[dict[str, Tensor]], list[dict[str, Any]], list[str], Path], object]
"""Draws images, predictions and true boxes, with the names of the classes, to a file."""


def train_detection_run(config: DetectionConfig, draw: Draw | None = None) -> dict[str, Any]:
    """Train the run of a config in its ``save_dir``, or resume it; a finished run is not changed.

    Args:
        config: options of the run.
        draw: draws the figure, as :func:`eureka_nlg.report.detections.draw_detections`; None for no figure.

    Returns:
        The content of ``evaluation.json``.

    Raises:
        UserError: the data are invalid, the folder has a run with other options, or a checkpoint does not
            fit.
        Interrupted: a signal arrived; the same call resumes the run.
    """
    folder = Path(config.save_dir)
    accelerator = make_accelerator(config.training)
    config = with_precision(config, accelerator.device)
    check_folder(folder, config, _FREE)
    if (folder / RESULT).is_file():
        return read_result(folder)
    check_keep_epochs(config)
    with running(folder, config, accelerator):
        tell = doing if accelerator.is_main_process else lambda what: None
        checkpoint = folder / CHECKPOINT
        state = load_checkpoint(checkpoint) if checkpoint.is_file() else None
        tell(f"reading and checking {config.data.train_annotations} and the images")
        with accelerator.main_process_first():  # files are checked and weights downloaded only once
            data = load_detection_data(config.data, tell=accelerator.is_main_process)
            task = Detection(config, data, accelerator, resumed=state is not None)
        if accelerator.is_main_process:
            write_config(folder, config)
        fit(task, config, folder, accelerator, state)
        tell("detecting in the images to evaluate on")
        detections = task.detections()
        result = _result(task, task.score(detections), folder, config.epochs)
        if accelerator.is_main_process:
            write_json(folder / DETECTIONS, detections, indent=None)
            if draw is not None:
                _draw(detections, data, folder / FIGURE, draw)
            write_json(folder / RESULT, result)
        return result


def read_result(folder: Path) -> dict[str, Any]:
    """The content of ``evaluation.json`` of a finished run.

    Raises:
        UserError: the file cannot be read, or was not written by this program.
    """
    return run_folder.read_result(folder, _RESULT_SHAPE)


def evaluate_detection_run(
    folder: Path, overrides: Sequence[str] = (), checkpoint: Path | None = None
) -> dict[str, Any]:
    """Evaluate a checkpoint of a run, and return the scores as in ``evaluation.json``.

    Args:
        folder: the folder of the run.
        overrides: ``key=value``, such as another ``model.score_threshold``.
        checkpoint: the checkpoint, such as ``epoch060.pt``; default: the last one.

    Raises:
        UserError: there is no run, or the checkpoint does not fit.
    """
    config = read_run_config(DetectionConfig, folder, overrides, command="detect")
    accelerator = make_accelerator(config.training)
    data = load_detection_data(config.data, tell=accelerator.is_main_process)
    task = Detection(config, data, accelerator, resumed=True)
    epoch = load_network(task.network, checkpoint or folder / CHECKPOINT, accelerator.device)
    return _result(task, task.score(task.detections()), folder, epoch)


def _result(task: Detection, scores: DetectionScores, folder: Path, epoch: int) -> dict[str, Any]:
    return {
        **dataclasses.asdict(scores),
        "updates": epoch * task.steps_per_epoch(),
        "training_images": len(task.data.train),
        "evaluation_images": len(task.data.evaluation),
        **run_record(task.config, folder, task.accelerator, epoch),
    }


def _draw(detections: Sequence[Mapping[str, Any]], data: DetectionData, path: Path, draw: Draw) -> None:
    """Draw the first images with boxes, if the package for drawing is installed."""
    split = data.evaluation
    examples = (split[index] for index in range(len(split)))
    shown = list(islice((example for example in examples if len(example[1]["labels"])), _FIGURE_IMAGES))
    predictions = [_prediction(detections, target["image_id"], data) for _, target in shown]
    images, truth = [image for image, _ in shown], [target for _, target in shown]
    try:
        draw(images, predictions, truth, data.categories.names, path)
    except MissingExtraError as error:
        _log.warning("%s is not drawn: %s", path, error)


def _prediction(
    detections: Sequence[Mapping[str, Any]], image_id: int, data: DetectionData
) -> dict[str, Tensor]:
    """The detections of an image as tensors, as returned by the network."""
    own = [found for found in detections if found["image_id"] == image_id]
    boxes = torch.tensor([found["bbox"] for found in own]).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return {
        "boxes": boxes,
        "labels": torch.tensor([data.categories.ids.index(found["category_id"]) for found in own]).long(),
        "scores": torch.tensor([found["score"] for found in own]),
    }
