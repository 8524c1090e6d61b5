"""The losses of a config, built from the training counts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from eureka_nlg.errors import UserError
from eureka_nlg.frequency import ClassWeightOptions, LogitAdjustmentOptions, RarestOptions, rarest_classes
from eureka_nlg.losses import Deferred, EurekaLoss, GEMLoss, HaltedFocalLoss, LDAMLoss, LogitAdjustedLoss
from eureka_nlg.losses.bonus import eureka_options
from eureka_nlg.losses.gem import GEM
from eureka_nlg.losses.modules import LogitsLoss
from eureka_nlg.losses.objectives import SCALAR_LOSSES, HaltedFocal, Margins
from eureka_nlg.losses.options import LabelSmoothing, Reduction, SharedArguments, options_of
from eureka_nlg.vision.classification.config import Config, LossConfig

__all__ = ["build_loss", "deferred_loss"]


def build_loss(
    config: LossConfig,
    class_counts: Tensor,
    reduction: Reduction = "mean",
    cosine_scale: float | None = None,
) -> nn.Module:
    """The module of a loss: logits ``[B, C]`` and classes ``[B]`` -> loss.

    Args:
        config: the loss and its options.
        class_counts: ``[C]`` training images of each class.
        reduction: as in :func:`eureka_nlg.losses.eureka_loss`.
        cosine_scale: what the logits of a cosine classifier were scaled by.

    Raises:
        UserError: the counts are invalid.
    """
    try:
        return _module(config, class_counts, reduction, cosine_scale or 1.0)
    except ValueError as error:
        raise UserError(f"loss {config.name}: {error}") from error


def _module(config: LossConfig, class_counts: Tensor, reduction: Reduction, cosine_scale: float) -> nn.Module:
    weight = None
    if config.class_balanced:
        weight = options_of(config, ClassWeightOptions).of(class_counts, dtype=torch.float32)
    shared: SharedArguments = {
        "weight": weight,
        "reduction": reduction,
        "label_smoothing": options_of(config, LabelSmoothing).label_smoothing,
    }
    if config.name == "cross_entropy":
        smoothing = shared["label_smoothing"]
        return nn.CrossEntropyLoss(weight, reduction=reduction, label_smoothing=smoothing)
    if config.name == "halted_focal":
        halted = rarest_classes(class_counts, options_of(config, RarestOptions).fraction)
        return HaltedFocalLoss(**options_of(config, HaltedFocal).values(), halted=halted, **shared)
    if config.name == "ldam":
        return _LDAMOfLogits(class_counts, cosine_scale, **options_of(config, Margins).values(), **shared)
    if config.name == "logit_adjusted":
        tau = options_of(config, LogitAdjustmentOptions).tau
        return LogitAdjustedLoss(class_counts, tau=tau, **shared)
    if config.name == "gem":
        return GEMLoss(**options_of(config, GEM).values(), **shared)
    if config.name == "eureka":
        encouragement, bonus = eureka_options(config)
        return EurekaLoss(encouragement.of(class_counts, torch.float32), **bonus.values(), **shared)
    return LogitsLoss(options_of(config, SCALAR_LOSSES[config.name]), **shared)


def deferred_loss(config: Config, class_counts: Tensor, reduction: Reduction = "mean") -> nn.Module:
    """The loss of a config; with plain epochs a :class:`Deferred`, whose epoch the caller has to set."""
    loss = build_loss(config.loss, class_counts, reduction, config.cosine_scale)
    if config.plain_epochs == 0:
        return loss
    first = build_loss(config.deferral.loss, class_counts, reduction, config.cosine_scale)
    return Deferred(first, loss, start_epoch=config.plain_epochs + 1)


class _LDAMOfLogits(LDAMLoss):
    """LDAM, which has a margin in the cosine and a scale of its own, of a cosine classifier's logits."""

    def __init__(self, class_counts: Tensor, cosine_scale: float, **options: Any) -> None:
        super().__init__(class_counts, **options)
        self.cosine_scale = cosine_scale

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return super().forward(input / self.cosine_scale, target)
