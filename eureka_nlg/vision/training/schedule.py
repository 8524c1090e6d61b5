"""The learning rate as a function of the step.

They are functions instead of schedulers with a state, so that a checkpoint need not store one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["step_decay", "half_cosine"]


def step_decay(step: int, highest: float, *, warmup: int, milestones: Sequence[int], decay: float) -> float:
    """Linear warm-up (Goyal et al. 2017), then a decay at each milestone.

    Args:
        step: step, counted from 0 over the whole run.
        highest: learning rate from the last warm-up step to the first milestone.
        warmup: number of warm-up steps.
        milestones: numbers of steps after which the learning rate decays.
        decay: factor at each milestone.
    """
    if step < warmup:
        return highest * (step + 1) / warmup
    return highest * decay ** sum(step >= milestone for milestone in milestones)


def half_cosine(step: int, highest: float, *, warmup: int, steps: int) -> float:
    """Linear warm-up, then half a cosine to 0 (Loshchilov and Hutter 2017, without restarts).

    Args:
        step: step, counted from 0 over the whole run.
        highest: learning rate of the last warm-up step.
        warmup: number of warm-up steps.
        steps: number of steps of the whole run.
    """
    if step < warmup:
        return highest * (step + 1) / warmup
    progress = (step - warmup) / max(steps - warmup, 1)
    return highest * 0.5 * (1 + math.cos(math.pi * progress))
