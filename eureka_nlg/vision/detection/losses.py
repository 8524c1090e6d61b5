"""The classification loss of a detector, from its config and the training counts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eureka_nlg.errors import UserError
from eureka_nlg.frequency import EncouragementOptions
from eureka_nlg.losses import SigmoidEurekaLoss, SigmoidHaltedFocalLoss
from eureka_nlg.losses.modules import SigmoidLoss
from eureka_nlg.losses.objectives import SCALAR_LOSSES, Bonus, Focal, HaltedFocal
from eureka_nlg.losses.options import SigmoidArguments, options_of
from eureka_nlg.losses.sigmoid import Balance, HaltedSide
from eureka_nlg.vision.detection.config import DetectionLossConfig

__all__ = ["build_loss"]


def build_loss(config: DetectionLossConfig, class_counts: Tensor) -> nn.Module:
    """Module of one loss: logits and 0/1 targets ``[N, K]`` -> their sum, a scalar.

    Args:
        config: which loss, and its options.
        class_counts: ``[K]`` training boxes of each class.

    Raises:
        UserError: counts that cannot be.
    """
    shared: SigmoidArguments = {"alpha": options_of(config, Balance).alpha, "reduction": "sum"}
    if config.name == "halted_focal":
        side = options_of(config, HaltedSide).halted
        return SigmoidHaltedFocalLoss(**options_of(config, HaltedFocal).values(), halted=side, **shared)
    if config.name == "eureka":
        bonus = options_of(config, Bonus).values()
        return SigmoidEurekaLoss(
            _encouragement(config, class_counts),
            gamma=options_of(config, Focal).gamma,
            bonus_gamma=bonus.pop("gamma"),
            **bonus,
            **shared,
        )
    return SigmoidLoss(options_of(config, SCALAR_LOSSES[config.name]), **shared)


def _encouragement(config: DetectionLossConfig, class_counts: Tensor) -> Tensor:
    try:
        return options_of(config, EncouragementOptions).of(class_counts, torch.float32)
    except ValueError as error:
        raise UserError(f"loss {config.name}: {error}") from error
