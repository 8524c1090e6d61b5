"""Long-tailed versions of balanced data sets: the size of each class, and the choice of its images."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from eureka_nlg.errors import UserError
from eureka_nlg.vision.data.order import generator

__all__ = ["class_sizes", "choose_images"]


def class_sizes(largest: int, num_classes: int, imbalance_degree: float, profile: str) -> list[int]:
    """Number of training images of each class, as in Cao et al. 2019.

    Args:
        largest: number of images of the first class, the most frequent one.
        num_classes: C.
        imbalance_degree: size of the largest class divided by the size of the smallest.
        profile: ``exponential``: ``floor(largest * degree ** (-i / (C - 1)))``; ``step``: the first half of
            the classes keeps ``largest``, the other half ``floor(largest / degree)``.

    Returns:
        C counts in descending order.

    Raises:
        UserError: the smallest class would be empty.

    >>> class_sizes(5000, 10, 100, "exponential")
    [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    """
    if profile == "step":
        sizes = [largest / (imbalance_degree if i >= num_classes // 2 else 1) for i in range(num_classes)]
    else:
        last = max(num_classes - 1, 1)
        sizes = [largest * imbalance_degree ** (-i / last) for i in range(num_classes)]
    floors = [
        math.floor(size * (1 + 1e-12)) for size in sizes
    ]  # the factor makes up for rounding: 5000 / 100 has to give 50
    if floors[-1] == 0:
        raise UserError(
            f"imbalance degree {imbalance_degree:g} leaves no image in a class of {largest}: "
            f"give at most {largest}"
        )
    return floors


def choose_images(labels: Tensor, sizes: list[int], seed: int) -> Tensor:
    """Choose ``sizes[c]`` images of every class c at random.

    With the same seed, a smaller choice is a subset of a larger one.

    Args:
        labels: ``[N]`` class of every image.
        sizes: number of images to choose of each class.
        seed: seed of the choice.

    Returns:
        Sorted indices into ``labels``.

    Raises:
        UserError: a class has fewer images than requested.
    """
    chosen = []
    for label, size in enumerate(sizes):
        members = (labels == label).nonzero().flatten()
        if len(members) < size:
            raise UserError(f"class {label} has {len(members)} images, expected {size} or more")
        order = torch.randperm(len(members), generator=generator(seed, "choice", label))
        chosen.append(members[order[:size]])
    return torch.cat(chosen).sort().values
