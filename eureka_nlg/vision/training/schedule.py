"""The learning rate as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from eureka_nlg.vision.config import Config

__all__ = ["learning_rate", "step_decay"]


def step_decay(step: int, highest: float, *, warmup: int, milestones: Sequence[int], decay: float) -> float:
    """Linear warm-up (Goyal et al. 2017), then a fall at each milestone.

    Args:
        step: counted from 0 over the whole run.
        highest: rate that the last of the ``warmup`` steps has, and all until the first milestone.
        warmup: steps over which the rate rises.
        milestones: the rate falls after so many steps.
        decay: factor of each fall.
    """
    if step < warmup:
        return highest * (step + 1) / warmup
    return highest * decay ** sum(step >= milestone for milestone in milestones)


def learning_rate(config: Config, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step of classification: warm-up, then step decay or half a cosine to 0.

    The warm-up is over the first ``warmup_epochs``. A milestone m is passed after m whole epochs, as in the
    settings of Cao et al. 2019. A function, not a scheduler with a state: there is nothing that a checkpoint
    could forget.

    Args:
        config: its ``training`` section is used, scaled.
        step: counted from 0 over the whole run.
        steps_per_epoch: of the training data.
    """
    training = config.training
    warmup = round(training.warmup_epochs * training.schedule_scale * steps_per_epoch)
    if training.schedule == "cosine" and step >= warmup:
        progress = (step - warmup) / max(config.epochs * steps_per_epoch - warmup, 1)
        return training.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
    return step_decay(
        step,
        training.learning_rate,
        warmup=warmup,
        milestones=[training.scaled(milestone) * steps_per_epoch for milestone in training.milestones],
        decay=training.decay,
    )
