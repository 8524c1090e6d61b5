"""A warning while a loss without a floor runs away; docs/losses.md explains why one does."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from eureka_nlg.losses.bonus import bounding_options
from eureka_nlg.losses.checks import is_transformed

__all__ = ["RUNNING_AWAY", "RunawayWatch"]

RUNNING_AWAY = -100.0
"""A mean loss below this is running away. No loss with a floor comes near: the lowest on CIFAR-10-LT is -62,
of EL + CB clamped at 0.99999."""

# Reading a number from a GPU waits for all its queued work, so it is done only once in so many calls.
_CALLS_BETWEEN = 1000


class RunawayWatch:
    """What such a loss inherits, to tell once when its mean is below :data:`RUNNING_AWAY`."""

    # of the class, so that modules that were pickled before have them
    _calls_watched = 0
    _has_warned = False

    def watch(self, mean: Tensor) -> None:
        """Look at a mean loss: each one on CPUs, one in a thousand elsewhere, none that torch traces."""
        if is_transformed(mean) or self._has_warned or mean.device.type == "meta":
            return
        if not _is_cheap_to_read(mean):
            self._calls_watched += 1
            if self._calls_watched % _CALLS_BETWEEN or _is_being_captured(mean):
                return
        value = _value(mean)
        if value < RUNNING_AWAY:
            self._has_warned = True
            self.tell_running_away(
                f"a mean loss of {value:.4g}: the exact Eureka loss has no floor and is running away, which "
                "the model will show; "
            )

    def tell_running_away(self, message: str) -> None:
        """Say it, and which option mends it: a warning where the module was called."""
        # through watch, forward and two methods of torch
        warnings.warn(f"{message}{bounding_options()} bounds it", stacklevel=6)


def _value(loss: Tensor) -> float:
    return loss.item()


def _is_cheap_to_read(loss: Tensor) -> bool:
    return loss.device.type == "cpu"


def _is_being_captured(loss: Tensor) -> bool:
    """Whether it is being recorded in a CUDA graph, where nothing may wait."""
    return loss.device.type == "cuda" and torch.cuda.is_current_stream_capturing()
