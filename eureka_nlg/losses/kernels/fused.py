"""The target's log-odds as one differentiable operation.

With ``u = z_y - logsumexp_{k != y} z_k`` and ``q_j`` the softmax over the classes other than the target,
``du/dz_y = 1`` and ``du/dz_j = -q_j`` for ``j != y``. Every loss of the paper is a scalar function of u, so
what follows this operation is plain autograd on one number per row.

Between the forward and the backward pass only three numbers per row are kept. The backward pass reads the
logits again, computes their exponentials again and writes the gradient, which is the only other memory of
their size. Since the exponentials are vectorised, this costs less than keeping them.

If the compiled pass knows the loss and its reduction, it writes the gradient together with the loss, while a
row is still in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from eureka_nlg.losses.kernels import incoming, native
from eureka_nlg.losses.kernels.dispatch import passes_for
from eureka_nlg.losses.kernels.native import LossOfRows
from eureka_nlg.losses.kernels.operator import left_out
from eureka_nlg.losses.kernels.passes import RowStatistics
from eureka_nlg.losses.kernels.reference import reference_gradient, reference_log_odds

__all__ = ["fused_log_odds", "fused_loss"]


def fused_log_odds(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, with_uniform: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Log-odds of the targets, and the uniform cross-entropy for label smoothing; differentiable once.

    Args:
        logits: ``[N, C]``, floating; computed in float32 unless float64.
        target: ``[N]`` int64 in ``[0, C)``; negative in rows to ignore, whose result is NaN and whose
            gradient is zero.
        weight: ``[C]``, class weights of the uniform cross-entropy, in the dtype of the computation; None
            for equal weights.
        with_uniform: whether to compute the uniform cross-entropy.

    Returns:
        ``log_odds`` and ``uniform`` of :class:`eureka_nlg.losses.kernels.passes.RowStatistics`.
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
        logits, target, weight, log_odds, top, mass = ctx.saved_tensors
        of_log_odds, of_uniform = gradients
        if torch.is_grad_enabled():  # create_graph
            return _differentiable(logits, target, weight, of_log_odds, of_uniform), None, None, None
        if of_log_odds is None:
            of_log_odds = torch.zeros_like(mass)
        found = RowStatistics(log_odds, None, top, mass)
        return _gradient(logits, target, weight, found, of_log_odds, of_uniform, None), None, None, None


def fused_loss(
    logits: Tensor, target: Tensor, of: LossOfRows, again: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """The loss by one call of the compiled pass.

    Args:
        logits: ``[N, C]``, of a dtype that :func:`eureka_nlg.losses.kernels.native.supports`.
        target: ``[N]`` int64, classes or ``ignore_index``.
        of: the loss.
        again: computes the same loss from logits in plain autograd, for a second derivative.

    Returns:
        The loss, reduced or ``[N]``, and the log-odds ``[N]``, which have no gradient.

    Raises:
        IndexError: a target is neither a class nor ``ignore_index``.
    """
    if logits.stride(-1) != 1 and logits.shape[1] != 1:
        logits = logits.contiguous()
    statistics: list[Tensor] = []
    loss = _FusedLoss.apply(logits, target.contiguous(), of, again, statistics)
    return loss, statistics[0][0]


class _FusedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        target: Tensor,
        of: LossOfRows,
        again: Callable[[Tensor], Tensor],
        statistics: list[Tensor],
    ) -> Tensor:
        gradient = None
        if ctx.needs_input_grad[0] and of.reduction != "none" and incoming.is_steady() and incoming.is_kept():
            gradient = torch.empty_like(logits, memory_format=torch.contiguous_format)
        ctx.incoming = incoming.expected()
        loss, found = native.loss(logits, target, of, gradient, ctx.incoming)
        statistics.append(found)  # handed back in a list: a second result would make autograd slower
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(logits, target, found, gradient)
            ctx.of, ctx.again, ctx.is_handed_over = of, again, False
        return loss

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        logits, target, found, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph
            with torch.enable_grad():
                loss = ctx.again(logits)
            (second,) = torch.autograd.grad(loss, logits, grad_loss, create_graph=True)
            return second, None, None, None, None
        # The gradient is handed over only once, since its receiver may change it; and as a new tensor on the
        # same memory, since autograd would copy a tensor that is saved here.
        gradient = None if gradient is None or ctx.is_handed_over else gradient.data
        ctx.is_handed_over = True
        is_whole = ctx.of.reduction != "none" and incoming.is_as_expected(grad_loss, ctx.incoming)
        if is_whole and gradient is not None:
            return gradient, None, None, None, None
        log_odds, of_log_odds, of_uniform, top, mass, _ = found
        statistics = RowStatistics(log_odds, None, top, mass)
        weight = ctx.of.weight if ctx.of.label_smoothing > 0.0 else None
        slopes = of_log_odds * grad_loss, of_uniform * grad_loss if ctx.of.label_smoothing > 0.0 else None
        target = left_out(target, ctx.of.ignore_index)
        whole = _gradient(logits, target, weight, statistics, *slopes, gradient)
        return whole, None, None, None, None


def _gradient(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    found: RowStatistics,
    of_log_odds: Tensor,
    of_uniform: Tensor | None,
    out: Tensor | None,
) -> Tensor:
    """Gradient of the logits for slopes ``[N]``, or for a batch of slopes under ``is_grads_batched``."""
    if incoming.is_batched(of_log_odds) or incoming.is_batched(of_uniform):
        return reference_gradient(logits, target, weight, found, of_log_odds, of_uniform)
    if out is None:
        out = torch.empty_like(logits, memory_format=torch.contiguous_format)
    passes_for(logits).write_gradient(logits, target, weight, found, of_log_odds, of_uniform, out)
    return out


def _differentiable(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    of_log_odds: Tensor | None,
    of_uniform: Tensor | None,
) -> Tensor:
    """The gradient in plain autograd, which can be differentiated again."""
    kept = target >= 0
    with torch.enable_grad():
        clean = torch.where(kept.unsqueeze(-1), logits, 0.0)
        values = reference_log_odds(clean, torch.where(kept, target, 0), weight, of_uniform is not None)
        pairs = [
            (value, torch.where(kept, slope, 0.0))
            for value, slope in zip(values, (of_log_odds, of_uniform))
            if value is not None and slope is not None
        ]
    outputs, slopes = zip(*pairs)
    return torch.autograd.grad(outputs, logits, slopes, create_graph=True)[0]
