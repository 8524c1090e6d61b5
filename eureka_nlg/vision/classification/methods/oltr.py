"""OLTR (Liu et al. 2019, "Large-Scale Long-Tailed Recognition in an Open World"), its second stage.

A memory holds a centroid of each class. Features of the tail are poor, so a feature is completed with
content of the memory, weighted by a selector; and it is scaled by its distance to the nearest centroid:

    v_meta = (v + e * (o M)) / gamma      o = softmax(T_hal v), e = tanh(T_sel v), gamma = min_i |v - c_i|
    logits = scale * cos(v_meta, w_i) * |v_meta|^2 / (1 + |v_meta|^2)
    L      = loss(logits, y) + margin_weight * max(0, |v - c_y| - mean_{i != y} |v - c_i| + margin)

The feature map f passes through modulated attention, f + MA(f) * SA(f), before it is pooled.

Chosen by this project, where the paper is silent or differs from its published code:

- The centroids start as the class means of the first stage's features, and learn from the large-margin loss
  only (they are constants for the classification), as in the published code.
- The large-margin loss uses the direct feature v, as in the published code, and the *mean* distance to the
  other centroids: with the printed sum the hinge is zero if there are more than a few classes.
- SA is a non-local block (Wang et al. 2018, embedded Gaussian, half the channels) whose last convolution
  starts at zero, so that the first step has the features of the first stage. MA is a softmax over the
  locations of a 1 x 1 convolution. Both are trained in the second stage only.
- Weight decay acts on the centroids, too, as in the published code.
- T_hal is new; the published code starts it as the classifier of the first stage.
- Any loss of logits can replace cross-entropy, except for LDAM, which scales cosines itself.
- Unknown classes are not rejected by a small |v_meta|, since no open set is evaluated here.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eureka_nlg.vision.classification.config import Config
from eureka_nlg.vision.classification.data import Batch
from eureka_nlg.vision.classification.methods.first_stage import first_stage
from eureka_nlg.vision.classification.models import Network, in_float32
from eureka_nlg.vision.classification.task import Classification

__all__ = ["MetaEmbedding", "ModulatedAttention", "OpenLongTailed", "OpenLongTailedNetwork", "large_margin"]

_NEAREST = 1e-6
"""Least distance to scale by: if a class has one image, its feature may be equal to the centroid."""


class OpenLongTailed(Classification):
    """The second stage of OLTR, with a lower learning rate for the features."""

    network: OpenLongTailedNetwork

    @classmethod
    def build_network(cls, config: Config, num_classes: int, pretrained: bool) -> nn.Module:
        """A network with the features of ``config.init_from``, if ``pretrained``."""
        stage = first_stage(config, num_classes, load=pretrained, classifier=False)
        return OpenLongTailedNetwork(stage, num_classes, config.oltr.scale, config.oltr.attention)

    def prepare(self) -> None:
        """Set the centroids to the mean feature of each class."""
        network = self.network
        everywhere = torch.ones(len(self.data.class_counts), dtype=torch.bool)
        means = self.class_means(everywhere, network.features, network.num_features)
        with torch.no_grad():
            network.head.centroids.copy_(means)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Features and centroids in a group with a lower learning rate, and all other parameters."""
        slow = [*self.network.backbone.parameters(), self.network.head.centroids]
        chosen = set(map(id, slow))
        rest = [one for one in self.network.parameters() if id(one) not in chosen]
        return [{"params": rest}, {"params": slow, "factor": self.config.oltr.feature_rate}]

    def loss(self, model: nn.Module, part: Batch) -> Tensor:
        """The contribution of a part to the mean loss of its step."""
        logits, distances = model(part.images, with_distances=True)
        options = self.config.oltr
        margin = large_margin(distances, part.labels, options.margin).sum() / len(part.step_labels)
        return self._mean(logits, part) + options.margin_weight * margin


def large_margin(distances: Tensor, labels: Tensor, margin: float) -> Tensor:
    """``max(0, d_y - mean_{i != y} d_i + margin)`` of each feature.

    Args:
        distances: ``[B, C]``, distances of the features to the centroids.
        labels: ``[B]``.
        margin: by how much the own centroid should be nearer than the mean distance to the others.

    Returns:
        ``[B]``.
    """
    own = distances.gather(1, labels[:, None])[:, 0]
    others = (distances.sum(1) - own) / max(distances.shape[1] - 1, 1)
    return (own - others + margin).relu()


class OpenLongTailedNetwork(nn.Module):
    """Backbone with modulated attention before its pooling, and meta-embedding.

    Args:
        stage: network of the first stage, whose backbone is used.
        num_classes: C.
        scale: scale of the logits.
        attention: whether to use modulated attention.
    """

    def __init__(self, stage: Network, num_classes: int, scale: float, attention: bool) -> None:
        super().__init__()
        self.backbone, self.num_features = stage.backbone, stage.num_features
        self.attention = ModulatedAttention(self.num_features) if attention else nn.Identity()
        self.head = MetaEmbedding(self.num_features, num_classes, scale)

    def features(self, images: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` -> direct features ``[B, D]``."""
        maps = images
        *stages, pool = self.backbone
        for stage in stages:
            maps = stage(maps)
        return pool(self.attention(maps))

    def forward(self, images: Tensor, with_distances: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Images ``[B, 3, H, W]`` -> logits ``[B, C]`` float32; on request, distances to the centroids."""
        logits, distances = in_float32(self.head, self.features(images))
        return (logits, distances) if with_distances else logits


class ModulatedAttention(nn.Module):
    """``f + MA(f) * SA(f)`` of a feature map (section 3.2 of the paper).

    Args:
        channels: D.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 2, 1)
        self.query, self.key, self.value = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.out = nn.Conv2d(inner, channels, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)
        self.where = nn.Conv2d(channels, 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """``[B, D, H, W]`` -> ``[B, D, H, W]``."""
        query, key, value = (layer(maps).flatten(2) for layer in (self.query, self.key, self.value))
        alike = (query.transpose(1, 2) @ key).softmax(2)  # [B, from, to]
        context = self.out((value @ alike.transpose(1, 2)).view(*value.shape[:2], *maps.shape[2:]))
        where = self.where(maps).flatten(2).softmax(2).view(len(maps), 1, *maps.shape[2:])
        return maps + where * context


class MetaEmbedding(nn.Module):
    """Memory, meta-embedding and cosine classifier.

    Args:
        features: number of features, D.
        classes: number of classes, C.
        scale: scale of the logits.

    Attributes:
        centroids: ``[C, D]``, the memory M.
    """

    def __init__(self, features: int, classes: int, scale: float) -> None:
        super().__init__()
        self.hallucinator = nn.Linear(features, classes)
        self.selector = nn.Linear(features, features)
        self.weight = nn.Parameter(F.normalize(torch.empty(classes, features).uniform_(-1, 1)))
        self.centroids = nn.Parameter(torch.zeros(classes, features))
        self.scale = scale

    def forward(self, direct: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``[B, D]`` -> logits ``[B, C]``, and distances ``[B, C]`` to the centroids."""
        # Not by matrix products, which are imprecise for small distances.
        distances = torch.cdist(direct, self.centroids, compute_mode="donot_use_mm_for_euclid_dist")
        meta = self.embedding(direct, distances.detach().argmin(1))
        squared = meta.square().sum(1, keepdim=True)
        squashed = F.normalize(meta) * (squared / (1 + squared))
        return self.scale * F.linear(squashed, F.normalize(self.weight)), distances

    def embedding(self, direct: Tensor, nearest: Tensor) -> Tensor:
        """``(v + e * (o M)) / gamma`` of features ``[B, D]`` whose nearest centroids are given, ``[B]``."""
        memory = self.centroids.detach()
        recalled = self.hallucinator(direct).softmax(1) @ memory
        reach = torch.linalg.vector_norm(direct - memory[nearest], dim=1, keepdim=True).clamp(min=_NEAREST)
        return (direct + self.selector(direct).tanh() * recalled) / reach
