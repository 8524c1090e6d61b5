"""The target's log-odds in plain autograd: the reference that the kernels are held against.

Serves double backward, forward mode, ``torch.func`` transforms and ``torch.compile``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["reference_log_odds"]


def reference_log_odds(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, with_uniform: bool = False
) -> tuple[Tensor, Tensor | None]:
    """As :func:`eureka_nlg.losses.kernels.fused_log_odds`, except that every target must be in ``[0, C)``."""
    logits = logits.to(torch.float64 if logits.dtype == torch.float64 else torch.float32)
    index = target.unsqueeze(-1)
    target_logit = logits.gather(-1, index).squeeze(-1)
    others = logits.scatter(-1, index, -math.inf)
    # logsumexp of nothing but -inf has a NaN gradient, so such rows go around it.
    alone = (others == -math.inf).all(-1)
    others = torch.where(alone.unsqueeze(-1), 0.0, others)
    # Relative to the largest, or the logsumexp of large logits would be rounded coarsely.
    top = others.detach().amax(-1, keepdim=True)
    difference = (target_logit - top.squeeze(-1)) - (others - top).logsumexp(-1)
    log_odds = torch.where(alone, target_logit.detach() + math.inf, difference)
    # A logit of +inf is an overflow, not certainty: it must show, in the gradient too.
    log_odds = log_odds + torch.where(target_logit == math.inf, torch.nan, torch.zeros_like(log_odds))
    if not with_uniform:
        return log_odds, None
    costs = -logits.log_softmax(-1)
    share = 1.0 / (logits.shape[-1] or 1) if weight is None else weight / weight.sum()
    return log_odds, (costs * share).sum(-1)
