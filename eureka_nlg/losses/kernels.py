"""Any loss that is a function of the target's log-odds, and its gradient, in one pass over the logits.

With ``u = z_y - logsumexp_{k != y} z_k``, ``q_j`` the softmax over the classes other than the target, and a
loss ``f(u)``, the gradient is ``f'(u)`` at the target and ``-f'(u) q_j`` elsewhere (notes on the paper,
section 2). So the exponentials are taken once, and the gradient is written where they were computed, a few
rows at a time, while these are in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["fused_loss"]

# (log-odds of some rows, which rows) -> (loss, derivative with respect to the log-odds) of these rows
RowLoss = Callable[[Tensor, slice], tuple[Tensor, Tensor]]

_CHUNK_BYTES = 1 << 21


def fused_loss(
    logits: Tensor,
    target: Tensor,
    row_loss: RowLoss,
    *,
    smoothing: Tensor | None = None,
    weight: Tensor | None = None,
    scale: Tensor | None = None,
    reduce: bool = True,
) -> tuple[Tensor, Tensor]:
    """Loss of the rows, and the log-odds of their targets.

    Args:
        logits: ``[N, C]``, floating; computed in float32 unless float64. Its gradient takes the only further
            memory of this size, and only if one is needed.
        target: ``[N]`` class indices in ``[0, C)``.
        row_loss: the scalar function and its derivative; 0 for rows that do not count.
        smoothing: ``[N]``, label smoothing times what else scales a row's cross-entropy; None for none.
        weight: ``[C]``, class weights in the label smoothing.
        scale: scalar that multiplies the sum (1 / number of rows for a mean).
        reduce: return the sum; otherwise the rows.

    Returns:
        The loss, a scalar or ``[N]``, and the log-odds ``[N]``, which have no gradient; both in the dtype of
        the computation.
    """
    return _FusedLoss.apply(logits, target, row_loss, smoothing, weight, scale, reduce)


class _FusedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        target: Tensor,
        row_loss: RowLoss,
        smoothing: Tensor | None,
        weight: Tensor | None,
        scale: Tensor | None,
        reduce: bool,
    ) -> tuple[Tensor, Tensor]:
        loss, log_odds, gradient = _sweep(
            logits,
            target,
            row_loss,
            smoothing,
            weight,
            scale,
            # float16 has no range below its own loss scale: there the gradient waits for the backward pass
            with_gradient=ctx.needs_input_grad[0] and logits.dtype != torch.float16,
        )
        ctx.save_for_backward(logits, target, smoothing, weight, scale)
        ctx.row_loss = row_loss
        ctx.gradient = gradient
        ctx.mark_non_differentiable(log_odds)
        return (loss.sum() if reduce else loss), log_odds

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph
            raise RuntimeError("the fused loss has no second derivative: give impl='reference'")
        # The buffer is handed on, so it serves one backward pass; another (retain_graph) computes it again.
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            logits, target, smoothing, weight, scale = ctx.saved_tensors
            scale = grad_loss if scale is None else grad_loss * scale
            _, _, gradient = _sweep(
                logits, target, ctx.row_loss, smoothing, weight, scale, with_gradient=True
            )
        elif grad_loss.dim() == 1:
            gradient.mul_(grad_loss.unsqueeze(-1))
        elif grad_loss.device.type != "cpu" or grad_loss != 1.0:  # reading it would wait for a GPU
            gradient.mul_(grad_loss)
        return gradient, None, None, None, None, None, None


def _sweep(
    logits: Tensor,
    target: Tensor,
    row_loss: RowLoss,
    smoothing: Tensor | None,
    weight: Tensor | None,
    scale: Tensor | None,
    with_gradient: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    num_rows, num_classes = logits.shape
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    loss = torch.empty(num_rows, dtype=dtype, device=logits.device)
    log_odds = torch.empty_like(loss)
    gradient = torch.empty_like(logits, memory_format=torch.contiguous_format) if with_gradient else None
    rows_at_once = max(1, min(num_rows, _CHUNK_BYTES // (num_classes * loss.element_size())))
    if logits.device.type != "cpu":
        rows_at_once = max(1, num_rows)  # a GPU wants few, large kernels
    # The exponentials are taken in the gradient itself where it has the dtype for it, else in a small buffer.
    in_place = gradient is not None and gradient.dtype == dtype
    if gradient is not None and in_place:
        workspace = gradient
    else:
        workspace = torch.empty(rows_at_once, num_classes, dtype=dtype, device=logits.device)

    for start in range(0, num_rows, rows_at_once):
        rows = slice(start, min(start + rows_at_once, num_rows))
        index = target[rows].unsqueeze(-1)
        work = workspace[rows] if in_place else workspace[: rows.stop - start]
        work.copy_(logits[rows])
        target_logit = work.gather(-1, index)
        # The others get their own maximum: relative to the target's, all of them could underflow.
        work.scatter_(-1, index, -math.inf)
        top = work.amax(-1, keepdim=True)
        alone = top == -math.inf
        top.masked_fill_(alone, 0.0)
        work.sub_(top)
        if smoothing is not None:
            work.scatter_(-1, index, 0.0)
            sum_of_others = (work if weight is None else work * weight).sum(-1)
            work.scatter_(-1, index, -math.inf)
        work.exp_()
        mass = work.sum(-1, keepdim=True)
        relative_target = target_logit - top
        u = (relative_target - mass.log()).squeeze(-1)
        u = torch.where(alone.squeeze(-1), target_logit.squeeze(-1) + math.inf, u)
        u.masked_fill_(target_logit.squeeze(-1) == math.inf, math.nan)  # an overflow, not certainty
        log_odds[rows] = u
        loss[rows], slope = row_loss(u, rows)
        at_target, at_others = slope, -slope

        if smoothing is not None:
            # smoothing / C * sum_c w_c (logsumexp - z_c), all logits relative to the top
            share = smoothing[rows] / num_classes
            total = num_classes if weight is None else weight.sum()
            own = (
                relative_target.squeeze(-1)
                if weight is None
                else relative_target.squeeze(-1) * weight[target[rows]]
            )
            logsumexp = relative_target.squeeze(-1) - F.logsigmoid(u)
            loss[rows] += torch.where(share == 0.0, 0.0, share * (total * logsumexp - sum_of_others - own))
            at_target = at_target + share * total * torch.sigmoid(u)
            at_others = at_others + share * total * torch.sigmoid(-u)
        if gradient is None:
            continue
        if scale is not None:
            factor = scale if scale.dim() == 0 else scale[rows]
            at_target, at_others = at_target * factor, at_others * factor
        work.mul_(at_others.unsqueeze(-1) / torch.where(alone, 1.0, mass))
        work.scatter_(-1, index, at_target.unsqueeze(-1))
        if smoothing is not None:
            constant = (share if scale is None else share * factor).unsqueeze(-1)
            work.sub_(constant if weight is None else constant * weight)
        if not in_place:
            gradient[rows] = work
    if scale is not None:
        loss *= scale
    return loss, log_odds, gradient
