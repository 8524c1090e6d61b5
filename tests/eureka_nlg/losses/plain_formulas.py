"""The losses as the paper writes them, naively in float64 and in exact decimals: what tests compare with.

Nothing here is shared with the package. The float64 formulas are for moderate logits; they can be
differentiated by autograd. The decimal ones hold for any logits.
"""

from __future__ import annotations

import decimal
import math
from collections.abc import Sequence

import torch
from torch import Tensor


def plain_eureka_loss(
    input: Tensor,
    target: Tensor,
    encouragement: Tensor | float | None = None,
    *,
    bonus: str = "likelihood",
    gamma: float = 1.0,
    threshold: float | None = None,
    likelihood_cap: float | None = None,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy against the smoothed target distribution, plus encouragement times bonus, in float64."""
    logits = input.double().movedim(1 if input.dim() > 1 else 0, -1)
    num_classes = logits.shape[-1]
    kept = target != ignore_index
    label = torch.where(kept, target, 0)
    one_hot = torch.eye(num_classes, dtype=torch.float64)[label]
    likelihoods = logits.exp() / logits.exp().sum(-1, keepdim=True)

    class_weight = torch.ones(num_classes, dtype=torch.float64) if weight is None else weight.double()
    smoothed = (1 - label_smoothing) * one_hot + label_smoothing / num_classes
    cross_entropy = -(class_weight * smoothed * likelihoods.log()).sum(-1)

    p = (likelihoods * one_hot).sum(-1)
    value = plain_bonus(p, bonus, gamma, likelihood_cap)
    if threshold is not None:
        phi = torch.tensor(threshold, dtype=torch.float64)
        value = torch.where(p > phi, value - plain_bonus(phi, bonus, gamma, likelihood_cap), 0.0)
    per_class = torch.ones(num_classes) if encouragement is None else encouragement
    if not isinstance(per_class, Tensor):
        per_class = torch.full([num_classes], float(per_class), dtype=torch.float64)
    rows = torch.where(kept, cross_entropy + per_class.double()[label] * value, 0.0)

    if reduction == "none":
        return rows
    if reduction == "sum":
        return rows.sum()
    return rows.sum() / (class_weight[label] * kept).sum()


def plain_bonus(p: Tensor, bonus: str, gamma: float, likelihood_cap: float | None) -> Tensor:
    """The bonus as a function of the likelihood; above the cap its tangent at the cap."""
    value = (1 - p).log() if bonus == "likelihood" else -(p**gamma)
    if likelihood_cap is None:
        return value
    cap = likelihood_cap
    if bonus == "likelihood":
        tangent = math.log(1 - cap) - (p - cap) / (1 - cap)
    else:
        tangent = -(cap**gamma) - gamma * cap ** (gamma - 1) * (p - cap)
    return torch.where(p > cap, tangent, value)


def exact_log_likelihoods(logits: Sequence[float], target: int) -> tuple[float, float]:
    """``log p`` and ``log(1 - p)`` with 400 digits inside, where the subtraction does no harm."""
    with decimal.localcontext(decimal.Context(prec=400)):
        exponentials = [decimal.Decimal(logit).exp() for logit in logits]
        p = exponentials[target] / sum(exponentials)
        return float(p.ln()), float((1 - p).ln())


def closed_form_gradient(logits: Tensor, target: int, slope: Tensor) -> Tensor:
    """Gradient of one row ``[C]``: ``slope`` at the target, ``-slope * q`` elsewhere (notes, section 2)."""
    others = logits.double().clone()
    others[target] = -math.inf
    gradient = -slope * others.softmax(0)
    gradient[target] = slope
    return gradient
