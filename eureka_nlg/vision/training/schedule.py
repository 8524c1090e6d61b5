"""The learning rate as a function of the step."""

from __future__ import annotations

import math
from typing import Protocol

from eureka_nlg.vision.config import TrainingConfig

__all__ = ["Schedule", "learning_rate"]


class Schedule(Protocol):
    """What the loop reads of a config.

    Attributes:
        training: optimiser, schedule and the loop.
    """

    training: TrainingConfig

    @property
    def epochs(self) -> int:
        """Of the run, scaled."""


def learning_rate(config: Schedule, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step: linear warm-up (Goyal et al. 2017), then step decay or half a cosine to 0.

    The warm-up is over the first ``warmup_epochs``; its last step has the full rate. A milestone m is passed
    after m whole epochs, as in the settings of Cao et al. 2019. A function, not a scheduler with a state:
    there is nothing that a checkpoint could forget.

    Args:
        config: its ``training`` section is used, scaled.
        step: counted from 0 over the whole run.
        steps_per_epoch: of the training data.
    """
    training = config.training
    warmup = round(training.warmup_epochs * training.schedule_scale * steps_per_epoch)
    if step < warmup:
        return training.learning_rate * (step + 1) / warmup
    if training.schedule == "cosine":
        progress = (step - warmup) / max(config.epochs * steps_per_epoch - warmup, 1)
        return training.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
    epochs_done = step // steps_per_epoch
    passed = sum(epochs_done >= training.scaled(milestone) for milestone in training.milestones)
    return training.learning_rate * training.decay**passed
