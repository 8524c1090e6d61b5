"""The losses of the paper as scalar functions of the target's log-odds: to add a loss, add one here.

With logits ``z``, target ``y`` and ``u = z_y - logsumexp_{k != y} z_k``, the target's likelihood is
``p = sigmoid(u)`` and ``1 - p = sigmoid(-u)``. Both logarithms keep all their digits however near p is to 0
or 1, which ``1 - p`` does not (notes on the paper, section 2). All functions are element-wise and twice
differentiable; their derivatives are autograd's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "Bonus",
    "Objective",
    "check_focal",
    "check_halting_threshold",
    "cross_entropy",
    "eureka_objective",
    "focal",
    "focal_objective",
    "halted_focal",
    "halted_focal_objective",
    "plain_objective",
]

OfRows = Callable[[Tensor, Tensor], Tensor]


class Objective(NamedTuple):
    """A loss, as functions of the log-odds ``[N]`` and the target classes ``[N]`` of rows.

    Attributes:
        term: what stands in the place of ``-log p``: class weights multiply it, and label smoothing takes
            its share from it.
        reward: what is added as it is; None for nothing.
    """

    term: OfRows
    reward: OfRows | None = None


def plain_objective() -> Objective:
    """Cross-entropy."""
    return Objective(lambda log_odds, target: cross_entropy(log_odds))


def eureka_objective(encouragement: Tensor | float | None, bonus: Bonus) -> Objective:
    """Cross-entropy plus encouragement (None for one, a number, or ``[C]``) times bonus (paper, Eq. 7)."""
    if isinstance(encouragement, Tensor):
        per_class = encouragement

        def reward(log_odds: Tensor, target: Tensor) -> Tensor:
            return per_class[target].to(log_odds.dtype) * bonus(log_odds)

    elif encouragement == 0.0:
        return plain_objective()
    else:
        factor = 1.0 if encouragement is None else encouragement

        def reward(log_odds: Tensor, target: Tensor) -> Tensor:
            return factor * bonus(log_odds)

    return plain_objective()._replace(reward=reward)


def focal_objective(gamma: float, alpha: float = 1.0) -> Objective:
    """``alpha`` times focal loss."""
    check_focal(gamma, alpha)
    return Objective(lambda log_odds, target: alpha * focal(log_odds, gamma))


def halted_focal_objective(
    gamma: float, threshold: float, halted: Tensor | None = None, alpha: float = 1.0
) -> Objective:
    """``alpha`` times halted focal loss for the classes marked in ``halted`` (``[C]`` bool; None: all),
    focal loss for the others. Source: paper, Eq. 6 and section 3.2."""
    check_focal(gamma, alpha)
    check_halting_threshold(threshold)

    def term(log_odds: Tensor, target: Tensor) -> Tensor:
        loss = halted_focal(log_odds, gamma, threshold)
        if halted is not None:
            loss = torch.where(halted[target], loss, focal(log_odds, gamma))
        return alpha * loss

    return Objective(term)


def cross_entropy(log_odds: Tensor) -> Tensor:
    """``-log p``."""
    return -F.logsigmoid(log_odds)


def focal(log_odds: Tensor, gamma: float) -> Tensor:
    """``-(1 - p) ** gamma * log p``. Source: Lin et al. 2017; paper, Eq. 5."""
    if gamma == 0.0:
        return cross_entropy(log_odds)
    # At p = 0 the product rule would give 0 * inf; there the loss is that of cross-entropy.
    impossible = log_odds == -math.inf
    finite = torch.where(impossible, 0.0, log_odds)
    modulated = torch.exp(gamma * F.logsigmoid(-finite)) * cross_entropy(finite)
    return torch.where(impossible, cross_entropy(log_odds), modulated)


def halted_focal(log_odds: Tensor, gamma: float, threshold: float) -> Tensor:
    """Focal loss up to the likelihood ``threshold``; above it cross-entropy, shifted to meet it there.

    Source: paper, Eq. 6, with the constant of the notes, section 1.
    """
    shift = -math.log(threshold) * (1.0 - (1.0 - threshold) ** gamma)
    above = log_odds > _logit(threshold)
    return torch.where(above, cross_entropy(log_odds) - shift, focal(log_odds, gamma))


@dataclass(frozen=True)
class Bonus:
    """The bonus of the Eureka loss as a function of the target's log-odds.

    Source: paper, Eq. 8 (likelihood), Eq. 10 (power), Eq. 11 (threshold); notes, sections 1 and 2.

    Attributes:
        kind: ``"likelihood"``, ``log(1 - p)``, or ``"power"``, ``-p ** gamma``. Never positive.
        gamma: exponent of the power bonus, positive.
        threshold: no bonus up to this likelihood, and the bonus above it starts from zero.
        likelihood_cap: above this likelihood the bonus goes on linearly in p, with a bounded slope.
        likelihood_clamp: above this likelihood the bonus stays what it is there, and pushes no more: what
            clamping ``1 - p`` from below does.
    """

    kind: str = "likelihood"
    gamma: float = 1.0
    threshold: float | None = None
    likelihood_cap: float | None = None
    likelihood_clamp: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("likelihood", "power"):
            raise ValueError(f"bonus must be 'likelihood' or 'power', got {self.kind!r}")
        if not (self.gamma > 0.0 and math.isfinite(self.gamma)):
            raise ValueError(f"gamma must be positive and finite, got {self.gamma!r}")
        if self.threshold is not None and not 0.0 <= self.threshold < 1.0:
            raise ValueError(f"threshold must lie in [0, 1), got {self.threshold!r}")
        if self.likelihood_cap is not None and not 0.0 < self.likelihood_cap < 1.0:
            raise ValueError(f"likelihood_cap must lie in (0, 1), got {self.likelihood_cap!r}")
        if self.likelihood_clamp is not None and not (self.threshold or 0.0) < self.likelihood_clamp < 1.0:
            raise ValueError(
                "likelihood_clamp must lie in (0, 1) and above the threshold, "
                f"got {self.likelihood_clamp!r} with threshold {self.threshold!r}"
            )

    def __call__(self, log_odds: Tensor) -> Tensor:
        """Bonus for each log-odds, same shape. Differentiable twice; 0 where the log-odds are +inf."""
        clamp = self.likelihood_clamp
        value = self._capped(log_odds if clamp is None else log_odds.clamp(max=_logit(clamp)))
        if self.threshold:
            value = torch.where(log_odds > _logit(self.threshold), value - self._at(self.threshold), 0.0)
        # Without another class that could be chosen there is nothing to reward.
        return value.masked_fill(log_odds == math.inf, 0.0)

    def _capped(self, log_odds: Tensor) -> Tensor:
        cap = self.likelihood_cap
        if cap is None:
            return self._exact(log_odds)
        # The branch that is not taken must stay finite, or its zero gradient turns into NaN.
        above = log_odds > _logit(cap)
        below_cap = self._exact(torch.where(above, 0.0, log_odds))
        # p - cap, written so that it keeps its digits for p near 1
        past_cap = (1.0 - cap) - torch.sigmoid(-log_odds)
        return torch.where(above, self._exact_at(cap) + self._slope_at(cap) * past_cap, below_cap)

    def _exact(self, log_odds: Tensor) -> Tensor:
        if self.kind == "likelihood":
            return F.logsigmoid(-log_odds)
        return -torch.exp(self.gamma * F.logsigmoid(log_odds))

    def _at(self, likelihood: float) -> float:
        cap = self.likelihood_cap
        if cap is None or likelihood <= cap:
            return self._exact_at(likelihood)
        return self._exact_at(cap) + self._slope_at(cap) * (likelihood - cap)

    def _exact_at(self, likelihood: float) -> float:
        return math.log1p(-likelihood) if self.kind == "likelihood" else -(likelihood**self.gamma)

    def _slope_at(self, likelihood: float) -> float:
        """Derivative of the bonus with respect to the likelihood."""
        if self.kind == "likelihood":
            return -1.0 / (1.0 - likelihood)
        return -self.gamma * likelihood ** (self.gamma - 1.0)


def _logit(likelihood: float) -> float:
    return math.log(likelihood) - math.log1p(-likelihood)


def check_focal(gamma: float, alpha: float = 1.0) -> None:
    """Raise ValueError unless these can be the exponent and the factor of a focal loss."""
    if not 0.0 <= gamma < math.inf:
        raise ValueError(f"gamma must be finite and not negative, got {gamma!r}")
    if not 0.0 <= alpha < math.inf:
        raise ValueError(f"alpha must be finite and not negative, got {alpha!r}")


def check_halting_threshold(threshold: float) -> None:
    """Raise ValueError unless this is a likelihood strictly between 0 and 1."""
    if not 0.0 < threshold < 1.0:
        raise ValueError(f"threshold must lie in (0, 1), got {threshold!r}")
