"""The contract of the two passes over the logits, ``[N, C]``, that every loss needs.

The first finds the log-odds of the targets, the second writes the gradient. There are three implementations
of the same two functions: compiled C for CPUs (``native``), Triton for GPUs (``triton_kernels``), and torch's
own operations (``portable``) for whatever device or dtype the others do not take. ``dispatch`` chooses.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor

__all__ = ["Passes", "RowStatistics"]


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
