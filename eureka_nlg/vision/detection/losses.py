"""The classification loss of a detector, from its config and the training counts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eureka_nlg.errors import UserError
from eureka_nlg.losses import SigmoidEurekaLoss, SigmoidHaltedFocalLoss
from eureka_nlg.losses.bonus import eureka_options
from eureka_nlg.losses.modules import SigmoidLoss
from eureka_nlg.losses.objectives import SCALAR_LOSSES, Focal, HaltedFocal
from eureka_nlg.losses.options import SigmoidArguments, options_of
from eureka_nlg.losses.sigmoid import Balance, HaltedSide
from eureka_nlg.vision.detection.config import DetectionLossConfig

__all__ = ["build_loss"]


def build_loss(config: DetectionLossConfig, class_counts: Tensor) -> nn.Module:
    """The module of a loss: logits and 0/1 targets ``[N, K]`` -> summed loss, a scalar.

    Args:
        config: the loss and its options.
        class_counts: ``[K]`` training boxes of each class.

    Raises:
        UserError: the counts are invalid.
    """
    shared: SigmoidArguments = {"alpha": options_of(config, Balance).alpha, "reduction": "sum"}
    if config.name == "halted_focal":
        side = options_of(config, HaltedSide).halted
        return SigmoidHaltedFocalLoss(**options_of(config, HaltedFocal).values(), halted=side, **shared)
    if config.name == "eureka":
        encouragement, bonus = eureka_options(config)
        try:
            weights = encouragement.of(class_counts, torch.float32)
        except ValueError as error:
            raise UserError(f"loss {config.name}: {error}") from error
        values = bonus.values()
        return SigmoidEurekaLoss(
            weights,
            gamma=options_of(config, Focal).gamma,
            bonus_gamma=values.pop("gamma"),
            **values,
            **shared,
        )
    return SigmoidLoss(options_of(config, SCALAR_LOSSES[config.name]), **shared)
