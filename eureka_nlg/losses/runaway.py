"""A warning if an unbounded loss runs away, that is, falls without end; docs/losses.md explains it."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from eureka_nlg.losses.bonus import bounding_options
from eureka_nlg.losses.checks import is_transformed

__all__ = ["RUNNING_AWAY", "RunawayWatch"]

RUNNING_AWAY = -100.0
"""A mean loss below this counts as running away. Bounded losses stay far above it: the lowest mean on
CIFAR-10-LT is -62, of EL + CB with ``likelihood_clamp=0.99999``."""

# Reading a number from a GPU waits for all queued work, so only one call in so many does it.
_CALLS_BETWEEN = 1000


class RunawayWatch:
    """Mixin for a loss that warns once if its mean falls below :data:`RUNNING_AWAY`."""

    # class attributes, for modules that were pickled without them
    _calls_watched = 0
    _has_warned = False

    def watch(self, mean: Tensor) -> None:
        """Check a mean loss: every one on CPUs, one in a thousand on other devices, none while tracing."""
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
                f"a mean loss of {value:.4g}: the exact Eureka loss is not bounded from below and is running "
                "away, which can ruin the model; "
            )

    def tell_running_away(self, message: str) -> None:
        """Warn, and name the option that bounds the loss, at the line that called the module."""
        # the levels in between: watch, forward and two methods of torch
        warnings.warn(f"{message}{bounding_options()} bounds it", stacklevel=6)


def _value(loss: Tensor) -> float:
    return loss.item()


def _is_cheap_to_read(loss: Tensor) -> bool:
    return loss.device.type == "cpu"


def _is_being_captured(loss: Tensor) -> bool:
    """Whether a CUDA graph is being recorded, during which nothing may synchronise."""
    return loss.device.type == "cuda" and torch.cuda.is_current_stream_capturing()
