"""The losses as scalar functions of the target's log-odds, each with its options: a new loss begins here.

With logits ``z``, target ``y`` and log-odds ``u = z_y - logsumexp_{k != y} z_k``, the target's likelihood is
``p = sigmoid(u)``, and ``1 - p = sigmoid(-u)``. Computed from u, ``log p`` and ``log(1 - p)`` keep full
precision however near p is to 0 or 1; computed from p, ``log(1 - p)`` would lose it. All functions are
element-wise and twice differentiable, and autograd derives their gradients.

A loss that needs nothing but its options is a :class:`ScalarLoss` in :data:`SCALAR_LOSSES`; the configs of
image classification and detection offer everything listed there. :mod:`eureka_nlg.losses` says where the
function, the module and the criterion of a loss belong.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from eureka_nlg.frequency import MarginOptions
from eureka_nlg.losses.bonus import Bonus, log_odds_of
from eureka_nlg.losses.kernels import ClosedForm
from eureka_nlg.losses.objective import Objective, ScalarLoss, compiled_loss
from eureka_nlg.options import BadOption, Options, option

__all__ = [
    "SCALAR_LOSSES",
    "AntiFocal",
    "CrossEntropy",
    "DynamicFineTuning",
    "Factor",
    "Focal",
    "HaltedFocal",
    "Margins",
    "MixedCrossEntropy",
    "Objective",
    "PowerOfLikelihood",
    "ScalarLoss",
    "TokenLossDynamicReweighting",
    "eureka_objective",
]


@dataclass(frozen=True)
class CrossEntropy(ScalarLoss):
    """``-log p``."""

    def __call__(self, log_odds: Tensor) -> Tensor:
        """See :class:`ScalarLoss`."""
        return -F.logsigmoid(log_odds)

    def closed_form(self) -> ClosedForm:
        """See :class:`.ScalarLoss`."""
        return ClosedForm()


@dataclass(frozen=True)
class Focal(ScalarLoss):
    """``-(1 - p) ** gamma * log p``. Source: Lin et al. 2017; paper, Eq. 5."""

    gamma: float = option(
        2.0,
        "focal: exponent of 1 - p, so that likely targets count less; 0 is cross-entropy",
        at_least=0,
        name="focal_gamma",
    )

    def __call__(self, log_odds: Tensor) -> Tensor:
        """See :class:`ScalarLoss`."""
        if self.gamma == 0.0:
            return -F.logsigmoid(log_odds)
        # At p = 0 the loss equals cross-entropy. The product rule would give 0 * inf there, and also where
        # gamma times the log-odds overflows, as for a target whose logit is masked with finfo.min.
        impossible = log_odds < -1e4
        finite = torch.where(impossible, 0.0, log_odds)
        modulated = torch.exp(self.gamma * F.logsigmoid(-finite)) * -F.logsigmoid(finite)
        return torch.where(impossible, -F.logsigmoid(log_odds), modulated)

    def closed_form(self) -> ClosedForm:
        """See :class:`.ScalarLoss`."""
        return ClosedForm(term=1.0, gamma=self.gamma)


@dataclass(frozen=True)
class HaltedFocal(Focal):
    """Focal loss up to the likelihood ``threshold``, and above it cross-entropy, shifted to be continuous.

    Source: paper, Eq. 6; with the constant printed there the two branches would not meet (docs/losses.md).
    """

    threshold: float = option(
        0.5,
        "halted focal: likelihood above which it has the slope of cross-entropy",
        above=0,
        below=1,
        name="halting_threshold",
    )

    def __call__(self, log_odds: Tensor) -> Tensor:
        """See :class:`ScalarLoss`."""
        above = log_odds > log_odds_of(self.threshold)
        return torch.where(above, -F.logsigmoid(log_odds) - self.shift, super().__call__(log_odds))

    @property
    def shift(self) -> float:
        """The constant that makes the two branches meet at the threshold."""
        return -math.log(self.threshold) * (1.0 - (1.0 - self.threshold) ** self.gamma)

    def closed_form(self) -> ClosedForm:
        """See :class:`.ScalarLoss`."""
        halted_from = log_odds_of(self.threshold)
        return ClosedForm(term=2.0, gamma=self.gamma, halted_from=halted_from, halted_by=self.shift)

    def objective(self, halted: Tensor | None = None) -> Objective:
        """Halted focal loss for the classes marked in ``halted``, and focal loss for the others.

        Args:
            halted: ``[C]`` bool; None marks all classes.
        """
        if halted is None:
            return super().objective()
        focal = Focal(self.gamma)

        def term(log_odds: Tensor, target: Tensor) -> Tensor:
            return torch.where(halted[target], self(log_odds), focal(log_odds))

        return Objective(term, compiled=compiled_loss(self, halted=halted))


@dataclass(frozen=True)
class DynamicFineTuning(ScalarLoss):
    """``-p log p`` with the factor p held fixed, so that its gradient equals the gradient of ``-p``.

    Source: Wu et al. 2026, "On the Generalization of SFT: A Reinforcement Learning Perspective with Reward
    Rectification" (DFT).
    """

    def __call__(self, log_odds: Tensor) -> Tensor:
        """See :class:`ScalarLoss`."""
        return _weighted_cross_entropy(torch.sigmoid(log_odds), log_odds)

    def closed_form(self) -> ClosedForm:
        """See :class:`.ScalarLoss`."""
        return ClosedForm(term=3.0)


@dataclass(frozen=True)
class PowerOfLikelihood(ScalarLoss):
    """``-p ** exponent``. Source: Li et al. 2025, "Beyond Log Likelihood"; see :func:`.power_loss`."""

    exponent: float = option(1.0, "power loss: exponent of the likelihood", above=0, name="power_exponent")

    def __call__(self, log_odds: Tensor) -> Tensor:
        """See :class:`ScalarLoss`."""
        return -torch.exp(self.exponent * F.logsigmoid(log_odds))


@dataclass(frozen=True)
class AntiFocal(ScalarLoss):
    """``-(1 + p) ** gamma * log p`` with the factor held fixed.

    Source: Raunak et al. 2020; see :func:`.anti_focal_loss`.
    """

    gamma: float = option(
        1.0,
        "anti-focal: exponent of 1 + p, so that likely targets count more; 0 is cross-entropy",
        at_least=0,
        name="anti_focal_gamma",
    )

    def __call__(self, log_odds: Tensor) -> Tensor:
        """See :class:`ScalarLoss`."""
        return _weighted_cross_entropy((1.0 + torch.sigmoid(log_odds)) ** self.gamma, log_odds)


@dataclass(frozen=True)
class TokenLossDynamicReweighting(ScalarLoss):
    """``-(cos(pi p) + 1) * log p``. Source: Jiang et al. 2020 (TLDR, token level); see :func:`.tldr_loss`."""

    def __call__(self, log_odds: Tensor) -> Tensor:
        """See :class:`ScalarLoss`."""
        # At p = 0 the loss is twice cross-entropy; the product rule would give 0 * inf there.
        impossible = log_odds < -1e4
        finite = torch.where(impossible, 0.0, log_odds)
        # cos(pi p) + 1 = 2 sin(pi (1 - p) / 2) ** 2, and the right side stays precise for p near 1
        factor = 2.0 * torch.sin(0.5 * math.pi * torch.sigmoid(-finite)) ** 2
        cross_entropy = -F.logsigmoid(log_odds)
        return torch.where(impossible, 2.0 * cross_entropy, factor * -F.logsigmoid(finite))


@dataclass(frozen=True)
class MixedCrossEntropy(ScalarLoss):
    """``-(eta + (1 - eta) p) * log p`` with the factor held fixed.

    Source: Zhang et al. 2023 (MixCE); see :func:`.mixce_loss`.
    """

    eta: float = option(
        0.5,
        "MixCE: share of cross-entropy; the rest is reverse cross-entropy",
        at_least=0,
        at_most=1,
        name="mixce_eta",
    )

    def __call__(self, log_odds: Tensor) -> Tensor:
        """See :class:`ScalarLoss`."""
        return _weighted_cross_entropy(self.eta + (1.0 - self.eta) * torch.sigmoid(log_odds), log_odds)


@dataclass(frozen=True)
class Factor(Options):
    """The constant factor of the focal losses."""

    alpha: float = option(1.0, "focal: factor of the loss", at_least=0, name="focal_alpha")

    def __post_init__(self) -> None:
        if not isinstance(self.alpha, numbers.Real):
            expected = "one number (for one number per class give weight, a tensor [C])"
            raise BadOption("alpha", expected, self.alpha)
        super().__post_init__()


SCALAR_LOSSES: dict[str, type[ScalarLoss]] = {
    "cross_entropy": CrossEntropy,
    "focal": Focal,
    "halted_focal": HaltedFocal,
    "dft": DynamicFineTuning,
    "power": PowerOfLikelihood,
    "anti_focal": AntiFocal,
    "tldr": TokenLossDynamicReweighting,
    "mixce": MixedCrossEntropy,
}
"""Name in configs -> loss. The other losses need more than options, such as class counts."""


@dataclass(frozen=True)
class Margins(MarginOptions):
    """Options of LDAM loss."""

    scale: float = option(30.0, "ldam: factor of the cosines, an inverse temperature", above=0)


def eureka_objective(encouragement: Tensor | float | None, bonus: Bonus) -> Objective:
    """Cross-entropy plus encouragement times bonus (paper, Eq. 7, with the sign that its text describes).

    Args:
        encouragement: weight of the bonus: a number, a tensor ``[C]`` with a weight per class, or None for 1.
        bonus: the bonus.
    """
    if isinstance(encouragement, Tensor):
        per_class = encouragement

        def reward(log_odds: Tensor, target: Tensor) -> Tensor:
            return per_class[target].to(log_odds.dtype) * bonus(log_odds)

    elif encouragement == 0.0:
        return CrossEntropy().objective()
    else:
        factor = 1.0 if encouragement is None else encouragement

        def reward(log_odds: Tensor, target: Tensor) -> Tensor:
            return factor * bonus(log_odds)

    weight = 1.0 if encouragement is None else encouragement
    return Objective(_cross_entropy, reward, compiled_loss(bonus, weight))


def _cross_entropy(log_odds: Tensor, target: Tensor) -> Tensor:
    return -F.logsigmoid(log_odds)


def _weighted_cross_entropy(factor: Tensor, log_odds: Tensor) -> Tensor:
    """``-factor * log p`` with the factor held fixed; 0 where the factor is 0, even if ``log p`` is -inf."""
    factor = factor.detach()
    return torch.where(factor == 0.0, 0.0, factor * -F.logsigmoid(log_odds))
