"""The losses of the paper: functions, modules, and when each of them holds."""

from eureka_nlg.losses.functional import (
    eureka_loss,
    focal_loss,
    halted_focal_loss,
    ldam_loss,
    linear_eureka_loss,
)
from eureka_nlg.losses.modules import (
    EurekaLoss,
    FocalLoss,
    HaltedFocalLoss,
    LDAMLoss,
    LinearEurekaLoss,
    SigmoidEurekaLoss,
    SigmoidFocalLoss,
    SigmoidHaltedFocalLoss,
)
from eureka_nlg.losses.schedule import Deferred
from eureka_nlg.losses.sigmoid import sigmoid_eureka_loss, sigmoid_focal_loss, sigmoid_halted_focal_loss

__all__ = [
    "eureka_loss",
    "focal_loss",
    "halted_focal_loss",
    "ldam_loss",
    "linear_eureka_loss",
    "sigmoid_eureka_loss",
    "sigmoid_focal_loss",
    "sigmoid_halted_focal_loss",
    "EurekaLoss",
    "FocalLoss",
    "HaltedFocalLoss",
    "LDAMLoss",
    "LinearEurekaLoss",
    "SigmoidEurekaLoss",
    "SigmoidFocalLoss",
    "SigmoidHaltedFocalLoss",
    "Deferred",
]
