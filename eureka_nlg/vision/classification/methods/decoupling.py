"""Decoupling (Kang et al. 2020): frozen features of a first stage, its classifier made anew or rescaled."""

from __future__ import annotations

from torch import nn

from eureka_nlg.vision.classification.config import Config
from eureka_nlg.vision.classification.methods.first_stage import first_stage
from eureka_nlg.vision.classification.models import second_stage
from eureka_nlg.vision.classification.task import Classification

__all__ = ["Decoupling"]


class Decoupling(Classification):
    """cRT: a fresh classifier; LWS: the old one, frozen, with a learned factor for each class."""

    @classmethod
    def build_network(cls, config: Config, num_classes: int, pretrained: bool) -> nn.Module:
        """With the features of ``config.init_from``, if ``pretrained``."""
        network = first_stage(config, num_classes, load=pretrained, classifier=config.method == "lws")
        return second_stage(network, config.method, num_classes, config.uses_cosine_head)
