"""The options of a classification run: a tree of dataclasses, read from YAML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from eureka_nlg.errors import UserError
from eureka_nlg.limits import check_seed
from eureka_nlg.losses.objectives import Margins
from eureka_nlg.losses.options import options_of
from eureka_nlg.vision.classification.loss_config import LossConfig
from eureka_nlg.vision.classification.methods.options import (
    SECOND_STAGES,
    FsaConfig,
    MbjConfig,
    Method,
    OltrConfig,
)
from eureka_nlg.vision.classification.training_config import TrainingConfig
from eureka_nlg.vision.loop_config import check_at_least, check_workers, described
from eureka_nlg.vision.training.schedule import half_cosine, step_decay

__all__ = [
    "Config",
    "DataConfig",
    "Phase",
    "ModelConfig",
    "LossConfig",
    "DeferralConfig",
    "TrainingConfig",
    "Sampling",
]

Sampling = Literal["instance", "square_root", "class_balanced"]


@dataclass
class DataConfig:
    """Options of the images and of how they are read."""

    format: Literal["cifar", "lists", "inaturalist", "image_folder"] = field(
        default="cifar",
        metadata=described(
            "cifar: CIFAR-10 or -100, made long-tailed; lists: files of `path label` lines; inaturalist: its "
            "JSON annotations; image_folder: one folder per class"
        ),
    )
    source: str = field(
        default="uoft-cs/cifar10",
        metadata=described(
            "cifar: name on the Hugging Face hub, folder of parquet or arrow files, or torchvision's folder; "
            "other formats: folder that the images' paths are relative to"
        ),
    )
    train: str = field(
        default="train", metadata=described("list, JSON or folder of the training images (not for cifar)")
    )
    evaluation: str = field(
        default="val", metadata=described("list, JSON or folder of the images to evaluate on (not for cifar)")
    )
    profile: Literal["exponential", "step", "full"] = field(
        default="exponential", metadata=described("cifar: decrease of the class sizes; full keeps all images")
    )
    imbalance_degree: float = field(
        default=100.0, metadata=described("cifar: size of the largest class over that of the smallest")
    )
    choice_seed: int = field(
        default=0, metadata=described("cifar: seed of the choice of images, apart from the run's seed")
    )
    image_size: int = field(
        default=224, metadata=described("side in pixels of the crop that the network sees (not for cifar)")
    )
    color_jitter: float = field(
        default=0.0, metadata=described("strength of the jitter of brightness, contrast and saturation")
    )
    workers: int = field(
        default=4, metadata=described("processes that read image files; 0 reads them in the training process")
    )
    check: Literal["decode", "exists"] = field(
        default="decode",
        metadata=described(
            "before training: decode every image file (only once for the same files), or check that it exists"
        ),
    )

    def __post_init__(self) -> None:
        check_at_least("data.imbalance_degree", self.imbalance_degree, 1)
        check_seed("data.choice_seed", self.choice_seed)
        check_at_least("data.image_size", self.image_size, 1)
        check_workers("data.workers", self.workers)
        check_at_least("data.color_jitter", self.color_jitter, 0)


@dataclass
class ModelConfig:
    """The network."""

    name: Literal["resnet32", "resnet50", "resnext50"] = field(
        default="resnet32", metadata=described("resnet32 is the one for CIFAR; the others are torchvision's")
    )
    head: Literal["auto", "linear", "cosine"] = field(
        default="auto",
        metadata=described(
            "auto: cosine if a loss is ldam, else linear; the logits of a cosine head are the cosines "
            "times loss.scale"
        ),
    )


@dataclass
class DeferralConfig:
    """Deferral, the dagger in the paper's tables: plain epochs before the method, with sampling instance."""

    plain_epochs: int = field(
        default=0, metadata=described("number of epochs before the method starts; 0: no deferral")
    )
    loss: LossConfig = field(default_factory=LossConfig, metadata=described("loss of these epochs"))

    def __post_init__(self) -> None:
        check_at_least("deferral.plain_epochs", self.plain_epochs, 0)


class Phase(NamedTuple):
    """The settings of an epoch.

    Attributes:
        loss: the loss of the images.
        sampling: how the images are drawn.
        memory: options of the memory of ``mbj`` if it is used in the epoch, else None.
    """

    loss: LossConfig
    sampling: Sampling
    memory: MbjConfig | None = None


@dataclass
class Config:
    """All options of a run."""

    data: DataConfig = field(default_factory=DataConfig, metadata=described("images"))
    model: ModelConfig = field(default_factory=ModelConfig, metadata=described("network"))
    method: Method = field(
        default="plain",
        metadata=described(
            "plain: one network, one loss; bbn: two branches with cumulative learning; mbj: a memory of "
            "features of the tail; second stages, on the features of init_from: crt and lws of Decoupling, "
            "oltr, fsa"
        ),
    )
    oltr: OltrConfig = field(default_factory=OltrConfig, metadata=described("of method oltr"))
    fsa: FsaConfig = field(default_factory=FsaConfig, metadata=described("of method fsa"))
    mbj: MbjConfig = field(default_factory=MbjConfig, metadata=described("of method mbj"))
    loss: LossConfig = field(default_factory=LossConfig, metadata=described("loss of the method"))
    sampling: Sampling = field(
        default="instance", metadata=described("how training images are drawn: class_balanced is RS")
    )
    deferral: DeferralConfig = field(
        default_factory=DeferralConfig, metadata=described("what comes before the method")
    )
    training: TrainingConfig = field(
        default_factory=TrainingConfig, metadata=described("optimiser, schedule, loop")
    )
    init_from: str | None = field(
        default=None,
        metadata=described(
            "checkpoint of another run: after the last common epoch, to branch off (deferral), or of the "
            "first stage (crt, lws, oltr, fsa)"
        ),
    )
    seed: int = field(
        default=1,
        metadata=described("seed of the initial weights, the order of images and their augmentation"),
    )
    save_dir: str = field(default="runs/vision", metadata=described("folder of the run"))

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        if self.is_second_stage and self.init_from is None:
            raise UserError(
                f"method {self.method} trains a second stage: give init_from=CHECKPOINT of the first"
            )
        if self.method == "oltr":
            self._check_own_head()
        if self.method == "fsa" and self.training.batch_size % self.fsa.bundle:
            raise UserError(
                f"training.batch_size: {self.training.batch_size} with method fsa, expected a multiple of "
                f"{self.fsa.bundle}, which is 2 (1 + fsa.augmented): head images, a tail image and what is "
                "made of it"
            )
        if self.plain_epochs >= self.epochs:
            scale = self.training.schedule_scale
            raise UserError(
                f"deferral.plain_epochs: {self.plain_epochs} of {self.epochs} epochs, expected fewer"
                + (f" (both are counted after training.schedule_scale={scale:g})" if scale != 1 else "")
            )

    def _check_own_head(self) -> None:
        """Raise UserError for options that conflict with a method's own classifier."""
        if self.model.head != "auto":
            raise UserError(
                f"model.head: {self.model.head} with method {self.method}, which has a cosine classifier of "
                "its own: leave it out"
            )
        for key, loss in (("loss", self.loss), ("deferral.loss", self.deferral.loss)):
            if loss.name == "ldam":
                raise UserError(
                    f"{key}.name: ldam with method {self.method}, expected a loss of any logits: ldam wants "
                    "plain cosines, and scales them itself"
                )

    @property
    def is_second_stage(self) -> bool:
        """Whether the run starts from the features of another one."""
        return self.method in SECOND_STAGES

    def check_images(self, images: int) -> None:
        """Check the options that depend on the number of training images.

        Raises:
            UserError: an option does not fit; the message says what is expected.
        """
        if self.method == "mbj":
            self.mbj.check_images(images)

    @property
    def epochs(self) -> int:
        """Number of epochs of the run, after scaling."""
        return self.training.scaled(self.training.epochs)

    @property
    def plain_epochs(self) -> int:
        """Number of epochs before the method starts, after scaling."""
        return self.training.scaled(self.deferral.plain_epochs)

    @property
    def uses_cosine_head(self) -> bool:
        """Whether the classifier is a cosine classifier, which LDAM needs."""
        if self.model.head != "auto":
            return self.model.head == "cosine"
        return self.loss.name == "ldam" or (self.plain_epochs > 0 and self.deferral.loss.name == "ldam")

    @property
    def cosine_scale(self) -> float | None:
        """Scale of a cosine classifier, that of LDAM (the last, if there are two); None for a linear one."""
        if not self.uses_cosine_head:
            return None
        first_ldam = self.deferral.loss if self.loss.name != "ldam" and self.plain_epochs else self.loss
        return options_of(first_ldam, Margins).scale

    def phase(self, epoch: int) -> Phase:
        """The settings of an epoch, counted from 1."""
        if epoch <= self.plain_epochs:
            return Phase(self.deferral.loss, "instance")
        return Phase(self.loss, self.sampling, self.mbj if self.method == "mbj" else None)

    def learning_rate(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate of a step, counted from 0 over the whole run.

        The first ``warmup_epochs`` are the warm-up. At a milestone m the learning rate decays after m whole
        epochs, as in the settings of Cao et al. 2019.
        """
        training = self.training
        warmup = round(training.warmup_epochs * training.schedule_scale * steps_per_epoch)
        if training.schedule == "cosine":
            steps = self.epochs * steps_per_epoch
            return half_cosine(step, training.learning_rate, warmup=warmup, steps=steps)
        return step_decay(
            step,
            training.learning_rate,
            warmup=warmup,
            milestones=[training.scaled(milestone) * steps_per_epoch for milestone in training.milestones],
            decay=training.decay,
        )
