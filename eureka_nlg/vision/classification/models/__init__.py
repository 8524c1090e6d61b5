"""Networks for images, with the classifier that the loss needs."""

from eureka_nlg.vision.classification.models.networks import (
    BilateralNetwork,
    Network,
    in_float32,
    second_stage,
)

__all__ = ["Network", "BilateralNetwork", "in_float32", "second_stage"]
