"""Decoupling (Kang et al. 2020): frozen features of a first stage, with a new or a rescaled classifier."""

from __future__ import annotations

from torch import nn

from eureka_nlg.vision.classification.config import Config
from eureka_nlg.vision.classification.methods.first_stage import first_stage
from eureka_nlg.vision.classification.models import second_stage
from eureka_nlg.vision.classification.task import Classification

__all__ = ["Decoupling"]


class Decoupling(Classification):
    """cRT: a new classifier; LWS: the old classifier, frozen, with a learned factor per class."""

    @classmethod
    def build_network(cls, config: Config, num_classes: int, pretrained: bool) -> nn.Module:
        """A network with the features of ``config.init_from``, if ``pretrained``."""
        network = first_stage(config, num_classes, load=pretrained, classifier=config.method == "lws")
        return second_stage(network, config.method, num_classes, config.cosine_scale)
