"""Predicts the factor that backpropagation multiplies the loss's gradient by: 1, or 1 / accumulated batches.

On a CPU the gradient is written together with the loss, before the factor is known. It is written for the
factor of the last two batches, and needs no further work if the next one is the same. If the factor changes
from batch to batch, it cannot be predicted.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["expect", "expected", "is_as_expected", "is_batched", "is_kept", "is_steady"]

_last = [1.0, 1.0]
_hooks_of_saved_tensors = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)


def expected() -> float:
    """The predicted factor of the next gradient, finite and not zero."""
    return _last[1] if math.isfinite(_last[1]) and _last[1] != 0.0 else 1.0


def expect(value: float) -> None:
    """Set the factor of the next gradient, if the caller knows it.

    The prediction affects how a gradient is rounded. Since it depends on earlier batches, a resumed training
    could differ from an uninterrupted one in the last digit; with a known factor it does not.
    """
    _last[:] = value, value


def is_steady() -> bool:
    """Whether the last two factors were equal, so that the next one can be predicted."""
    return _last[0] == _last[1]


def is_kept() -> bool | None:
    """Whether the backward pass will have the very tensors that are saved now; None if torch does not tell.

    A checkpoint, which sets hooks of saved tensors, computes them again. By then the last factors may be
    others, and a saved gradient would be multiplied by one factor and divided by another: nothing may be
    predicted. Versions of torch before 2.8 do not tell whether there are hooks.
    """
    return None if _hooks_of_saved_tensors is None else _hooks_of_saved_tensors(True) is None


def is_as_expected(gradient: Tensor, was_expected: float) -> bool:
    """Whether the factor is the predicted one; on the CPU, where reading it is free, it is remembered."""
    if gradient.device.type != "cpu" or is_batched(gradient):
        return False
    value = gradient.item()
    _last[:] = _last[1], value
    return value == was_expected


def is_batched(tensor: Tensor | None) -> bool:
    """Whether the tensor stands for a batch of gradients, under ``is_grads_batched``."""
    functorch = torch._C._functorch
    return tensor is not None and (
        functorch.is_batchedtensor(tensor) or functorch.is_legacy_batchedtensor(tensor)
    )
