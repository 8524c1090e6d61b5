"""``--criterion eureka``: label-smoothed cross-entropy plus the reward for confident, correct, rare words."""

import math
from dataclasses import dataclass, field
from typing import Any, Optional

import torch
from fairseq.criterions import register_criterion
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from omegaconf import II
from torch import Tensor

from eureka_nlg.errors import UserError
from eureka_nlg.frequency import encouragement
from eureka_nlg.losses import eureka_loss
from eureka_nlg.losses.log_odds import Bonus
from fairseq_plugins.criterions.base import LogitsCriterion, refuse_adaptive_softmax, torch_label_smoothing
from fairseq_plugins.criterions.class_counts import class_counts
from fairseq_plugins.criterions.epoch import on_begin_epoch

__all__ = ["EurekaCriterion", "EurekaCriterionConfig"]


# fairseq reads the types of the fields at run time: no postponed annotations, no `float | None`.
@dataclass
class EurekaCriterionConfig(FairseqDataclass):
    """Options of ``--criterion eureka``."""

    label_smoothing: float = field(
        default=0.0, metadata={"help": "epsilon for label smoothing of the cross-entropy, 0 means none"}
    )
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
    class_counts: str = field(
        default="targets",
        metadata={
            "help": "count words in the training 'targets', take those of the 'dictionary', or of a file"
        },
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
    report_accuracy: bool = field(default=False, metadata={"help": "report accuracy metric"})
    ignore_prefix_size: int = field(default=0, metadata={"help": "ignore first N tokens"})
    sentence_avg: bool = II("optimization.sentence_avg")
    train_subset: str = II("dataset.train_subset")


@register_criterion("eureka", dataclass=EurekaCriterionConfig)
class EurekaCriterion(LogitsCriterion):
    """Label-smoothed cross-entropy, and from ``encouragement_start_epoch`` on the Eureka loss.

    With zero encouragement it equals fairseq's ``label_smoothed_cross_entropy``. Source: paper, section 4.
    """

    averaged_per_token = ("likelihood", "bonus", "reward")

    def __init__(self, cfg: EurekaCriterionConfig, task: Any) -> None:
        super().__init__(task, cfg.sentence_avg, cfg.ignore_prefix_size, cfg.report_accuracy)
        _check(cfg)
        self.cfg = cfg
        self.bonus = Bonus(str(cfg.bonus), cfg.bonus_gamma, cfg.bonus_threshold, cfg.likelihood_cap)
        self.epoch: int | None = None
        # A plain attribute: fairseq halves the buffers of a criterion under --fp16, and half precision cannot
        # hold the range of the encouragements of a vocabulary.
        self._encouragement: Tensor | None = None
        on_begin_epoch(task, self.begin_epoch)

    def begin_epoch(self, epoch: int, model: Any) -> None:
        """Take note of the epoch, counted from 1; called by the trainer through the task."""
        self.epoch = epoch
        # What cannot work shows before the first batch, not in the sixth epoch.
        refuse_adaptive_softmax(model)
        self.encouragement()

    @property
    def is_encouraging(self) -> bool:
        """Whether the bonus is part of the loss now. Outside of training (fairseq-validate) it always is."""
        if self.epoch is None:
            if self.training and self.cfg.encouragement_start_epoch > 1:
                raise UserError(
                    "--criterion eureka was not told the epoch: the trainer must call task.begin_epoch, "
                    "or give --encouragement-start-epoch 1"
                )
            return True
        return self.epoch >= self.cfg.encouragement_start_epoch

    def encouragement(self) -> Tensor:
        """Weight of the bonus for each word, float32 ``[C]``."""
        if self._encouragement is None:
            counts = class_counts(self.cfg.class_counts, self.task, self.cfg.train_subset)
            self._encouragement = encouragement(
                counts,
                self.cfg.beta,
                measure=str(self.cfg.encouragement_measure),
                normalization=str(self.cfg.encouragement_normalization),
                dtype=torch.float32,
            )
        return self._encouragement

    def loss_and_log_odds(self, logits: Tensor, target: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
        """See :class:`LogitsCriterion`."""
        return eureka_loss(
            logits,
            target,
            self._encouragement_on(logits.device) if self.is_encouraging else 0.0,
            bonus=self.bonus.kind,
            gamma=self.bonus.gamma,
            threshold=self.bonus.threshold,
            likelihood_cap=self.bonus.likelihood_cap,
            ignore_index=self.padding_idx,
            reduction=reduction,
            label_smoothing=torch_label_smoothing(self.cfg.label_smoothing, logits.size(-1)),
            dtype=torch.float32,
            return_log_odds=True,
        )

    def statistics(self, log_odds: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Likelihood, bonus, and reward (encouragement times bonus: what the loss holds), in nats."""
        bonus = self.bonus(log_odds)
        reward = torch.zeros_like(bonus)
        if self.is_encouraging:
            reward = self._encouragement_on(target.device)[target] * bonus
        return {**super().statistics(log_odds, target), "bonus": bonus, "reward": reward}

    def _encouragement_on(self, device: torch.device) -> Tensor:
        self._encouragement = self.encouragement().to(device)
        return self._encouragement


def _check(cfg: EurekaCriterionConfig) -> None:
    """Raise UserError, in terms of the options, where a value cannot work."""
    if not 0.0 <= cfg.beta < 1.0:
        raise UserError(f"--beta must lie in [0, 1), got {cfg.beta}")
    if not 0.0 <= cfg.label_smoothing < 1.0:
        raise UserError(f"--label-smoothing must lie in [0, 1), got {cfg.label_smoothing}")
    if cfg.encouragement_start_epoch < 1:
        raise UserError(
            f"--encouragement-start-epoch counts from 1 (from the start), got {cfg.encouragement_start_epoch}"
        )
    if not 0.0 < cfg.bonus_gamma < math.inf:
        raise UserError(f"--bonus-gamma must be positive, got {cfg.bonus_gamma}")
    if cfg.bonus_threshold is not None and not 0.0 <= cfg.bonus_threshold < 1.0:
        raise UserError(f"--bonus-threshold must lie in [0, 1), got {cfg.bonus_threshold}")
    if cfg.likelihood_cap is not None and not 0.0 < cfg.likelihood_cap < 1.0:
        raise UserError(f"--likelihood-cap must lie in (0, 1), got {cfg.likelihood_cap}")
    if cfg.ignore_prefix_size < 0:
        raise UserError(f"--ignore-prefix-size must not be negative, got {cfg.ignore_prefix_size}")
