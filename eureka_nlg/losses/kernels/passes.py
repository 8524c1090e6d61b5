"""The contract of the two passes over the logits, ``[N, C]``, that every loss needs.

The first finds the log-odds of the targets, the second writes the gradient. There are three implementations
of the same two functions: compiled C for CPUs (``native``), Triton for GPUs (``triton_kernels``), and torch's
own operations (``portable``) for whatever device or dtype the others do not take. ``dispatch`` chooses.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

__all__ = ["Passes", "RowStatistics", "check_target"]


class RowStatistics(NamedTuple):
    """What one pass over the logits finds out about each row, ``[N]`` in the dtype of the computation.

    Attributes:
        log_odds: ``z_y - logsumexp_{k != y} z_k``; +inf where no other class has mass, NaN in rows without a
            target and in those whose target's logit is +inf.
        uniform: cross-entropy against the uniform distribution, ``sum_c w_c * -log p_c / sum_c w_c``, which
            label smoothing needs; None if not asked for.
        top: the largest logit of the other classes, 0 where there is none.
        mass: the sum of their exponentials relative to the largest.
    """

    log_odds: Tensor
    uniform: Tensor | None
    top: Tensor
    mass: Tensor


class Passes(Protocol):
    """The two passes in one implementation."""

    def row_statistics(
        self, logits: Tensor, target: Tensor, weight: Tensor | None, with_uniform: bool
    ) -> RowStatistics:
        """Read the logits. Rows with a negative target are left out."""

    def write_gradient(
        self,
        logits: Tensor,
        target: Tensor,
        weight: Tensor | None,
        found: RowStatistics,
        grad_log_odds: Tensor,
        grad_uniform: Tensor | None,
        out: Tensor,
    ) -> None:
        """Write the gradient with respect to the logits to ``out``, which may be the logits themselves.

        Rows with a negative target, and rows whose two gradients are zero, become zero.
        """


def check_target(target: Tensor, num_classes: int) -> None:
    """Raise IndexError if a target is no class. A GPU is not waited for: there an assertion fails later."""
    if target.numel() == 0:
        return
    if target.device.type == "cuda":
        torch._assert_async(((target >= 0) & (target < num_classes)).all())
    if target.device.type != "cpu":
        return
    low, high = (int(value) for value in target.aminmax())
    if low < 0 or high >= num_classes:
        raise IndexError(
            f"target {low if low < 0 else high} is out of bounds for {num_classes} classes: expected 0 to "
            f"{num_classes - 1}, or ignore_index"
        )
