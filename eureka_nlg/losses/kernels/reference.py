"""The target's log-odds in plain autograd: the reference that the kernels are compared with.

It is also used for second derivatives, forward-mode differentiation and ``torch.func`` transforms.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from eureka_nlg.losses.kernels.passes import RowStatistics

__all__ = ["reference_gradient", "reference_log_odds"]


def reference_log_odds(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, with_uniform: bool = False
) -> tuple[Tensor, Tensor | None]:
    """As :func:`eureka_nlg.losses.kernels.fused_log_odds`, but every target must be in ``[0, C)``."""
    logits = logits.to(torch.float64 if logits.dtype == torch.float64 else torch.float32)
    if logits.shape[-1] == 0:  # then there are no rows either, but the operations below need a class
        logits = logits.new_zeros(len(logits), 1) + logits.sum()
    index = target.unsqueeze(-1)
    target_logit = logits.gather(-1, index).squeeze(-1)
    others = logits.scatter(-1, index, -math.inf)
    # logsumexp has a NaN gradient if all its inputs are -inf, so such rows are replaced.
    alone = (others == -math.inf).all(-1)
    others = torch.where(alone.unsqueeze(-1), 0.0, others)
    # Relative to the largest logit, since the logsumexp of large logits would be rounded coarsely.
    top = others.detach().amax(-1, keepdim=True)
    difference = (target_logit - top.squeeze(-1)) - (others - top).logsumexp(-1)
    log_odds = torch.where(alone, target_logit.detach() + math.inf, difference)
    # A target logit of +inf is an overflow, not certainty: the result and its gradient must be NaN.
    log_odds = log_odds + torch.where(target_logit == math.inf, torch.nan, torch.zeros_like(log_odds))
    if not with_uniform:
        return log_odds, None
    costs = -logits.log_softmax(-1)
    share = 1.0 / (logits.shape[-1] or 1) if weight is None else weight / weight.sum()
    return log_odds, (costs * share).sum(-1)


def reference_gradient(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    found: RowStatistics,
    grad_log_odds: Tensor,
    grad_uniform: Tensor | None,
) -> Tensor:
    """The second pass without in-place operations, so that torch can batch it over incoming gradients.

    Returns the gradient; see :class:`eureka_nlg.losses.kernels.passes.Passes` for the arguments.
    """
    dtype = found.mass.dtype
    others = (logits.to(dtype) - found.top.unsqueeze(-1)).exp() / found.mass.unsqueeze(-1)
    others = torch.where((found.mass == 0.0).unsqueeze(-1), 0.0, others)
    of_others, at_target, is_zero = -grad_log_odds, grad_log_odds, grad_log_odds == 0.0
    at_all = torch.zeros_like(others)
    if grad_uniform is not None:
        weight = torch.ones_like(found.mass[:1]).expand(others.shape[-1]) if weight is None else weight
        of_others = of_others + grad_uniform * torch.sigmoid(-found.log_odds)
        at_target = at_target + grad_uniform * torch.sigmoid(found.log_odds)
        at_all = grad_uniform.unsqueeze(-1) * (weight / weight.sum())
        is_zero = is_zero & (grad_uniform == 0.0)
    classes = torch.arange(others.shape[-1], dtype=target.dtype, device=logits.device)
    is_target = classes == target.unsqueeze(-1)
    gradient = torch.where(is_target, at_target.unsqueeze(-1), of_others.unsqueeze(-1) * others) - at_all
    return torch.where((is_zero | (target < 0)).unsqueeze(-1), 0.0, gradient).to(logits.dtype)
