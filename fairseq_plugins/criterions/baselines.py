"""Criterions to compare with: focal, halted focal, class-balanced, logit-adjusted and other losses."""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from fairseq.criterions import register_criterion
from torch import Tensor

from eureka_nlg.errors import UserError
from eureka_nlg.frequency import (
    ClassWeightOptions,
    LogitAdjustmentOptions,
    RarestOptions,
    face_weight,
    log_prior,
    rarest_classes,
)
from eureka_nlg.losses.objectives import (
    SCALAR_LOSSES,
    AntiFocal,
    Focal,
    HaltedFocal,
    MixedCrossEntropy,
    Objective,
    PowerOfLikelihood,
)
from eureka_nlg.options import Options, option
from fairseq_plugins.criterions.base import LogitsCriterion, LogitsCriterionConfig
from fairseq_plugins.criterions.options import with_options_of
from fairseq_plugins.running_counts import RunningCounts

__all__ = [
    "ClassBalancedCriterion",
    "ClassBalancedCriterionConfig",
    "DFTCriterion",
    "DFTCriterionConfig",
    "FocalCriterion",
    "FocalCriterionConfig",
    "HaltedFocalCriterion",
    "HaltedFocalCriterionConfig",
    "PowerCriterion",
    "PowerCriterionConfig",
    "AntiFocalCriterion",
    "AntiFocalCriterionConfig",
    "TLDRCriterion",
    "TLDRCriterionConfig",
    "LogitAdjustedCriterion",
    "LogitAdjustedCriterionConfig",
    "MixCECriterion",
    "MixCECriterionConfig",
    "ScalarCriterion",
    "ScalarCriterionConfig",
]


# fairseq reads the types of the fields at run time, so annotations are not postponed here.
@dataclass
class ScalarCriterionConfig(LogitsCriterionConfig):
    """Options of all criterions in this file."""

    loss_start_epoch: int = field(
        default=1,
        metadata={"help": "first epoch of this loss, counted from 1; before it, plain cross-entropy"},
    )


class ScalarCriterion(LogitsCriterion):
    """The loss ``loss_name`` of :data:`eureka_nlg.losses.objectives.SCALAR_LOSSES`.

    The criterion of another such loss is a config with its options and a subclass with its name.
    """

    loss_name = "cross_entropy"

    def __init__(self, cfg: ScalarCriterionConfig, task: Any) -> None:
        super().__init__(cfg, task)
        self.loss = self.options(SCALAR_LOSSES[self.loss_name])

    def objective(self, device: torch.device) -> Objective:
        """See :class:`LogitsCriterion`."""
        return self.loss.objective()


@dataclass
@with_options_of(Focal)
class FocalCriterionConfig(ScalarCriterionConfig):
    """Options of ``--criterion focal``."""


@register_criterion("focal", dataclass=FocalCriterionConfig)
class FocalCriterion(ScalarCriterion):
    """Focal loss. Source: Lin et al. 2017; paper, Eq. 5."""

    loss_name = "focal"


@dataclass
@with_options_of(HaltedFocal, RarestOptions)
class HaltedFocalCriterionConfig(ScalarCriterionConfig):
    """Options of ``--criterion halted_focal``."""


@register_criterion("halted_focal", dataclass=HaltedFocalCriterionConfig)
class HaltedFocalCriterion(ScalarCriterion):
    """Halted focal loss for the rarest words or for all words. Source: paper, Eq. 6 and section 3.2."""

    loss_name = "halted_focal"
    loss: HaltedFocal

    def __init__(self, cfg: HaltedFocalCriterionConfig, task: Any) -> None:
        super().__init__(cfg, task)
        self.fraction = self.options(RarestOptions).fraction

    def objective(self, device: torch.device) -> Objective:
        """See :class:`LogitsCriterion`."""
        if self.fraction == 1.0:
            return self.loss.objective()
        halted = self.from_counts("halted", lambda counts: rarest_classes(counts, self.fraction), device)
        return self.loss.objective(halted)


@dataclass
class DFTCriterionConfig(ScalarCriterionConfig):
    """Options of ``--criterion dft``."""


@register_criterion("dft", dataclass=DFTCriterionConfig)
class DFTCriterion(ScalarCriterion):
    """Dynamic fine-tuning. Source: Wu et al. 2026."""

    loss_name = "dft"


@dataclass
@with_options_of(PowerOfLikelihood)
class PowerCriterionConfig(ScalarCriterionConfig):
    """Options of ``--criterion power``."""


@register_criterion("power", dataclass=PowerCriterionConfig)
class PowerCriterion(ScalarCriterion):
    """Minus a power of the likelihood. Source: Li et al. 2025."""

    loss_name = "power"


@dataclass
@with_options_of(AntiFocal)
class AntiFocalCriterionConfig(ScalarCriterionConfig):
    """Options of ``--criterion anti_focal``."""


@register_criterion("anti_focal", dataclass=AntiFocalCriterionConfig)
class AntiFocalCriterion(ScalarCriterion):
    """Anti-focal loss. Source: Raunak et al. 2020."""

    loss_name = "anti_focal"


@dataclass
class TLDRCriterionConfig(ScalarCriterionConfig):
    """Options of ``--criterion tldr``."""


@register_criterion("tldr", dataclass=TLDRCriterionConfig)
class TLDRCriterion(ScalarCriterion):
    """Token loss dynamic reweighting. Source: Jiang et al. 2020."""

    loss_name = "tldr"


@dataclass
@with_options_of(MixedCrossEntropy)
class MixCECriterionConfig(ScalarCriterionConfig):
    """Options of ``--criterion mixce``."""


@register_criterion("mixce", dataclass=MixCECriterionConfig)
class MixCECriterion(ScalarCriterion):
    """Cross-entropy mixed with its reverse. Source: Zhang et al. 2023."""

    loss_name = "mixce"


@dataclass(frozen=True)
class FaceCounts(Options):
    """Which tokens FACE counts."""

    counted: Literal["targets", "output"] = option(
        "targets",
        "tokens that --class-weight face counts: the training targets, or the model's likeliest tokens in "
        "all earlier updates",
        choices=Literal["targets", "output"],
        name="face_counts",
    )


_OUTPUT = RunningCounts("face_output")


@dataclass
@with_options_of(Focal, ClassWeightOptions, FaceCounts, defaults={"focal_gamma": 0.0})
class ClassBalancedCriterionConfig(ScalarCriterionConfig):
    """Options of ``--criterion class_balanced``; with ``focal_gamma`` 0 the loss is cross-entropy."""


@register_criterion("class_balanced", dataclass=ClassBalancedCriterionConfig)
class ClassBalancedCriterion(ScalarCriterion):
    """Cross-entropy or focal loss with class weights: class-balanced, inverse frequency, or FACE.

    Source: Cui et al. 2019; Nakamura et al. 2018; Jiang et al. 2019.
    """

    loss_name = "focal"

    def __init__(self, cfg: ClassBalancedCriterionConfig, task: Any) -> None:
        super().__init__(cfg, task)
        self.weights = self.options(ClassWeightOptions)
        self.counts_output = self.options(FaceCounts).counted == "output"
        if self.counts_output:
            if self.weights.class_weight != "face":
                raise UserError("--face-counts output: is for --class-weight face")
            self.refuse_fused_linear()

    def class_weight(self, device: torch.device) -> Tensor:
        """See :class:`LogitsCriterion`."""
        if not self.counts_output:
            return self.class_weights(self.weights, device)
        counts = self.from_counts("counts", lambda counts: torch.from_numpy(counts).double(), device)
        chosen = _OUTPUT.total()
        if chosen is None:
            chosen = torch.zeros_like(counts)
        return face_weight(counts, output_counts=chosen, mean_over="examples", dtype=torch.float32)

    def counts_of_update(self, output: Any, started: bool) -> dict[str, Tensor]:
        """In training, how often each word is the likeliest at the positions of targets."""
        if not (self.counts_output and self.training):
            return {}
        chosen = output.values.argmax(-1)[output.target != self.padding_idx]
        return {"chosen": torch.bincount(chosen, minlength=output.num_classes).double()}

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Store the counts, and log the other values."""
        counted = [log["chosen"] for log in logging_outputs if "chosen" in log]
        _OUTPUT.add(sum(counted) if counted else None)
        super().reduce_metrics(logging_outputs)


@dataclass
@with_options_of(LogitAdjustmentOptions)
class LogitAdjustedCriterionConfig(ScalarCriterionConfig):
    """Options of ``--criterion logit_adjusted``."""


@register_criterion("logit_adjusted", dataclass=LogitAdjustedCriterionConfig)
class LogitAdjustedCriterion(ScalarCriterion):
    """Cross-entropy of logits plus ``tau`` times the log-frequency of each word (tau 1: balanced softmax).

    Perplexity and likelihood in the log are those of the model without this offset. Source: Menon et al.
    2021; Ren et al. 2020.
    """

    def __init__(self, cfg: LogitAdjustedCriterionConfig, task: Any) -> None:
        super().__init__(cfg, task)
        self.tau = self.options(LogitAdjustmentOptions).tau

    def class_offset(self, device: torch.device) -> Tensor:
        """See :class:`LogitsCriterion`."""
        return self.from_counts(
            "log prior", lambda counts: log_prior(counts, self.tau, dtype=torch.float32), device
        )
