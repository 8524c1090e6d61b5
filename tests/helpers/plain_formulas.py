"""The losses as the paper writes them, naively in float64 and in exact decimals: what tests compare with.

Nothing here is shared with the package. The float64 formulas are for moderate logits; they can be
differentiated by autograd. Those of one row hold for any logits.
"""

from __future__ import annotations

import decimal
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

# A function of the likelihoods and the labels of the rows.
OfRows = Callable[[Tensor, Tensor], Tensor]

# -- class weights from counts -------------------------------------------------------------------------------


def plain_class_balanced_weight(counts: Sequence[int], beta: float) -> Tensor:
    """Cui et al. 2019: 1 / E, of mean one over the classes that occur."""
    return plain_encouragement(counts, beta, "effective_number", "mean_weight")


def plain_encouragement(counts: Sequence[int], beta: float, measure: str, normalization: str) -> Tensor:
    """Paper, Eq. 9, and the normalisation to mean weight one."""
    sizes = [(1 - beta**m) / (1 - beta) if measure == "effective_number" else float(m) for m in counts]
    occurring = [size for size in sizes if size > 0]
    mean = sum(occurring) / len(occurring)
    mean_inverse = sum(1 / size for size in occurring) / len(occurring)
    factor = mean if normalization == "mean_measure" else 1 / mean_inverse
    return torch.tensor([factor / size if size > 0 else 0.0 for size in sizes], dtype=torch.float64)


# -- in float64, for autograd --------------------------------------------------------------------------------


def plain_loss(
    input: Tensor,
    target: Tensor,
    term: OfRows,
    reward: OfRows | None = None,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Weighted term, smoothed with the mean cost of all classes, plus reward; the mean is the sum of two."""
    logits = input.double().movedim(1 if input.dim() > 1 else 0, -1)
    num_classes = logits.shape[-1]
    kept = target != ignore_index
    label = torch.where(kept, target, 0)
    likelihoods = logits.exp() / logits.exp().sum(-1, keepdim=True)
    p = (likelihoods * torch.eye(num_classes, dtype=torch.float64)[label]).sum(-1)

    class_weight = torch.ones(num_classes, dtype=torch.float64) if weight is None else weight.double()
    rows = (1 - label_smoothing) * class_weight[label] * term(p, label)
    if label_smoothing > 0:
        rows = rows - label_smoothing * (class_weight * likelihoods.log()).sum(-1) / num_classes
    rows = torch.where(kept, rows, 0.0)
    rewards = torch.zeros_like(rows) if reward is None else torch.where(kept, reward(p, label), 0.0)

    if reduction == "none":
        return rows + rewards
    if reduction == "sum":
        return (rows + rewards).sum()
    return rows.sum() / (class_weight[label] * kept).sum() + rewards.sum() / kept.sum()


def plain_eureka_loss(
    input: Tensor,
    target: Tensor,
    encouragement: Tensor | float | None = None,
    *,
    bonus: str = "likelihood",
    gamma: float = 1.0,
    threshold: float | None = None,
    likelihood_cap: float | None = None,
    likelihood_clamp: float | None = None,
    **shared: Any,
) -> Tensor:
    """Paper, Eq. 7 to 11: cross-entropy plus encouragement times bonus."""
    num_classes = input.shape[1 if input.dim() > 1 else 0]
    per_class = 1.0 if encouragement is None else encouragement
    if not isinstance(per_class, Tensor):
        per_class = torch.full([num_classes], float(per_class))
    per_class = per_class.double()

    def reward(p: Tensor, label: Tensor) -> Tensor:
        if likelihood_clamp is not None:
            p = torch.minimum(p, torch.tensor(likelihood_clamp, dtype=torch.float64))
        value = plain_bonus(p, bonus, gamma, likelihood_cap)
        if threshold is not None:
            phi = torch.tensor(threshold, dtype=torch.float64)
            value = torch.where(p > phi, value - plain_bonus(phi, bonus, gamma, likelihood_cap), 0.0)
        return per_class[label] * value

    return plain_loss(input, target, lambda p, label: -p.log(), reward, **shared)


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


def plain_focal(p: Tensor, gamma: float) -> Tensor:
    """Paper, Eq. 4, with alpha one."""
    return -((1 - p) ** gamma) * p.log()


def plain_halted_focal(p: Tensor, gamma: float, phi: float) -> Tensor:
    """Paper, Eq. 6, with alpha one and the b that makes the branches meet."""
    b = -(1 - (1 - phi) ** gamma) * math.log(phi)
    return torch.where(p <= phi, plain_focal(p, gamma), -(p.log() + b))


def plain_focal_loss(
    input: Tensor, target: Tensor, *, gamma: float = 2.0, alpha: float = 1.0, **shared: Any
) -> Tensor:
    """Focal loss of logits."""
    return plain_loss(input, target, lambda p, label: alpha * plain_focal(p, gamma), **shared)


def plain_halted_focal_loss(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    threshold: float = 0.5,
    halted: Tensor | None = None,
    alpha: float = 1.0,
    **shared: Any,
) -> Tensor:
    """Halted focal loss of logits; focal loss for the classes not marked in ``halted``."""

    def term(p: Tensor, label: Tensor) -> Tensor:
        loss = plain_halted_focal(p, gamma, threshold)
        return alpha * (loss if halted is None else torch.where(halted[label], loss, plain_focal(p, gamma)))

    return plain_loss(input, target, term, **shared)


def plain_ldam_loss(
    input: Tensor,
    target: Tensor,
    class_counts: Sequence[int],
    *,
    max_margin: float = 0.5,
    scale: float = 30.0,
    ignore_index: int = -100,
    **shared: Any,
) -> Tensor:
    """Cao et al. 2019: cross-entropy of scaled cosines, less the margin at the target."""
    margins = [m**-0.25 if m > 0 else 0.0 for m in class_counts]
    margins = [max_margin * margin / max(margins) for margin in margins]
    class_dim = 1 if input.dim() > 1 else 0
    label = torch.where(target == ignore_index, 0, target)
    at_target = torch.eye(len(margins), dtype=torch.float64)[label].movedim(-1, class_dim)
    taken = at_target * torch.tensor(margins, dtype=torch.float64)[label].unsqueeze(class_dim)
    return plain_eureka_loss(
        scale * (input.double() - taken), target, 0.0, ignore_index=ignore_index, **shared
    )


def plain_logit_adjusted_loss(
    input: Tensor, target: Tensor, class_counts: Sequence[int], *, tau: float = 1.0, **shared: Any
) -> Tensor:
    """Menon et al. 2021: cross-entropy of logits plus tau log pi; no count is taken for one."""
    prior = torch.tensor([max(count, 1) / sum(class_counts) for count in class_counts], dtype=torch.float64)
    class_last = input.double().movedim(1 if input.dim() > 1 else 0, -1) + tau * prior.log()
    return plain_eureka_loss(class_last.movedim(-1, 1 if input.dim() > 1 else 0), target, 0.0, **shared)


def plain_gem_loss(
    input: Tensor, target: Tensor, *, temperature: float = 0.7, contrast: str = "linear", **shared: Any
) -> Tensor:
    """Li et al. 2025: -sum of q h (log p_y - log p_j), with q and h held fixed."""
    logits = input.double().movedim(1 if input.dim() > 1 else 0, -1)
    label = torch.where(target == shared.get("ignore_index", -100), 0, target)
    log_p = logits - logits.exp().sum(-1, keepdim=True).log()
    own = (log_p * torch.eye(logits.shape[-1], dtype=torch.float64)[label]).sum(-1, keepdim=True)
    q = (logits / temperature).exp() / (logits / temperature).exp().sum(-1, keepdim=True)
    h = 1 / (1 + (-0.01 * (log_p - own)).exp()) if contrast == "log_sigmoid" else torch.ones_like(q)
    rows = -((q * h).detach() * (own - log_p)).sum(-1)
    return plain_loss(input, target, lambda p, label: rows, **shared)


def plain_unlikelihood_loss(
    input: Tensor, target: Tensor, candidates: Tensor, *, alpha: float = 1.0, **shared: Any
) -> Tensor:
    """Welleck et al. 2020: cross-entropy less alpha times the sum of log(1 - p_c), by a mask of classes."""
    class_dim, input = (1 if input.dim() > 1 else 0), input.double()  # once: its gradient is rounded once
    likelihoods = input.softmax(class_dim).movedim(class_dim, -1)
    listed = candidates.movedim(class_dim, -1)
    counts = torch.nn.functional.one_hot(listed + 1, likelihoods.shape[-1] + 1).sum(-2)[..., 1:]
    label = torch.where(target == shared.get("ignore_index", -100), 0, target)
    counts = counts * (1 - torch.eye(likelihoods.shape[-1], dtype=torch.long)[label])
    punished = -alpha * (counts * torch.where(counts > 0, 1 - likelihoods, 1.0).log()).sum(-1)
    return plain_loss(input, target, lambda p, label: -p.log(), lambda p, label: punished, **shared)


# -- one row, exact for any logits ---------------------------------------------------------------------------


@functools.cache
def exact_log_likelihoods(logits: tuple[float, ...], target: int) -> tuple[float, float]:
    """``log p`` and ``log(1 - p)`` with 400 digits inside, where the subtraction does no harm."""
    with decimal.localcontext(decimal.Context(prec=400)):
        exponentials = [decimal.Decimal(logit).exp() for logit in logits]
        p = exponentials[target] / sum(exponentials)
        return float(p.ln()), float((1 - p).ln())


def long_log_likelihoods(logits: Sequence[float], target: int) -> tuple[float, float]:
    """The same to the digits of float64, for rows that are too long for decimals."""
    others = [logit for index, logit in enumerate(logits) if index != target]
    top = max(others)
    log_odds = (logits[target] - top) - math.log(math.fsum(math.exp(logit - top) for logit in others))
    return -_softplus(-log_odds), -_softplus(log_odds)


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


class Point(NamedTuple):
    """A loss at one likelihood.

    Attributes:
        parts: numbers whose sum it is; what cancels between them is lost to any arithmetic.
        slope: derivative with respect to the log-odds of the target.
    """

    parts: tuple[float, ...]
    slope: float


def eureka_at(
    log_p: float,
    log_not_p: float,
    *,
    encouragement: float = 1.0,
    bonus: str = "likelihood",
    gamma: float = 1.0,
    threshold: float | None = None,
    likelihood_cap: float | None = None,
    likelihood_clamp: float | None = None,
) -> Point:
    """Eureka loss at a likelihood. A derivative in p times p (1 - p) is one in the log-odds."""
    p, not_p = math.exp(log_p), math.exp(log_not_p)

    def bonus_at(log_p: float, log_not_p: float) -> float:
        return log_not_p if bonus == "likelihood" else -math.exp(gamma * log_p)

    clamped = likelihood_clamp is not None and p > likelihood_clamp
    log_p_of_term = log_p
    if clamped:
        p, not_p = likelihood_clamp, 1 - likelihood_clamp
        log_p, log_not_p = math.log(p), math.log1p(-p)
    cap = likelihood_cap
    if cap is not None and p > cap:
        slope_in_p = -1 / (1 - cap) if bonus == "likelihood" else -gamma * cap ** (gamma - 1)
        value = bonus_at(math.log(cap), math.log1p(-cap)) + slope_in_p * ((1 - cap) - not_p)
        slope = slope_in_p * p * not_p
    else:
        value = bonus_at(log_p, log_not_p)
        slope = -p if bonus == "likelihood" else -gamma * math.exp(gamma * log_p) * not_p
    start = 0.0
    if threshold is not None:
        if p > threshold:
            start = sum(
                eureka_at(
                    math.log(threshold), math.log1p(-threshold), bonus=bonus, gamma=gamma, likelihood_cap=cap
                ).parts[1:]
            )
        else:
            value = slope = 0.0
    parts = (-log_p_of_term, encouragement * value, -encouragement * start)
    return Point(parts, math.expm1(log_p_of_term) + (0.0 if clamped else encouragement * slope))


def focal_at(log_p: float, log_not_p: float, *, gamma: float = 2.0, alpha: float = 1.0) -> Point:
    """Focal loss at a likelihood."""
    p, not_p, modulation = math.exp(log_p), math.exp(log_not_p), math.exp(gamma * log_not_p)
    return Point((-alpha * modulation * log_p,), alpha * modulation * (gamma * p * log_p - not_p))


def halted_focal_at(
    log_p: float, log_not_p: float, *, gamma: float = 2.0, threshold: float = 0.5, alpha: float = 1.0
) -> Point:
    """Halted focal loss at a likelihood."""
    if math.exp(log_p) <= threshold:
        return focal_at(log_p, log_not_p, gamma=gamma, alpha=alpha)
    b = -(1 - (1 - threshold) ** gamma) * math.log(threshold)
    return Point((-alpha * log_p, -alpha * b), -alpha * math.exp(log_not_p))


def dft_at(log_p: float, log_not_p: float) -> Point:
    """Value of ``-p log p``; the slope is that of ``-p``."""
    return Point((-math.exp(log_p) * log_p,), -math.exp(log_p + log_not_p))


def power_at(log_p: float, log_not_p: float, *, exponent: float = 1.0) -> Point:
    """``-p ** exponent``."""
    value = -math.exp(exponent * log_p)
    return Point((value,), exponent * value * math.exp(log_not_p))


def anti_focal_at(log_p: float, log_not_p: float, *, gamma: float = 1.0) -> Point:
    """Value of ``-(1 + p) ** gamma * log p``; the slope leaves the factor as it is."""
    factor = (1 + math.exp(log_p)) ** gamma
    return Point((-factor * log_p,), -factor * math.exp(log_not_p))


def tldr_at(log_p: float, log_not_p: float) -> Point:
    """``-(cos(pi p) + 1) * log p``, with 1 + cos(pi p) = 1 - cos(pi (1 - p)) = 2 sin(pi (1 - p) / 2) ** 2."""
    p, not_p = math.exp(log_p), math.exp(log_not_p)
    factor = 2 * math.sin(math.pi * not_p / 2) ** 2
    by_product_rule = math.pi * math.sin(math.pi * not_p) * p * log_p  # sin(pi p) = sin(pi (1 - p))
    return Point((-factor * log_p,), not_p * (by_product_rule - factor))


def mixce_at(log_p: float, log_not_p: float, *, eta: float = 0.5) -> Point:
    """Value of ``-(eta + (1 - eta) p) * log p``; the slope leaves the factor as it is."""
    factor = eta + (1 - eta) * math.exp(log_p)
    return Point((-factor * log_p,), -factor * math.exp(log_not_p))


def closed_form_gradient(logits: Tensor, target: int, slope: Tensor | float) -> Tensor:
    """Gradient of one row ``[C]``: ``slope`` at the target, ``-slope * q`` elsewhere."""
    others = logits.double().clone()
    others[target] = -math.inf
    gradient = -slope * others.softmax(0)
    gradient[target] = slope
    return gradient
