"""The passes over the logits in torch's own operations, for any device and any floating dtype."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from eureka_nlg.losses.kernels.passes import RowStatistics

__all__ = ["row_statistics", "write_gradient"]

# Some rows are processed at a time: on a CPU they should fit the cache, on a GPU kernels should be large.
_CHUNK_BYTES_ON_CPU = 1 << 21
_CHUNK_BYTES_ELSEWHERE = 1 << 28


def row_statistics(
    logits: Tensor, target: Tensor, weight: Tensor | None, with_uniform: bool
) -> RowStatistics:
    """See :class:`eureka_nlg.losses.kernels.passes.Passes`."""
    num_rows = len(logits)
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    log_odds, top, mass = (torch.empty(num_rows, dtype=dtype, device=logits.device) for _ in range(3))
    uniform = torch.empty_like(log_odds) if with_uniform else None
    share = 1.0 / (logits.shape[-1] or 1) if weight is None else weight / weight.sum()
    for chunk in _chunks(logits):
        index = target[chunk].clamp(min=0).unsqueeze(-1)
        work = logits[chunk].to(dtype, copy=True)
        own = work.gather(-1, index)
        if uniform is not None:
            costs = work.log_softmax(-1).neg_()
            uniform[chunk] = costs.mul_(share).sum(-1)  # weighted first: a plain sum could overflow
            del costs
        # The maximum of the other classes only: relative to the target's logit, all of them could underflow.
        work.scatter_(-1, index, -math.inf)
        highest = work.amax(-1, keepdim=True)
        highest.masked_fill_(highest == -math.inf, 0.0)
        total = work.sub_(highest).exp_().sum(-1, keepdim=True)
        u = (own - highest) - total.log()
        u.masked_fill_(own == math.inf, math.nan)  # an overflow, not certainty
        log_odds[chunk], top[chunk], mass[chunk] = u.squeeze(-1), highest.squeeze(-1), total.squeeze(-1)
    log_odds.masked_fill_(target < 0, math.nan)
    if uniform is not None:
        uniform.masked_fill_(target < 0, math.nan)
    return RowStatistics(log_odds, uniform, top, mass)


def write_gradient(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    found: RowStatistics,
    grad_log_odds: Tensor,
    grad_uniform: Tensor | None,
    out: Tensor,
) -> None:
    """See :class:`eureka_nlg.losses.kernels.passes.Passes`."""
    of_others, at_target, is_zero = -grad_log_odds, grad_log_odds, grad_log_odds == 0.0
    of_weight = None
    if grad_uniform is not None:
        of_weight = grad_uniform / (logits.shape[1] if weight is None else weight.sum())
        own_weight = 1.0 if weight is None else weight[target.clamp(min=0)]
        of_others = of_others + grad_uniform * torch.sigmoid(-found.log_odds)
        at_target = at_target + grad_uniform * torch.sigmoid(found.log_odds) - of_weight * own_weight
        is_zero = is_zero & (grad_uniform == 0.0)
    is_zero = is_zero | (target < 0)
    of_mass = torch.where(found.mass == 0.0, 0.0, of_others / found.mass)
    at_target = at_target.masked_fill(is_zero, 0.0).unsqueeze(-1)
    for chunk in _chunks(logits):
        work = logits[chunk].to(found.mass.dtype, copy=True)
        work.sub_(found.top[chunk].unsqueeze(-1)).exp_().mul_(of_mass[chunk].unsqueeze(-1))
        if of_weight is not None:
            constant = of_weight[chunk].unsqueeze(-1)
            work.sub_(constant if weight is None else constant * weight)
        work.masked_fill_(is_zero[chunk].unsqueeze(-1), 0.0)
        work.scatter_(-1, target[chunk].clamp(min=0).unsqueeze(-1), at_target[chunk])
        out[chunk] = work


def _chunks(logits: Tensor) -> list[slice]:
    num_rows, num_classes = logits.shape
    chunk_bytes = _CHUNK_BYTES_ON_CPU if logits.device.type == "cpu" else _CHUNK_BYTES_ELSEWHERE
    size = max(1, chunk_bytes // (4 * max(1, num_classes)))
    return [slice(start, start + size) for start in range(0, num_rows, size)]
