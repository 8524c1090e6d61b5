"""The options of a detection run, each once: a tree of dataclasses, as for classification.

The defaults are those of "RetinaNet-R-50-FPN-1x" of Detectron2, which the paper follows (appendix C.2), at
the paper's batch of 8 images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from eureka_nlg.errors import UserError
from eureka_nlg.frequency import IMAGE_BETA, EncouragementOptions
from eureka_nlg.losses.bonus import Bonus, Preset, eureka_options
from eureka_nlg.losses.objectives import SCALAR_LOSSES
from eureka_nlg.losses.options import options_of, with_options_of
from eureka_nlg.losses.sigmoid import Balance, HaltedSide
from eureka_nlg.options import Options
from eureka_nlg.vision.config_file import RenamedOptions
from eureka_nlg.vision.loop_config import LoopConfig, check_at_least, described
from eureka_nlg.vision.training.schedule import step_decay

__all__ = [
    "DetectionConfig",
    "DetectionDataConfig",
    "DetectionModelConfig",
    "DetectionLossConfig",
    "DetectionTrainingConfig",
]

LOSS_NAMES = (*SCALAR_LOSSES, "eureka")
LOSS_OPTIONS: tuple[type[Options], ...] = (
    Balance,
    *SCALAR_LOSSES.values(),
    HaltedSide,
    Preset,
    Bonus,
    EncouragementOptions,
)
if TYPE_CHECKING:
    LossName = str
else:
    LossName = Literal[LOSS_NAMES]


@dataclass
class DetectionDataConfig:
    """Which images and boxes: folders and JSON files in COCO's format."""

    train_images: str = field(
        default="data/coco/train2017", metadata=described("folder of the training images")
    )
    train_annotations: str = field(
        default="data/coco/annotations/instances_train2017.json",
        metadata=described("instances JSON of the training images"),
    )
    evaluation_images: str = field(
        default="data/coco/val2017", metadata=described("folder of the images to evaluate on")
    )
    evaluation_annotations: str = field(
        default="data/coco/annotations/instances_val2017.json",
        metadata=described("instances JSON of the images to evaluate on"),
    )
    min_size: int = field(
        default=800, metadata=described("pixels that the shorter side of an image is resized to")
    )
    max_size: int = field(
        default=1333, metadata=described("pixels that the longer side of an image has at most")
    )
    flip: float = field(default=0.5, metadata=described("probability that a training image is mirrored"))
    workers: int = field(
        default=4, metadata=described("processes that read image files; 0 reads them in the training process")
    )
    empty_images: Literal["train", "skip"] = field(
        default="train", metadata=described("training images without any box: train on their ground, or skip")
    )
    invalid_boxes: Literal["refuse", "clip"] = field(
        default="refuse",
        metadata=described(
            "boxes that stick out of their image or have no area, of which COCO has some: refuse the file, "
            "or clip them at the border and drop what has no area from training"
        ),
    )
    check: Literal["decode", "exists"] = field(
        default="exists",
        metadata=described(
            "before training: decode every image file, or read its header alone; both find missing files and "
            "compare the size with the JSON"
        ),
    )

    def __post_init__(self) -> None:
        check_at_least("data.min_size", self.min_size, 1)
        check_at_least("data.max_size", self.max_size, self.min_size)
        check_at_least("data.workers", self.workers, 0)
        if not 0 <= self.flip <= 1:
            raise UserError(f"data.flip: {self.flip}, expected a probability")


@dataclass
class DetectionModelConfig:
    """RetinaNet: its backbone, its anchors, and which of its detections count."""

    backbone: Literal["resnet50", "small"] = field(
        default="resnet50",
        metadata=described("resnet50 is torchvision's; small is a few layers for small images without a GPU"),
    )
    pretrained: str | None = field(
        default=None,
        metadata=described(
            "weights that a resnet50 starts from: file of a state dict of torchvision's resnet50, or "
            "imagenet for torchvision's own, which are downloaded once; null: random ones"
        ),
    )
    norm: Literal["frozen_batch", "batch", "group"] = field(
        default="batch",
        metadata=described(
            "normalisation of the backbone: batch or group, or frozen_batch, the fixed statistics of the "
            "pretrained weights"
        ),
    )
    trainable_layers: int = field(
        default=5, metadata=described("resnet50: how many of its 5 layers, from the last one, are trained")
    )
    smallest_anchor: int = field(
        default=32,
        metadata=described("side in pixels of the smallest anchor; it doubles from level to level"),
    )
    score_threshold: float = field(
        default=0.05, metadata=described("likelihood below which a detection is dropped")
    )
    overlap_threshold: float = field(
        default=0.5, metadata=described("overlap (IoU) with a better detection at which one is dropped")
    )
    detections_per_image: int = field(
        default=100, metadata=described("at most; COCO counts no more than 100")
    )

    def __post_init__(self) -> None:
        check_at_least("model.smallest_anchor", self.smallest_anchor, 1)
        check_at_least("model.detections_per_image", self.detections_per_image, 1)
        if not 0 <= self.trainable_layers <= 5:
            raise UserError(f"model.trainable_layers: {self.trainable_layers}, expected 0 to 5")
        for name in ("score_threshold", "overlap_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"model.{name}: {getattr(self, name)}, expected a number from 0 to 1")
        if self.backbone == "small" and self.pretrained is not None:
            raise UserError(
                f"model.pretrained: {self.pretrained}, but there are no weights for backbone small"
            )
        if self.pretrained is None and (self.norm == "frozen_batch" or self.trainable_layers < 5):
            raise UserError(
                "model.pretrained is null: random weights must not stay as they are, give model.norm=batch "
                "(or group) and model.trainable_layers=5, or the weights"
            )


@dataclass
@with_options_of(*LOSS_OPTIONS, defaults={"beta": IMAGE_BETA})
class DetectionLossConfig:
    """One sigmoid loss of :mod:`eureka_nlg.losses` for the classes of anchors; boxes have L1.

    Raises:
        BadOption: a value that an option cannot have.
    """

    name: LossName = field(
        default="focal",
        metadata=described("name of the loss; eureka: of present classes, absent ones have focal"),
    )

    # Until two losses shared no option's name any more: old name -> loss (None: any) -> name.
    RENAMED: ClassVar[RenamedOptions] = {
        "gamma": {None: "focal_gamma"},
        "threshold": {"halted_focal": "halting_threshold", "eureka": "bonus_threshold"},
        "encouragement": {None: "encouragement_measure"},
        "normalization": {None: "encouragement_normalization"},
    }

    def __post_init__(self) -> None:
        for options in LOSS_OPTIONS:
            options_of(self, options)
        eureka_options(self)


@dataclass
class UpdateSchedule:
    """How long a run is, and how its learning rate goes, in updates."""

    updates: int = field(default=90_000, metadata=described("steps of the run"))
    warmup_updates: int = field(
        default=1000, metadata=described("the learning rate rises linearly over these")
    )
    milestones: list[int] = field(
        default_factory=lambda: [60_000, 80_000],
        metadata=described("the learning rate falls after these updates"),
    )
    decay: float = field(default=0.1, metadata=described("factor at each of the milestones"))
    schedule_scale: float = field(
        default=1.0,
        metadata=described("factor of updates, warm-up and milestones: 0.1 for a run of 9000 of 90000"),
    )
    round_updates: int = field(
        default=1000,
        metadata=described(
            "updates that make an epoch of the log, the checkpoints and evaluate_every, at most; updates are "
            "rounded up to whole rounds"
        ),
    )

    def __post_init__(self) -> None:
        for name in ("updates", "round_updates"):
            check_at_least(f"training.{name}", getattr(self, name), 1)
        for name in ("warmup_updates", "decay"):
            check_at_least(f"training.{name}", getattr(self, name), 0)
        if not self.schedule_scale > 0:
            raise UserError(f"training.schedule_scale: {self.schedule_scale}, expected more than 0")

    def scaled(self, updates: int) -> int:
        """Updates of the scaled schedule, at least one of any that are."""
        return max(round(updates * self.schedule_scale), min(updates, 1))


@dataclass
class DetectionTrainingConfig(LoopConfig, UpdateSchedule):
    """Schedule, optimiser, and the loop, whose epochs are rounds of updates here."""

    batch_size: int = field(default=8, metadata=described("images in a step, over all processes"))
    # Detectron2's 0.01 is for 16 images; linear in the batch (Goyal et al. 2017).
    learning_rate: float = field(default=0.005, metadata=described("of SGD, at its highest"))
    weight_decay: float = field(default=1e-4, metadata=described("of SGD, on all parameters"))
    channels_last: bool = field(default=False, metadata=described("memory format of convolutions"))

    def __post_init__(self) -> None:
        UpdateSchedule.__post_init__(self)
        LoopConfig.__post_init__(self)


@dataclass
class DetectionConfig:
    """Everything that a detection run is made of."""

    task: Literal["detection"] = field(
        default="detection", metadata=described("tells the folder of such a run from others")
    )
    data: DetectionDataConfig = field(default_factory=DetectionDataConfig, metadata=described("images"))
    model: DetectionModelConfig = field(default_factory=DetectionModelConfig, metadata=described("network"))
    loss: DetectionLossConfig = field(
        default_factory=DetectionLossConfig, metadata=described("loss of the classes")
    )
    training: DetectionTrainingConfig = field(
        default_factory=DetectionTrainingConfig, metadata=described("optimiser, schedule, loop")
    )
    seed: int = field(
        default=1, metadata=described("of the initial weights, the order of images and their flips")
    )
    save_dir: str = field(default="runs/detection", metadata=described("folder of the run"))

    def __post_init__(self) -> None:
        check_at_least("seed", self.seed, 0)

    @property
    def epochs(self) -> int:
        """Rounds of the run."""
        return math.ceil(self.training.scaled(self.training.updates) / self.training.round_updates)

    @property
    def steps_per_epoch(self) -> int:
        """Updates of a round, the same in all of them."""
        return math.ceil(self.training.scaled(self.training.updates) / self.epochs)

    def learning_rate(self, step: int) -> float:
        """Learning rate of an update, counted from 0."""
        training = self.training
        return step_decay(
            step,
            training.learning_rate,
            warmup=training.scaled(training.warmup_updates),
            milestones=[training.scaled(milestone) for milestone in training.milestones],
            decay=training.decay,
        )
