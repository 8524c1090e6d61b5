"""Images and boxes of a config: checked splits in COCO's format, and training batches."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from eureka_nlg.errors import UserError
from eureka_nlg.vision.data.problems import check_there
from eureka_nlg.vision.detection.batches import DetectionBatches, DetectionPart
from eureka_nlg.vision.detection.check import check_instances
from eureka_nlg.vision.detection.config import DetectionDataConfig
from eureka_nlg.vision.detection.instances import Categories, Instances, read_instances
from eureka_nlg.vision.detection.split import CocoSplit

__all__ = [
    "Categories",
    "CocoSplit",
    "DetectionBatches",
    "DetectionData",
    "DetectionPart",
    "load_detection_data",
]

_log = logging.getLogger(__name__)


@dataclass
class DetectionData:
    """The training and evaluation data of a detection run.

    Attributes:
        train, evaluation: the splits.
        categories: the classes of both splits.
        class_counts: ``[K]`` int64, training boxes of each class.
        signature: digest of the names, boxes and classes of the training images.
        flip: probability that a training image is mirrored.
    """

    train: CocoSplit
    evaluation: CocoSplit
    categories: Categories
    class_counts: Tensor
    signature: str
    flip: float

    def batches(
        self, *, batch_size: int, seed: int, steps_per_epoch: int, **options: Any
    ) -> DetectionBatches:
        """Training batches; ``options`` are further arguments of :class:`DetectionBatches`."""
        return DetectionBatches(
            self.train,
            batch_size=batch_size,
            seed=seed,
            steps_per_epoch=steps_per_epoch,
            flip=self.flip,
            **options,
        )


def load_detection_data(config: DetectionDataConfig, tell: bool = True) -> DetectionData:
    """Read both splits and check them.

    Category ids may have gaps, as COCO's have. Images with only crowds are left out of training: they are not
    empty, but have no box to learn from. Images without annotations are trained on as negatives, unless the
    config skips them. Boxes are relative to the upright picture.

    Args:
        config: the options.
        tell: whether to log warnings; False in all processes but the first.

    Raises:
        UserError: the data have problems; one message describes all of them.
    """
    clip = config.invalid_boxes == "clip"
    _check_there(config)
    read: list[Instances] = []
    broken: list[str] = []
    for path, evaluation in ((config.train_annotations, False), (config.evaluation_annotations, True)):
        try:
            read.append(read_instances(Path(path), evaluation=evaluation, clip=clip))
        except UserError as error:
            broken.append(str(error))
    if broken:
        raise UserError("; ".join(broken))
    training, evaluation_instances = read
    train_root, evaluation_root = Path(config.train_images), Path(config.evaluation_images)
    check_instances(
        [
            (training, train_root, "data.train_images"),
            (evaluation_instances, evaluation_root, "data.evaluation_images"),
        ],
        decode=config.check == "decode",
        tell=tell,
    )
    categories = training.categories
    if tell:
        _log_gaps(categories)
    train = CocoSplit(training, train_root, _rows_to_train_on(training, config.empty_images == "train"))
    digest = hashlib.sha256("\n".join(train.file_names).encode())
    for tensor in (train.boxes, train.labels, train.ends):
        digest.update(tensor.numpy().tobytes())
    return DetectionData(
        train=train,
        evaluation=CocoSplit(evaluation_instances, evaluation_root),
        categories=categories,
        class_counts=train.labels.bincount(minlength=len(categories)),
        signature=digest.hexdigest(),
        flip=config.flip,
    )


def _check_there(config: DetectionDataConfig) -> None:
    options = {
        config.train_annotations: "data.train_annotations=JSON data.train_images=FOLDER",
        config.evaluation_annotations: "data.evaluation_annotations=JSON data.evaluation_images=FOLDER",
    }
    check_there(
        map(Path, options),
        "file",
        f"give {' '.join(options.values())}, or try configs/vision/coco_shapes first, whose images "
        "`python scripts/draw_coco_shapes.py --out data/shapes` draws",
    )


def _rows_to_train_on(instances: Instances, empty_images: bool) -> Tensor:
    number = len(instances.image_ids)
    annotated = instances.images.bincount(minlength=number) > 0
    trained = instances.images[instances.has_area & ~instances.crowd].bincount(minlength=number) > 0
    return (trained | ~annotated if empty_images else trained).nonzero().flatten()


def _log_gaps(categories: Categories) -> None:
    first, last = categories.ids[0], categories.ids[-1]
    unused = last - first + 1 - len(categories)
    if unused:
        _log.info("category ids %d to %d, %d of them unused: labels count the used ones", first, last, unused)
