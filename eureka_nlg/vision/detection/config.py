"""The options of a detection run: a tree of dataclasses, read from YAML.

The defaults are those of "RetinaNet-R-50-FPN-1x" of Detectron2, which the paper uses (appendix C.2), for the
paper's batch of 8 images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from eureka_nlg.errors import UserError
from eureka_nlg.frequency import IMAGE_BETA, EncouragementOptions
from eureka_nlg.limits import check_seed
from eureka_nlg.losses.bonus import Bonus, Preset, eureka_options
from eureka_nlg.losses.objectives import SCALAR_LOSSES
from eureka_nlg.losses.options import options_of, with_options_of
from eureka_nlg.losses.sigmoid import Balance, HaltedSide
from eureka_nlg.options import Options
from eureka_nlg.vision.config_file import RenamedOptions
from eureka_nlg.vision.loop_config import LoopConfig, check_at_least, check_workers, described
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
    """Options of the images and boxes: folders, and JSON files in COCO's format."""

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
    max_size: int = field(default=1333, metadata=described("largest longer side of an image in pixels"))
    flip: float = field(default=0.5, metadata=described("probability that a training image is mirrored"))
    workers: int = field(
        default=4, metadata=described("processes that read image files; 0 reads them in the training process")
    )
    empty_images: Literal["train", "skip"] = field(
        default="train",
        metadata=described("training images without boxes: train on them as negatives, or skip"),
    )
    invalid_boxes: Literal["refuse", "clip"] = field(
        default="refuse",
        metadata=described(
            "boxes that exceed their image or have no area, of which COCO has some: refuse the file, or clip "
            "them and leave those without area out of training"
        ),
    )
    check: Literal["decode", "exists"] = field(
        default="exists",
        metadata=described(
            "before training: decode every image file, or read only its header; both find missing files and "
            "compare the size with the JSON"
        ),
    )

    def __post_init__(self) -> None:
        check_at_least("data.min_size", self.min_size, 1)
        check_at_least("data.max_size", self.max_size, self.min_size)
        check_workers("data.workers", self.workers)
        if not 0 <= self.flip <= 1:
            raise UserError(f"data.flip: {self.flip}, expected a probability")


@dataclass
class DetectionModelConfig:
    """Options of RetinaNet: its backbone, its anchors, and the selection of detections."""

    backbone: Literal["resnet50", "small"] = field(
        default="resnet50",
        metadata=described("resnet50 is torchvision's; small is a few layers for small images without a GPU"),
    )
    pretrained: str | None = field(
        default=None,
        metadata=described(
            "initial weights of a resnet50: file with a state dict of torchvision's resnet50, or imagenet "
            "for torchvision's weights, which are downloaded once; null: random weights"
        ),
    )
    norm: Literal["frozen_batch", "batch", "group"] = field(
        default="batch",
        metadata=described(
            "normalisation of the backbone: batch, group, or frozen_batch, with the fixed statistics of the "
            "pretrained weights"
        ),
    )
    trainable_layers: int = field(
        default=5, metadata=described("resnet50: how many of its 5 layers are trained, counted from the last")
    )
    smallest_anchor: int = field(
        default=32,
        metadata=described("side in pixels of the smallest anchor; it doubles from level to level"),
    )
    score_threshold: float = field(
        default=0.05, metadata=described("likelihood below which a detection is dropped")
    )
    overlap_threshold: float = field(
        default=0.5, metadata=described("overlap (IoU) with a better detection above which one is dropped")
    )
    detections_per_image: int = field(
        default=100, metadata=described("largest number of detections; COCO's scores use up to 100")
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
    """One sigmoid loss of :mod:`eureka_nlg.losses` for the classes of anchors; boxes have an L1 loss.

    Raises:
        BadOption: an option has an invalid value.
    """

    name: LossName = field(
        default="focal",
        metadata=described("name of the loss; eureka: for present classes, with focal for absent ones"),
    )

    # Old names, some of which several losses shared: old name -> loss (None: any) -> new name.
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
    """The length of a run and the schedule of its learning rate, in updates."""

    updates: int = field(default=90_000, metadata=described("number of updates of the run"))
    warmup_updates: int = field(
        default=1000, metadata=described("the learning rate rises linearly over these")
    )
    milestones: list[int] = field(
        default_factory=lambda: [60_000, 80_000],
        metadata=described("the learning rate decays after these updates"),
    )
    decay: float = field(default=0.1, metadata=described("factor of the learning rate at each milestone"))
    schedule_scale: float = field(
        default=1.0,
        metadata=described("factor of updates, warm-up and milestones: 0.1 for a run of 9000 of 90000"),
    )
    round_updates: int = field(
        default=1000,
        metadata=described(
            "largest number of updates of a round, which is the epoch of the log, of checkpoints and of "
            "evaluate_every; updates are rounded up to whole rounds"
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
        """The number of updates after scaling, rounded; at least 1 if it is positive."""
        return max(round(updates * self.schedule_scale), min(updates, 1))


@dataclass
class DetectionTrainingConfig(LoopConfig, UpdateSchedule):
    """Options of the schedule, the optimiser and the loop, whose epochs are rounds of updates."""

    batch_size: int = field(default=8, metadata=described("images in a step, over all processes"))
    # Detectron2 has 0.01 for 16 images; it is scaled with the batch (Goyal et al. 2017).
    learning_rate: float = field(default=0.005, metadata=described("highest learning rate of SGD"))
    weight_decay: float = field(default=1e-4, metadata=described("weight decay of SGD, on all parameters"))
    channels_last: bool = field(default=False, metadata=described("memory format of convolutions"))

    def __post_init__(self) -> None:
        UpdateSchedule.__post_init__(self)
        LoopConfig.__post_init__(self)


@dataclass
class DetectionConfig:
    """All options of a detection run."""

    task: Literal["detection"] = field(
        default="detection", metadata=described("distinguishes the folder of a detection run from others")
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
        default=1, metadata=described("seed of the initial weights, the order of images and their flips")
    )
    save_dir: str = field(default="runs/detection", metadata=described("folder of the run"))

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)

    @property
    def epochs(self) -> int:
        """Number of rounds of the run."""
        return math.ceil(self.training.scaled(self.training.updates) / self.training.round_updates)

    @property
    def steps_per_epoch(self) -> int:
        """Number of updates of a round, the same in all rounds."""
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
