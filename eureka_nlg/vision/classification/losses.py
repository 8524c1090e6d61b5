"""The losses of a config, built from the training counts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from eureka_nlg.errors import UserError
from eureka_nlg.frequency import class_balanced_weight, rarest_classes
from eureka_nlg.losses import Deferred, EurekaLoss, FocalLoss, HaltedFocalLoss, LDAMLoss
from eureka_nlg.vision.classification.config import Config, LossConfig

__all__ = ["build_loss", "deferred_loss"]


def build_loss(config: LossConfig, class_counts: Tensor, reduction: str = "mean") -> nn.Module:
    """Module of one loss: logits ``[B, C]`` and classes ``[B]`` -> scalar.

    Args:
        config: which loss, and its options.
        class_counts: ``[C]`` training images of each class.
        reduction: of the loss functions, "mean" or "sum".

    Raises:
        UserError: options that the loss does not take.
    """
    weight = (
        class_balanced_weight(class_counts, config.beta, dtype=torch.float32)
        if config.class_balanced
        else None
    )
    smoothing = config.label_smoothing
    try:
        if config.name == "cross_entropy":
            return nn.CrossEntropyLoss(weight, label_smoothing=smoothing, reduction=reduction)
        if config.name == "focal":
            return FocalLoss(
                gamma=config.gamma, weight=weight, label_smoothing=smoothing, reduction=reduction
            )
        if config.name == "halted_focal":
            return HaltedFocalLoss(
                gamma=config.gamma,
                threshold=0.5 if config.threshold is None else config.threshold,
                halted=rarest_classes(class_counts, config.halted_fraction),
                weight=weight,
                label_smoothing=smoothing,
                reduction=reduction,
            )
        if config.name == "ldam":
            return LDAMLoss(
                class_counts,
                max_margin=config.max_margin,
                scale=config.scale,
                weight=weight,
                label_smoothing=smoothing,
                reduction=reduction,
            )
        return _eureka(config, class_counts, weight, reduction)
    except ValueError as error:
        raise UserError(f"loss {config.name}: {error}") from error


def _eureka(config: LossConfig, class_counts: Tensor, weight: Tensor | None, reduction: str) -> EurekaLoss:
    options: dict[str, Any] = {
        "bonus": config.bonus,
        "gamma": config.gamma,
        "threshold": config.threshold,
        "likelihood_cap": config.likelihood_cap,
        "likelihood_clamp": config.likelihood_clamp,
        "weight": weight,
        "label_smoothing": config.label_smoothing,
        "reduction": reduction,
    }
    if config.encouragement == "one":
        return EurekaLoss(None, **options)
    return EurekaLoss.from_counts(
        class_counts,
        config.beta,
        measure=config.encouragement,
        normalization=config.normalization,
        **options,
    )


def deferred_loss(config: Config, class_counts: Tensor, reduction: str = "mean") -> nn.Module:
    """The loss of a config, behind its plain epochs if it has any; ``set_epoch`` is to be called if there."""
    loss = build_loss(config.loss, class_counts, reduction)
    if config.plain_epochs == 0:
        return loss
    first = build_loss(config.deferral.loss, class_counts, reduction)
    return Deferred(first, loss, start_epoch=config.plain_epochs + 1)
