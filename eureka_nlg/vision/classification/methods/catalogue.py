"""The catalogue of methods: the task class of each, and the task of a config."""

from __future__ import annotations

from typing import Any

import torch

from eureka_nlg.vision.classification.config import Config
from eureka_nlg.vision.classification.data import ImageData
from eureka_nlg.vision.classification.methods.bbn import BilateralClassification
from eureka_nlg.vision.classification.methods.decoupling import Decoupling
from eureka_nlg.vision.classification.methods.fsa import FeatureSpaceAugmentation
from eureka_nlg.vision.classification.methods.mbj import MemoryBasedJitter
from eureka_nlg.vision.classification.methods.oltr import OpenLongTailed
from eureka_nlg.vision.classification.methods.options import Method
from eureka_nlg.vision.classification.task import Classification

__all__ = ["METHODS", "classification"]

METHODS: dict[Method, type[Classification]] = {
    "plain": Classification,
    "bbn": BilateralClassification,
    "crt": Decoupling,
    "lws": Decoupling,
    "oltr": OpenLongTailed,
    "fsa": FeatureSpaceAugmentation,
    "mbj": MemoryBasedJitter,
}


def classification(config: Config, data: ImageData, accelerator: Any, resumed: bool) -> Classification:
    """The task of a config.

    Args:
        config: options of the run.
        data: images of the run.
        accelerator: ``Accelerator`` of Hugging Face accelerate.
        resumed: whether the weights of the network will be loaded from a checkpoint of the run.

    Raises:
        UserError: the first stage does not fit, or options do not fit the images.
    """
    torch.manual_seed(config.seed)
    kind = METHODS[config.method]
    network = kind.build_network(config, len(data.class_counts), pretrained=not resumed)
    task = kind(config, data, network, accelerator)
    if not resumed:
        task.prepare()
    return task
