"""The losses that the paper compares with: ``--criterion focal``, ``halted_focal`` and ``class_balanced``."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.criterions import register_criterion
from torch import Tensor

from eureka_nlg.errors import UserError
from eureka_nlg.frequency import class_balanced_weight, rarest_classes
from eureka_nlg.losses.objectives import Objective, focal_objective, halted_focal_objective
from fairseq_plugins.criterions.base import LogitsCriterion, LogitsCriterionConfig

__all__ = [
    "ClassBalancedCriterion",
    "ClassBalancedCriterionConfig",
    "FocalCriterion",
    "FocalCriterionConfig",
    "HaltedFocalCriterion",
    "HaltedFocalCriterionConfig",
]


@dataclass
class FocalCriterionConfig(LogitsCriterionConfig):
    """Options of ``--criterion focal``."""

    focal_gamma: float = field(
        default=2.0, metadata={"help": "how fast the loss falls as the likelihood rises; 0 is cross-entropy"}
    )
    loss_start_epoch: int = field(
        default=1, metadata={"help": "first epoch (from 1) of this loss; plain cross-entropy before"}
    )


@dataclass
class HaltedFocalCriterionConfig(FocalCriterionConfig):
    """Options of ``--criterion halted_focal``."""

    halting_threshold: float = field(
        default=0.5, metadata={"help": "likelihood above which the loss goes on like cross-entropy"}
    )
    halted_fraction: float = field(
        default=1.0,
        metadata={"help": "only for this fraction of the words, the rarest; focal for the others"},
    )


@dataclass
class ClassBalancedCriterionConfig(FocalCriterionConfig):
    """Options of ``--criterion class_balanced``."""

    focal_gamma: float = field(
        default=0.0, metadata={"help": "weight focal loss with this gamma; 0 is cross-entropy"}
    )
    beta: float = field(default=0.999, metadata={"help": "of the effective number, in [0, 1)"})


@register_criterion("focal", dataclass=FocalCriterionConfig)
class FocalCriterion(LogitsCriterion):
    """Focal loss. Source: Lin et al. 2017; paper, Eq. 5."""

    def __init__(self, cfg: FocalCriterionConfig, task: Any) -> None:
        if not 0.0 <= cfg.focal_gamma < math.inf:
            raise UserError(f"--focal-gamma must not be negative, got {cfg.focal_gamma}")
        super().__init__(cfg, task)

    def objective(self, device: torch.device) -> Objective:
        """See :class:`LogitsCriterion`."""
        return focal_objective(self.cfg.focal_gamma)


@register_criterion("halted_focal", dataclass=HaltedFocalCriterionConfig)
class HaltedFocalCriterion(FocalCriterion):
    """Halted focal loss, for the rarest words or all. Source: paper, Eq. 6 and section 3.2."""

    def __init__(self, cfg: HaltedFocalCriterionConfig, task: Any) -> None:
        if not 0.0 < cfg.halting_threshold < 1.0:
            raise UserError(f"--halting-threshold must lie in (0, 1), got {cfg.halting_threshold}")
        if not 0.0 <= cfg.halted_fraction <= 1.0:
            raise UserError(f"--halted-fraction must lie in [0, 1], got {cfg.halted_fraction}")
        super().__init__(cfg, task)

    def objective(self, device: torch.device) -> Objective:
        """See :class:`LogitsCriterion`."""
        halted = None
        if self.cfg.halted_fraction < 1.0:
            halted = self.from_counts(
                "halted", lambda counts: rarest_classes(counts, self.cfg.halted_fraction), device
            )
        return halted_focal_objective(self.cfg.focal_gamma, self.cfg.halting_threshold, halted)


@register_criterion("class_balanced", dataclass=ClassBalancedCriterionConfig)
class ClassBalancedCriterion(FocalCriterion):
    """Cross-entropy or focal loss weighted by the effective number. Source: Cui et al. 2019."""

    def __init__(self, cfg: ClassBalancedCriterionConfig, task: Any) -> None:
        if not 0.0 <= cfg.beta < 1.0:
            raise UserError(f"--beta must lie in [0, 1), got {cfg.beta}")
        super().__init__(cfg, task)

    def class_weight(self, device: torch.device) -> Tensor:
        """See :class:`LogitsCriterion`."""
        return self.from_counts(
            "class weight",
            lambda counts: class_balanced_weight(counts, self.cfg.beta, dtype=torch.float32),
            device,
        )
