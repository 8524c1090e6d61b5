"""What every loss of the paper is made of: scalar functions of the target's log-odds.

With logits ``z``, target ``y`` and ``u = z_y - logsumexp_{k != y} z_k``, the target's likelihood is
``p = sigmoid(u)`` and ``1 - p = sigmoid(-u)``. Both logarithms keep all their digits however near p is to 0
or 1, which ``1 - p`` does not (notes on the paper, section 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Bonus", "log_odds_of_target"]


def log_odds_of_target(logits: Tensor, target: Tensor) -> Tensor:
    """Log-odds ``u`` of the target class in each row.

    Args:
        logits: ``[N, C]``, floating.
        target: ``[N]`` class indices in ``[0, C)``.

    Returns:
        ``[N]``; +inf where the other classes have no mass (C = 1, or all their logits -inf), NaN where the
        target's logit is +inf.
    """
    index = target.unsqueeze(-1)
    target_logit = logits.gather(-1, index).squeeze(-1)
    others = logits.scatter(-1, index, -math.inf)
    # logsumexp of nothing but -inf has a NaN gradient, so such rows go around it.
    alone = (others == -math.inf).all(-1)
    others = torch.where(alone.unsqueeze(-1), 0.0, others)
    log_odds = torch.where(alone, target_logit.detach() + math.inf, target_logit - others.logsumexp(-1))
    # A logit of +inf is an overflow, not certainty: it must show, in the gradient too.
    return log_odds * torch.where(target_logit == math.inf, torch.nan, 1.0)


@dataclass(frozen=True)
class Bonus:
    """The bonus of the Eureka loss as a function of the target's log-odds.

    Source: paper, Eq. 8 (likelihood), Eq. 10 (power), Eq. 11 (threshold); notes, sections 1 and 2.

    Attributes:
        kind: ``"likelihood"``, ``log(1 - p)``, or ``"power"``, ``-p ** gamma``. Never positive.
        gamma: exponent of the power bonus, positive.
        threshold: no bonus up to this likelihood, and the bonus above it starts from zero.
        likelihood_cap: above this likelihood the bonus goes on linearly in p, with a bounded slope.
    """

    kind: str = "likelihood"
    gamma: float = 1.0
    threshold: float | None = None
    likelihood_cap: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("likelihood", "power"):
            raise ValueError(f"bonus must be 'likelihood' or 'power', got {self.kind!r}")
        if not (self.gamma > 0.0 and math.isfinite(self.gamma)):
            raise ValueError(f"gamma must be positive and finite, got {self.gamma!r}")
        if self.threshold is not None and not 0.0 <= self.threshold < 1.0:
            raise ValueError(f"threshold must lie in [0, 1), got {self.threshold!r}")
        if self.likelihood_cap is not None and not 0.0 < self.likelihood_cap < 1.0:
            raise ValueError(f"likelihood_cap must lie in (0, 1), got {self.likelihood_cap!r}")

    def __call__(self, log_odds: Tensor) -> Tensor:
        """Bonus for each log-odds, same shape. Differentiable twice; 0 where the log-odds are +inf."""
        # Without another class that could be chosen there is nothing to reward.
        alone = log_odds == math.inf
        log_odds = torch.where(alone, 0.0, log_odds)
        value = self._capped(log_odds)
        if self.threshold:
            value = torch.where(log_odds > _logit(self.threshold), value - self._at(self.threshold), 0.0)
        return torch.where(alone, 0.0, value)

    def slope(self, log_odds: Tensor) -> Tensor:
        """Derivative of the bonus with respect to the log-odds, same shape; 0 where they are +inf."""
        likelihood, rest = torch.sigmoid(log_odds), torch.sigmoid(-log_odds)
        if self.kind == "likelihood":
            value = -likelihood
        else:
            value = -self.gamma * torch.exp(self.gamma * F.logsigmoid(log_odds)) * rest
        if self.likelihood_cap is not None:
            linear = self._slope_at(self.likelihood_cap) * likelihood * rest
            value = torch.where(log_odds > _logit(self.likelihood_cap), linear, value)
        if self.threshold:
            value = torch.where(log_odds > _logit(self.threshold), value, 0.0)
        return torch.where(log_odds == math.inf, 0.0, value)

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
