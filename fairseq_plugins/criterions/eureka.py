"""``--criterion eureka``: label-smoothed cross-entropy plus the reward for confident, correct, rare words."""

import math
from dataclasses import dataclass, field
from typing import Any, Optional

import torch
from fairseq.criterions import register_criterion
from fairseq.dataclass import ChoiceEnum
from torch import Tensor

from eureka_nlg.errors import UserError
from eureka_nlg.frequency import class_balanced_weight, encouragement
from eureka_nlg.losses.objectives import Bonus, Objective, eureka_objective
from fairseq_plugins.criterions.base import LogitsCriterion, LogitsCriterionConfig

__all__ = ["EurekaCriterion", "EurekaCriterionConfig"]


@dataclass
class EurekaCriterionConfig(LogitsCriterionConfig):
    """Options of ``--criterion eureka``."""

    beta: float = field(
        default=0.999,
        metadata={
            "help": "of the effective number, in [0, 1); towards 1 the encouragement follows the counts"
        },
    )
    encouragement_start_epoch: int = field(
        default=6,
        metadata={"help": "first epoch (from 1) with the bonus; plain cross-entropy before"},
    )
    encouragement_measure: ChoiceEnum(["effective_number", "count"]) = field(  # type: ignore[valid-type]
        default="effective_number", metadata={"help": "measure of a word's frequency"}
    )
    encouragement_normalization: ChoiceEnum(["mean_measure", "mean_weight"]) = field(  # type: ignore[valid-type]
        default="mean_measure",
        metadata={
            "help": "mean measure over measure (the paper's), or its inverse with mean one over the words"
        },
    )
    encouragement_scale: float = field(
        default=1.0, metadata={"help": "factor on every encouragement; the paper's has none"}
    )
    bonus: ChoiceEnum(["likelihood", "power"]) = field(  # type: ignore[valid-type]
        default="likelihood", metadata={"help": "log(1 - p), or -p ** gamma"}
    )
    bonus_gamma: float = field(default=1.0, metadata={"help": "exponent of the power bonus"})
    bonus_threshold: Optional[float] = field(  # noqa: UP045
        default=None, metadata={"help": "no bonus up to this likelihood, and starting from zero above it"}
    )
    likelihood_cap: Optional[float] = field(  # noqa: UP045
        default=None,
        metadata={"help": "above this likelihood the bonus goes on linearly; without it the exact loss"},
    )
    likelihood_clamp: Optional[float] = field(  # noqa: UP045
        default=None,
        metadata={"help": "above this likelihood the bonus is constant, as if 1 - p were clamped from below"},
    )
    class_balanced_beta: Optional[float] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "also weight the cross-entropy by the class-balanced weights of this beta (EL + CB), "
            "from the epoch of the bonus on"
        },
    )


@register_criterion("eureka", dataclass=EurekaCriterionConfig)
class EurekaCriterion(LogitsCriterion):
    """Label-smoothed cross-entropy, and from ``encouragement_start_epoch`` on the Eureka loss.

    With zero encouragement it equals fairseq's ``label_smoothed_cross_entropy``. Source: paper, section 4.
    """

    averaged_per_token = ("likelihood", "bonus", "reward")
    start_epoch_option = "encouragement_start_epoch"

    def __init__(self, cfg: EurekaCriterionConfig, task: Any) -> None:
        _check(cfg)
        super().__init__(cfg, task)
        self.bonus = Bonus(
            str(cfg.bonus), cfg.bonus_gamma, cfg.bonus_threshold, cfg.likelihood_cap, cfg.likelihood_clamp
        )

    def objective(self, device: torch.device) -> Objective:
        """See :class:`LogitsCriterion`."""
        return eureka_objective(self.encouragement(device), self.bonus)

    def class_weight(self, device: torch.device) -> Tensor | None:
        """See :class:`LogitsCriterion`."""
        beta = self.cfg.class_balanced_beta
        if beta is None:
            return None
        return self.from_counts(
            "class weight", lambda counts: class_balanced_weight(counts, beta, dtype=torch.float32), device
        )

    def encouragement(self, device: torch.device) -> Tensor:
        """Weight of the bonus for each word, float32 ``[C]``."""
        return self.from_counts("encouragement", self._encouragement, device)

    def statistics(self, log_odds: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Likelihood, bonus, and reward (encouragement times bonus: what the loss holds), in nats."""
        bonus = self.bonus(log_odds)
        reward = torch.zeros_like(bonus)
        if self.has_started:
            reward = self.encouragement(target.device)[target] * bonus
        return {**super().statistics(log_odds, target), "bonus": bonus, "reward": reward}

    def _encouragement(self, counts: Any) -> Tensor:
        weights = encouragement(
            counts,
            self.cfg.beta,
            measure=str(self.cfg.encouragement_measure),
            normalization=str(self.cfg.encouragement_normalization),
            dtype=torch.float32,
        )
        return weights * self.cfg.encouragement_scale


def _check(cfg: EurekaCriterionConfig) -> None:
    """Raise UserError, in terms of the options, where a value cannot work."""
    if not 0.0 <= cfg.beta < 1.0:
        raise UserError(f"--beta must lie in [0, 1), got {cfg.beta}")
    if cfg.class_balanced_beta is not None and not 0.0 <= cfg.class_balanced_beta < 1.0:
        raise UserError(f"--class-balanced-beta must lie in [0, 1), got {cfg.class_balanced_beta}")
    if not 0.0 <= cfg.encouragement_scale < math.inf:
        raise UserError(f"--encouragement-scale must be zero or positive, got {cfg.encouragement_scale}")
    if not 0.0 < cfg.bonus_gamma < math.inf:
        raise UserError(f"--bonus-gamma must be positive, got {cfg.bonus_gamma}")
    if cfg.bonus_threshold is not None and not 0.0 <= cfg.bonus_threshold < 1.0:
        raise UserError(f"--bonus-threshold must lie in [0, 1), got {cfg.bonus_threshold}")
    if cfg.likelihood_cap is not None and not 0.0 < cfg.likelihood_cap < 1.0:
        raise UserError(f"--likelihood-cap must lie in (0, 1), got {cfg.likelihood_cap}")
    if cfg.likelihood_clamp is not None and not (cfg.bonus_threshold or 0.0) < cfg.likelihood_clamp < 1.0:
        raise UserError(
            f"--likelihood-clamp must lie in (0, 1) and above --bonus-threshold, got {cfg.likelihood_clamp}"
        )
