"""Classifiers on top of features: cosine, and the learnable scale of Decoupling-LWS."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CosineClassifier", "ScaledClassifier", "classifier"]


class CosineClassifier(nn.Module):
    """Scaled cosines of the feature and the weight vector of each class, for LDAM (Cao et al. 2019).

    Cosines alone are no logits: the softmax of numbers in [-1, 1] is nearly uniform.

    Args:
        features: length of a feature vector.
        classes: number of classes, C.
        scale: the logits are this times the cosines.
    """

    def __init__(self, features: int, classes: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(F.normalize(torch.empty(classes, features).uniform_(-1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, features]`` -> ``[B, C]``."""
        return self.scale * F.linear(F.normalize(x), F.normalize(self.weight))


class ScaledClassifier(nn.Module):
    """A classifier whose logits are scaled by one learned factor per class: LWS of Kang et al. 2020.

    Args:
        base: the classifier of the first stage, which should be frozen; the factors start at one.
        classes: number of classes, C.
    """

    def __init__(self, base: nn.Module, classes: int) -> None:
        super().__init__()
        self.base = base
        self.scale = nn.Parameter(torch.ones(classes))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, features]`` -> ``[B, C]``."""
        return self.base(x) * self.scale


def classifier(features: int, classes: int, cosine_scale: float | None) -> nn.Module:
    """A new linear classifier (Kaiming normal weights, as in Cao et al. 2019), or a cosine classifier."""
    if cosine_scale is not None:
        return CosineClassifier(features, classes, cosine_scale)
    linear = nn.Linear(features, classes)
    nn.init.kaiming_normal_(linear.weight)
    return linear
