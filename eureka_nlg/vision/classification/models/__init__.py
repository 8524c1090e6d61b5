"""Networks for images, with the classifier that the loss needs."""

from eureka_nlg.vision.classification.models.networks import BilateralNetwork, Network, second_stage

__all__ = ["Network", "BilateralNetwork", "second_stage"]
