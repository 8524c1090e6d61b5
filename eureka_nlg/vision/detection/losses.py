"""The classification loss of a detector, from its config and the training counts."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from eureka_nlg.errors import UserError
from eureka_nlg.frequency import encouragement
from eureka_nlg.losses import SigmoidEurekaLoss, SigmoidFocalLoss, SigmoidHaltedFocalLoss
from eureka_nlg.vision.detection.config import DetectionLossConfig

__all__ = ["build_loss"]


def build_loss(config: DetectionLossConfig, class_counts: Tensor) -> nn.Module:
    """Module of one loss: logits and 0/1 targets ``[N, K]`` -> their sum, a scalar.

    Args:
        config: which loss, and its options.
        class_counts: ``[K]`` training boxes of each class.

    Raises:
        UserError: options that the loss does not take.
    """
    shared: dict[str, Any] = {"alpha": config.alpha, "reduction": "sum"}
    try:
        if config.name == "cross_entropy":
            return SigmoidFocalLoss(gamma=0.0, **shared)
        if config.name == "focal":
            return SigmoidFocalLoss(gamma=config.gamma, **shared)
        if config.name == "halted_focal":
            return SigmoidHaltedFocalLoss(
                gamma=config.gamma,
                threshold=0.5 if config.threshold is None else config.threshold,
                halted=config.halted,
                **shared,
            )
        return SigmoidEurekaLoss(
            _encouragement(config, class_counts),
            bonus=config.bonus,
            bonus_gamma=config.bonus_gamma,
            threshold=config.threshold,
            likelihood_cap=config.likelihood_cap,
            likelihood_clamp=config.likelihood_clamp,
            gamma=config.gamma,
            **shared,
        )
    except ValueError as error:
        raise UserError(f"loss {config.name}: {error}") from error


def _encouragement(config: DetectionLossConfig, class_counts: Tensor) -> Tensor | None:
    if config.encouragement == "one":
        return None
    return encouragement(
        class_counts, config.beta, measure=config.encouragement, normalization=config.normalization
    )
