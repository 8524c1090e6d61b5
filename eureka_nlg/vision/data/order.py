"""Which images an epoch takes, in which order: a pure function of the seed and the epoch.

Nothing is drawn from a running generator, so a run that goes on in the middle of an epoch, or branches off
another one, sees the images it would have seen anyway, however many processes or workers there are.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "Draw",
    "generator",
    "seeds_of_images",
    "epoch_order",
    "class_probabilities",
    "images_of_classes",
    "own_parts",
]

Draw = Literal["instance", "square_root", "class_balanced", "reversed"]
# The power q of a class' count that the probability of the class is proportional to.
_POWER = {"instance": 1.0, "square_root": 0.5, "class_balanced": 0.0, "reversed": -1.0}


def _state(*key: int | str) -> np.random.SeedSequence:
    """Independent bits for every key: its words and numbers are mixed by numpy's SeedSequence."""
    numbers = [int.from_bytes(k.encode(), "little") if isinstance(k, str) else k for k in key]
    return np.random.SeedSequence(numbers)


def generator(*key: int | str) -> torch.Generator:
    """A generator on the CPU whose stream belongs to this key, such as (seed, "crops", epoch, step)."""
    seed = int(_state(*key).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator().manual_seed(seed)


def seeds_of_images(count: int, *key: int | str) -> list[int]:
    """One seed for each of ``count`` images."""
    return [int(seed) for seed in _state(*key).generate_state(count, np.uint32)]


def class_probabilities(class_counts: Tensor, draw: Draw) -> Tensor:
    """Probability that a drawn image is of each class, ``[C]`` float64: proportional to ``count ** q``.

    q is 1 for ``instance``, 1/2 for ``square_root`` (Kang et al. 2020), 0 for ``class_balanced`` (RS), and -1
    for ``reversed`` (the second branch of BBN, Zhou et al. 2020). Classes without images have 0.
    """
    counts = class_counts.to(torch.float64)
    weight = torch.where(counts > 0, counts.clamp(min=1) ** _POWER[draw], 0.0)
    return weight / weight.sum()


def epoch_order(labels: Tensor, draw: Draw, seed: int, epoch: int, stream: str = "order") -> Tensor:
    """Indices of the images of an epoch, as many as there are labels.

    Args:
        labels: ``[N]`` class of every training image.
        draw: ``instance`` is a permutation, every image once; the others draw a class, then an image of it,
            both with replacement.
        seed: of the run.
        epoch: counted from 1.
        stream: name that keeps two orders of the same epoch apart.

    Returns:
        ``[N]`` indices.
    """
    source = generator(seed, stream, epoch)
    if draw == "instance":
        return torch.randperm(len(labels), generator=source)
    counts = torch.bincount(labels)
    classes = torch.multinomial(
        class_probabilities(counts, draw), len(labels), replacement=True, generator=source
    )
    return images_of_classes(labels, classes, source)


def images_of_classes(labels: Tensor, classes: Tensor, source: torch.Generator) -> Tensor:
    """An image of each of the given classes, any of the class' images with the same probability.

    Args:
        labels: ``[N]`` class of every training image.
        classes: integers of any shape.
        source: what is drawn from.

    Returns:
        Indices into ``labels``, of the shape of ``classes``.
    """
    counts = torch.bincount(labels)
    by_class = labels.argsort(stable=True)
    first = counts.cumsum(0) - counts
    within = (torch.rand(classes.shape, generator=source, dtype=torch.float64) * counts[classes]).long()
    return by_class[first[classes] + within]


def own_parts(count: int, process: int, processes: int, accumulate: int) -> list[tuple[Tensor, float]]:
    """Split the ``count`` images of a step over processes and parts.

    Returns:
        For each part of this process its positions in the batch, and its share of the step's images.
    """
    own = torch.arange(process, count, processes)
    return [(part, len(part) / count) for part in own.chunk(accumulate)]
