"""The images of an epoch and their order: a pure function of the seed and the epoch.

Since nothing is drawn from a running generator, a run that is resumed within an epoch or branches off another
run sees the same images as an uninterrupted one, with any number of processes and workers.
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
# The probability of a class is proportional to its count to the power of q.
_POWER = {"instance": 1.0, "square_root": 0.5, "class_balanced": 0.0, "reversed": -1.0}


def _state(*key: int | str) -> np.random.SeedSequence:
    """Independent random bits for each key of words and numbers, which numpy's SeedSequence mixes."""
    numbers = [int.from_bytes(k.encode(), "little") if isinstance(k, str) else k for k in key]
    return np.random.SeedSequence(numbers)


def generator(*key: int | str) -> torch.Generator:
    """A generator on the CPU with a random stream for this key, such as (seed, "crops", epoch, step)."""
    seed = int(_state(*key).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator().manual_seed(seed)


def seeds_of_images(count: int, *key: int | str) -> list[int]:
    """One seed for each of ``count`` images."""
    return [int(seed) for seed in _state(*key).generate_state(count, np.uint32)]


def class_probabilities(class_counts: Tensor, draw: Draw) -> Tensor:
    """Probability of each class for a drawn image, ``[C]`` float64, proportional to ``count ** q``.

    q is 1 for ``instance``, 1/2 for ``square_root`` (Kang et al. 2020), 0 for ``class_balanced``
    (re-sampling, RS), and -1 for ``reversed`` (the second branch of BBN, Zhou et al. 2020). Classes without
    images have probability 0.
    """
    counts = class_counts.to(torch.float64)
    weight = torch.where(counts > 0, counts.clamp(min=1) ** _POWER[draw], 0.0)
    return weight / weight.sum()


def epoch_order(labels: Tensor, draw: Draw, seed: int, epoch: int, stream: str = "order") -> Tensor:
    """Indices of the images of an epoch, as many as there are labels.

    Args:
        labels: ``[N]`` class of every training image.
        draw: ``instance`` is a permutation of the images; the others draw a class and then an image of it,
            both with replacement.
        seed: seed of the run.
        epoch: epoch, counted from 1.
        stream: name that makes a second order of the same epoch independent of the first.

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
    """A random image of each given class; all images of a class have the same probability.

    Args:
        labels: ``[N]`` class of every training image.
        classes: classes, integers in any shape.
        source: the random generator.

    Returns:
        Indices into ``labels``, in the shape of ``classes``.
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
