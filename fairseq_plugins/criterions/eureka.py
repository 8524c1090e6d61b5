"""``--criterion eureka``: label-smoothed cross-entropy plus the reward for confident, correct, rare words."""

import logging
from dataclasses import dataclass, field
from typing import Any, Optional

import torch
from fairseq.criterions import register_criterion
from torch import Tensor

from eureka_nlg.frequency import ClassBalancedOptions, ClassWeightOptions, EncouragementOptions
from eureka_nlg.losses.bonus import Bonus, Preset, bounding_options
from eureka_nlg.losses.objectives import Objective, eureka_objective
from eureka_nlg.losses.runaway import RunawayWatch
from fairseq_plugins.criterions.base import LogitsCriterion, LogitsCriterionConfig
from fairseq_plugins.criterions.options import eureka_options_of, same_as, with_options_of

__all__ = ["EurekaCriterion", "EurekaCriterionConfig"]

logger = logging.getLogger(__name__)


# fairseq reads the types of the fields at run time, so annotations are not postponed here.
@dataclass
@with_options_of(Preset, EncouragementOptions, Bonus)
class EurekaCriterionConfig(LogitsCriterionConfig):
    """Options of ``--criterion eureka``."""

    encouragement_start_epoch: int = field(
        default=6,
        metadata={"help": "first epoch with the bonus, counted from 1; before it, plain cross-entropy"},
    )
    class_balanced_beta: Optional[float] = same_as(  # noqa: UP045
        ClassBalancedOptions,
        "beta",
        default=None,
        help="also weight the cross-entropy by the class-balanced weights of this beta (EL + CB), "
        "from the epoch of the bonus on",
    )


@register_criterion("eureka", dataclass=EurekaCriterionConfig)
class EurekaCriterion(RunawayWatch, LogitsCriterion):
    """Label-smoothed cross-entropy, and from ``encouragement_start_epoch`` on the Eureka loss.

    With zero encouragement it equals fairseq's ``label_smoothed_cross_entropy``. Source: paper, section 4.
    """

    averaged_per_token = ("likelihood", "bonus", "reward")
    start_epoch_option = "encouragement_start_epoch"

    def __init__(self, cfg: EurekaCriterionConfig, task: Any) -> None:
        super().__init__(cfg, task)
        self.encouragement_options, self.bonus = eureka_options_of(cfg)
        self.balance = None
        if cfg.class_balanced_beta is not None:
            self.balance = ClassWeightOptions(
                self.options(ClassBalancedOptions, beta="class_balanced_beta").beta
            )

    def objective(self, device: torch.device) -> Objective:
        """See :class:`LogitsCriterion`."""
        return eureka_objective(self.encouragement(device), self.bonus)

    def class_weight(self, device: torch.device) -> Tensor | None:
        """See :class:`LogitsCriterion`."""
        if self.balance is None:
            return None
        return self.class_weights(self.balance, device)

    def encouragement(self, device: torch.device) -> Tensor:
        """Weight of the bonus of each word, float32 ``[C]``."""
        options = self.encouragement_options
        return self.from_counts("encouragement", lambda counts: options.of(counts, torch.float32), device)

    def forward(
        self, model: Any, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, Any, dict[str, Any]]:
        """See :class:`LogitsCriterion`; warns once if the loss runs away in training."""
        loss, sample_size, log = super().forward(model, sample, reduce)
        if reduce and self.training and self.has_started and not self.bonus.is_bounded:
            self.watch(loss.detach() / max(sample_size, 1))
        return loss, sample_size, log

    def tell_running_away(self, message: str) -> None:
        """See :class:`RunawayWatch`; the warning goes to fairseq's log, which is shown in the terminal."""
        flags = bounding_options("{flag} {value}")
        logger.warning(
            f"epoch {self.epoch}: {message}{flags} ({bounding_options()} of `eureka train`) bounds it"
        )

    def statistics(self, log_odds: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Likelihood, and in nats the bonus and the reward, which is encouragement times bonus."""
        bonus = self.bonus(log_odds)
        reward = torch.zeros_like(bonus)
        if self.has_started:
            reward = self.encouragement(target.device)[target] * bonus
        return {**super().statistics(log_odds, target), "bonus": bonus, "reward": reward}
