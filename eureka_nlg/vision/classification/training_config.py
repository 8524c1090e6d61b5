"""Options of the loop of a classification run, whose schedule is in epochs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from eureka_nlg.errors import UserError
from eureka_nlg.vision.loop_config import LoopConfig, check_at_least, described

__all__ = ["TrainingConfig"]


@dataclass
class EpochSchedule:
    """The length of a run and the schedule of its learning rate, in epochs."""

    epochs: int = field(default=200, metadata=described("passes over as many images as the training set has"))
    warmup_epochs: float = field(
        default=5.0, metadata=described("the learning rate rises linearly over these")
    )
    schedule: Literal["step", "cosine"] = field(
        default="step", metadata=described("schedule of the learning rate after the warm-up")
    )
    milestones: list[int] = field(
        default_factory=lambda: [160, 180],
        metadata=described("step: the learning rate decays after these epochs"),
    )
    decay: float = field(default=0.01, metadata=described("step: factor at each milestone"))
    schedule_scale: float = field(
        default=1.0,
        metadata=described(
            "factor of epochs, warm-up, milestones and plain_epochs: 0.3 for a run of 60 epochs of 200"
        ),
    )

    def __post_init__(self) -> None:
        check_at_least("training.epochs", self.epochs, 1)
        for name in ("warmup_epochs", "decay"):
            check_at_least(f"training.{name}", getattr(self, name), 0)
        if not self.schedule_scale > 0:
            raise UserError(f"training.schedule_scale: {self.schedule_scale}, expected more than 0")

    def scaled(self, epochs: float) -> int:
        """The number of epochs after scaling, rounded; at least 1 if it is positive."""
        return max(round(epochs * self.schedule_scale), 1 if epochs > 0 else 0)


@dataclass
class TrainingConfig(LoopConfig, EpochSchedule):
    """Options of the optimiser, the schedule and the loop."""

    analyse_training_images: bool = field(
        default=False,
        metadata=described("at the end, also the likelihood of the training images (the gap of Figure 6)"),
    )

    def __post_init__(self) -> None:
        EpochSchedule.__post_init__(self)
        LoopConfig.__post_init__(self)
