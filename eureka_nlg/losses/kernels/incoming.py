"""What gradients are multiplied with on their way back: one, or one over the number of accumulated batches.

On a CPU the gradient is written along with the loss. If it is multiplied with what the last two were, it
needs no more work; if that changes from batch to batch, nothing is known before.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["expect", "expected", "is_as_expected", "is_batched", "is_steady"]

_last = [1.0, 1.0]


def expected() -> float:
    """What the next gradient will be multiplied with, as far as is known; finite and not zero."""
    return _last[1] if math.isfinite(_last[1]) and _last[1] != 0.0 else 1.0


def expect(value: float) -> None:
    """Say what the next gradient will be multiplied with, where that is known and need not be guessed.

    A guess from the batches before decides about the last digit of a gradient, so that a training that was
    interrupted would end a rounding away from one that was not.
    """
    _last[:] = value, value


def is_steady() -> bool:
    """Whether the last two were the same."""
    return _last[0] == _last[1]


def is_as_expected(gradient: Tensor, was_expected: float) -> bool:
    """Whether it is what was expected; where looking costs nothing, it is remembered."""
    if gradient.device.type != "cpu" or is_batched(gradient):
        return False
    value = gradient.item()
    _last[:] = _last[1], value
    return value == was_expected


def is_batched(tensor: Tensor | None) -> bool:
    """Whether it stands for many at once, under ``is_grads_batched``."""
    functorch = torch._C._functorch
    return tensor is not None and (
        functorch.is_batchedtensor(tensor) or functorch.is_legacy_batchedtensor(tensor)
    )
