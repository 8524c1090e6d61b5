"""The contract of the two passes over the logits, ``[N, C]``, that every loss needs.

The first pass computes the log-odds of the targets, and the second writes the gradient. The two functions
have three implementations: compiled C for CPUs (``native``), Triton for GPUs (``triton_kernels``), and
torch's own operations for all other devices and dtypes (``portable``). ``dispatch`` chooses one of them.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

__all__ = ["Passes", "RowStatistics", "check_target"]


class RowStatistics(NamedTuple):
    """Results of the first pass over the logits, each ``[N]`` in the dtype of the computation.

    Attributes:
        log_odds: ``z_y - logsumexp_{k != y} z_k``; +inf if no other class has mass, NaN in ignored rows and
            if the target's logit is +inf.
        uniform: cross-entropy against the uniform distribution, ``sum_c w_c * -log p_c / sum_c w_c``, for
            label smoothing; None if it was not requested.
        top: the largest logit of the other classes; 0 if there is none.
        mass: ``sum_{k != y} exp(z_k - top)``.
    """

    log_odds: Tensor
    uniform: Tensor | None
    top: Tensor
    mass: Tensor


class Passes(Protocol):
    """An implementation of the two passes."""

    def row_statistics(
        self, logits: Tensor, target: Tensor, weight: Tensor | None, with_uniform: bool
    ) -> RowStatistics:
        """The first pass.

        Args:
            logits: ``[N, C]``, floating.
            target: ``[N]`` int64 in ``[0, C)``; negative in rows to ignore.
            weight: ``[C]``, class weights of the uniform cross-entropy; None for equal weights.
            with_uniform: whether to compute the uniform cross-entropy.
        """

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
        """The second pass: write the gradient with respect to the logits.

        Args:
            logits, target, weight: as in the first pass.
            found: the results of the first pass, of which ``uniform`` is not read.
            grad_log_odds, grad_uniform: ``[N]``, gradients of these results; None for no uniform
                cross-entropy. Rows in which both are zero, and ignored rows, get a gradient of zero.
            out: ``[N, C]``, contiguous, in the dtype of the logits; it may be the logits themselves.
        """


def check_target(target: Tensor, num_classes: int) -> None:
    """Raise IndexError if a target is no class; on a GPU, an assertion fails later, without waiting."""
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
