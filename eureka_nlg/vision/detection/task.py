"""Object detection as a task of the training loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from eureka_nlg.errors import require
from eureka_nlg.losses.bonus import bounding_options
from eureka_nlg.vision.data.workers import ErrorsAsItems, leave_interrupts_to_the_parent, without_errors
from eureka_nlg.vision.detection.config import DetectionConfig
from eureka_nlg.vision.detection.data import DetectionData, DetectionPart
from eureka_nlg.vision.detection.evaluation import DetectionScores, coco_detections, evaluate
from eureka_nlg.vision.detection.model import build_network
from eureka_nlg.vision.training import Task

__all__ = ["Detection"]


class Detection(Task):
    """Training of a detector; a :class:`eureka_nlg.vision.training.Task` whose epochs are rounds of updates.

    Args:
        config: options of the run.
        data: images of the run.
        accelerator: ``Accelerator`` of Hugging Face accelerate.
        resumed: whether the weights of the network will be loaded from a checkpoint of the run.

    Attributes:
        network: the network to train.
        signature: digest of the training images.
    """

    remedies = f"{Task.remedies}, or for the Eureka loss {bounding_options('loss.{name}={value}')}"

    def __init__(
        self, config: DetectionConfig, data: DetectionData, accelerator: Any, resumed: bool = False
    ) -> None:
        self.config, self.data, self.accelerator = config, data, accelerator
        self.signature = data.signature
        torch.manual_seed(config.seed)
        self.network = build_network(config, data.class_counts, pretrained=not resumed)
        self._batches = data.batches(
            batch_size=config.training.batch_size,
            seed=config.seed,
            steps_per_epoch=config.steps_per_epoch,
            process=accelerator.process_index,
            processes=accelerator.num_processes,
            workers=config.data.workers,
            accumulate=config.training.accumulate,
            pin_memory=accelerator.device.type == "cuda",
        )

    def steps_per_epoch(self) -> int:
        """Number of updates of a round."""
        return self.config.steps_per_epoch

    def learning_rate(self, step: int) -> float:
        """Learning rate of an update."""
        return self.config.learning_rate(step)

    def begin_epoch(self, epoch: int) -> None:
        """Do nothing: all rounds are alike."""

    def batches(self, epoch: int, first_step: int) -> Iterator[list[DetectionPart]]:
        """Parts of the updates of a round."""
        return self._batches.epoch(epoch, first_step)

    def loss(self, model: nn.Module, part: DetectionPart) -> Tensor:
        """The contribution of a part to the step's loss, the mean over its images of class and box losses."""
        device = self.accelerator.device
        images = [_unit_range(image, device) for image in part.images]
        targets = [
            {name: target[name].to(device, non_blocking=True) for name in ("boxes", "labels")}
            for target in part.targets
        ]
        losses = model(images, targets)
        return (losses["classification"] + losses["bbox_regression"]) * part.share

    def evaluate(self) -> dict[str, float | None]:
        """COCO's scores, and AP of common and rare classes."""
        scores = self.score(self.detections())
        return scores.overall | {f"AP.{name}": group["AP"] for name, group in scores.groups.items()}

    def detections(self) -> list[dict[str, Any]]:
        """Detections in the evaluation images, in COCO's format and in the order of the images.

        They are computed in float32 and one image at a time, so that they do not depend on the padding of a
        batch. The processes share the work.
        """
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        own = range(rank, len(self.data.evaluation), processes)
        found = [
            (index, coco_detections(image_id, prediction, self.data.categories))
            for index, (image_id, prediction) in zip(own, self._predictions(own))
        ]
        if processes > 1:
            found = sorted(require("accelerate.utils", extra="vision").gather_object(found))
        return [detection for _, detections in found for detection in detections]

    def score(self, detections: list[dict[str, Any]]) -> DetectionScores:
        """Scores of all detections."""
        split = self.data.evaluation
        return evaluate(
            split.annotations_path, detections, self.data.categories, self.data.class_counts, split.image_ids
        )

    def _predictions(self, indices: range) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
        device = self.accelerator.device
        loader = DataLoader(
            ErrorsAsItems(Subset(self.data.evaluation, indices)),
            batch_size=None,
            num_workers=self.config.data.workers,
            worker_init_fn=leave_interrupts_to_the_parent,
            generator=torch.Generator(),  # otherwise the loader draws a seed from the global generator
        )
        self.network.eval()
        with torch.inference_mode():
            for image, target in without_errors(loader):
                [prediction] = self.network([_unit_range(image, device)])
                yield target["image_id"], {name: value.cpu() for name, value in prediction.items()}


def _unit_range(image: Tensor, device: torch.device) -> Tensor:
    """uint8 -> float32 in [0, 1], on the device."""
    return image.to(device, non_blocking=True) / 255
