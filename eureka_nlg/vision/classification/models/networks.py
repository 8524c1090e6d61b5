"""Networks of a backbone and a classifier; BBN has two last blocks and two classifiers."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from eureka_nlg.errors import require
from eureka_nlg.vision.classification.config import ModelConfig
from eureka_nlg.vision.classification.models.heads import ScaledClassifier, classifier
from eureka_nlg.vision.classification.models.resnet_cifar import cifar_resnet

__all__ = ["Network", "BilateralNetwork", "in_float32", "second_stage"]


class Network(nn.Module):
    """Features, then logits.

    The classifier computes in float32 under autocast, too: logits in bfloat16 could not express likelihoods
    near one, where the losses here act.

    Args:
        config: the backbone.
        num_classes: C.
        cosine_scale: scale of a cosine classifier; None for a linear one.

    Attributes:
        backbone: images ``[B, 3, H, W]`` -> features.
        classifier: features -> logits ``[B, C]``.
        frozen: whether the backbone, including its batch statistics, is not trained.
    """

    def __init__(self, config: ModelConfig, num_classes: int, cosine_scale: float | None) -> None:
        super().__init__()
        self.backbone, self.num_features = _backbone(config.name)
        self.classifier = classifier(self.num_features, num_classes, cosine_scale)
        self.frozen = False

    def forward(self, images: Tensor) -> Tensor:
        """``[B, 3, H, W]`` -> ``[B, C]`` float32."""
        return in_float32(self.classifier, self.backbone(images))

    def train(self, mode: bool = True) -> Network:
        """As in torch, except that a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self


class BilateralNetwork(nn.Module):
    """Two branches that share all but the last residual block (BBN, Zhou et al. 2020).

    In training, ``forward(images, rebalanced, alpha)`` gives ``alpha * W_c f_c + (1 - alpha) * W_r f_r``,
    with one branch for each of two batches. In evaluation, ``forward(images)`` uses both branches for the
    same images, with alpha 0.5.

    Args:
        config, num_classes, cosine_scale: as in :class:`Network`.
    """

    def __init__(self, config: ModelConfig, num_classes: int, cosine_scale: float | None) -> None:
        super().__init__()
        backbone, self.num_features = _backbone(config.name)
        *shared, (last_name, last_stage), (_, pool) = backbone.named_children()
        assert isinstance(last_stage, nn.Sequential)
        trunk = nn.Sequential()
        for name, stage in shared:
            trunk.add_module(name, stage)
        trunk.add_module(last_name, last_stage[:-1])
        self.trunk = trunk
        self.blocks = nn.ModuleList([last_stage[-1], _reinitialised(last_stage[-1])])
        self.pool = pool
        self.classifiers = nn.ModuleList(
            classifier(self.num_features, num_classes, cosine_scale) for _ in range(2)
        )

    def forward(self, images: Tensor, rebalanced: Tensor | None = None, alpha: float = 0.5) -> Tensor:
        """Mixed logits ``[B, C]`` float32 of two batches ``[B, 3, H, W]``, or of one in both branches."""
        shared = self.trunk(images)
        both = (shared, shared if rebalanced is None else self.trunk(rebalanced))
        conventional, balanced = (
            in_float32(head, self.pool(block(half)))
            for head, block, half in zip(self.classifiers, self.blocks, both)
        )
        return alpha * conventional + (1 - alpha) * balanced


def second_stage(network: Network, method: str, num_classes: int, cosine_scale: float | None) -> Network:
    """Freeze the features of a trained network and prepare its classifier for Decoupling (Kang et al. 2020).

    Args:
        network: the network with the weights of the first stage.
        method: ``crt``: a new classifier; ``lws``: the old one, frozen, with a learned factor per class.
        num_classes: C.
        cosine_scale: as in :class:`Network`, for a new classifier.

    Returns:
        The same network.
    """
    network.requires_grad_(False)
    network.frozen = True
    if method == "crt":
        network.classifier = classifier(network.num_features, num_classes, cosine_scale)
    else:
        network.classifier = ScaledClassifier(network.classifier, num_classes)
    return network.train(network.training)


def in_float32(head: nn.Module, features: Tensor) -> Any:
    """The output of a head for features, computed in float32 under autocast, too."""
    with torch.autocast(features.device.type, enabled=False):
        return head(features.float())


def _backbone(name: str) -> tuple[nn.Sequential, int]:
    if name == "resnet32":
        return cifar_resnet(32)
    models: Any = require("torchvision.models", extra="vision")
    network = {"resnet50": models.resnet50, "resnext50": models.resnext50_32x4d}[name](weights=None)
    stages = nn.Sequential()
    for child_name, child in network.named_children():
        if child_name not in ("avgpool", "fc"):
            stages.add_module(
                child_name, child
            )  # with torchvision's names, so that its weights can be loaded
    stages.add_module("avgpool", nn.Sequential(network.avgpool, nn.Flatten()))
    return stages, network.fc.in_features


def _reinitialised(block: nn.Module) -> nn.Module:
    block = copy.deepcopy(block)
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return block
