"""The learning rate as a function of the step.

Functions, not schedulers with a state: there is nothing that a checkpoint could forget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["step_decay", "half_cosine"]


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


def half_cosine(step: int, highest: float, *, warmup: int, steps: int) -> float:
    """Linear warm-up, then half a cosine to 0 (Loshchilov and Hutter 2017, without restarts).

    Args:
        step: counted from 0 over the whole run.
        highest: rate that the last of the ``warmup`` steps has.
        warmup: steps over which the rate rises.
        steps: of the whole run.
    """
    if step < warmup:
        return highest * (step + 1) / warmup
    progress = (step - warmup) / max(steps - warmup, 1)
    return highest * 0.5 * (1 + math.cos(math.pi * progress))
