"""The target's log-odds as one differentiable operation.

With ``u = z_y - logsumexp_{k != y} z_k`` and ``q_j`` the softmax over the classes other than the target,
``du/dz_y = 1`` and ``du/dz_j = -q_j`` (notes on the paper, section 2). Every loss of the paper is a scalar
function of u, so what follows this operation is plain autograd on one number a row.

Between the forward and the backward pass nothing is kept but three numbers a row: the backward pass reads
the logits again, takes their exponentials again and writes the gradient, the only other memory of their
size. With vectorised exponentials that costs less than keeping them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from eureka_nlg.losses.kernels.dispatch import passes_for
from eureka_nlg.losses.kernels.passes import RowStatistics

__all__ = ["fused_log_odds"]


def fused_log_odds(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, with_uniform: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Log-odds of the targets, and the uniform cross-entropy for label smoothing; differentiable once.

    Args:
        logits: ``[N, C]``, floating; computed in float32 unless float64.
        target: ``[N]`` int64 in ``[0, C)``, negative for rows to leave out (NaN, and gradient zero).
        weight: ``[C]``, class weights in the uniform cross-entropy, in the dtype of the computation; None for
            equal ones.
        with_uniform: compute it.

    Returns:
        As in :class:`eureka_nlg.losses.kernels.passes.RowStatistics`; the second is None if not asked for.
    """
    return _FusedLogOdds.apply(logits, target, weight, with_uniform)


class _FusedLogOdds(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, weight: Tensor | None, with_uniform: bool
    ) -> tuple[Tensor, Tensor | None]:
        found = passes_for(logits).row_statistics(logits, target, weight, with_uniform)
        ctx.save_for_backward(logits, target, weight, found.log_odds, found.top, found.mass)
        return found.log_odds, found.uniform

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph
            raise RuntimeError("the fused loss has no second derivative: give impl='reference'")
        logits, target, weight, log_odds, top, mass = ctx.saved_tensors
        of_log_odds, of_uniform = gradients
        if of_log_odds is None:
            of_log_odds = torch.zeros_like(mass)
        out = torch.empty_like(logits, memory_format=torch.contiguous_format)
        found = RowStatistics(log_odds, None, top, mass)
        passes_for(logits).write_gradient(logits, target, weight, found, of_log_odds, of_uniform, out)
        return out, None, None, None
