"""Training counts of the classes: their check, their effective number, and the rarest classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from eureka_nlg.errors import UserError
from eureka_nlg.labelled_counts import in_order_of_classes
from eureka_nlg.options import Options, option

__all__ = [
    "IMAGE_BETA",
    "ClassBalancedOptions",
    "ClassCounts",
    "RarestOptions",
    "check_class_counts",
    "effective_number",
    "inverse",
    "rarest_classes",
]

ClassCounts = Sequence[int] | Tensor | Any  # Any: numpy arrays, without importing numpy for its type


@dataclass(frozen=True)
class ClassBalancedOptions(Options):
    """Options of :func:`effective_number` and :func:`class_balanced_weight`."""

    # The papers' values: 0.999 for ConvAI2, and 0.9999 for images (IMAGE_BETA).
    beta: float = option(
        0.999,
        "of the effective number: 0 makes all classes equal, towards 1 it approaches the counts",
        at_least=0,
        below=1,
    )


IMAGE_BETA = 0.9999
"""Default of ``beta`` in the configs of images; elsewhere the default is that of ClassBalancedOptions."""


@dataclass(frozen=True)
class RarestOptions(Options):
    """Options of :func:`rarest_classes`."""

    fraction: float = option(
        1.0,
        "halted focal loss for this fraction of the classes, the rarest ones; focal loss for the others",
        at_least=0,
        at_most=1,
        name="halted_fraction",
    )


def check_class_counts(class_counts: ClassCounts) -> Tensor:
    """Return the counts as a float64 tensor ``[C]``.

    Counts that name their classes (a mapping, a Series of pandas) are put in the order of the class indices.

    Raises:
        ValueError: the counts are not one-dimensional, empty, all zero, or one of them is negative,
            fractional or not finite; the message names the value and its class.
    """
    try:
        if isinstance(class_counts, Tensor):
            counts = class_counts.detach().to(torch.float64)
        else:  # dtype and device are explicit: a user may have changed torch's defaults
            listed = in_order_of_classes(class_counts)
            counts = torch.as_tensor(listed, dtype=torch.float64, device="cpu")
    except UserError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"class_counts must be a sequence of non-negative integers: {error}") from error
    if counts.dim() != 1 or counts.numel() == 0:
        raise ValueError(f"class_counts must be a non-empty [C] sequence, got shape {list(counts.shape)}")
    if torch.compiler.is_compiling():
        return counts  # values cannot be read while torch compiles
    bad = ~torch.isfinite(counts) | (counts < 0) | (counts != counts.floor()) | (counts > 2.0**53)
    if bad.any():
        index = int(bad.nonzero()[0])
        raise ValueError(
            f"class_counts must be non-negative integers, got {counts[index].item()} for class {index}"
        )
    if not counts.any():
        raise ValueError(
            f"class_counts are zero for all of the {counts.numel()} classes: nothing was counted"
        )
    return counts


def effective_number(class_counts: ClassCounts, beta: float) -> Tensor:
    """Effective number of samples of each class, ``(1 - beta ** m) / (1 - beta)``.

    Source: Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples", Eq. 3.

    Args:
        class_counts: number of training examples of each class, ``[C]`` non-negative integers.
        beta: in [0, 1). 0 gives 1 for every class that occurs; towards 1 the result approaches the count.

    Returns:
        float64 tensor ``[C]`` on the device of ``class_counts``; 0 where the count is 0.

    Raises:
        ValueError: the counts are empty, all zero, or one of them is negative, fractional or not finite; or
            beta is outside [0, 1).

    >>> effective_number([1, 2, 0], beta=0.9)
    tensor([1.0000, 1.9000, 0.0000], dtype=torch.float64)
    """
    counts = check_class_counts(class_counts)
    beta = ClassBalancedOptions(beta).beta
    if beta == 0.0:
        return (counts > 0).to(torch.float64)
    # 1 - beta ** m cancels for beta near 1; expm1 keeps every digit.
    return -torch.expm1(counts * math.log(beta)) / (1.0 - beta)


def inverse(size: Tensor, normalization: str) -> Tensor:
    """``1 / size`` of the classes with a size above 0, normalised; see :func:`.encouragement`."""
    occurring = size > 0
    inverse = torch.where(occurring, 1.0 / torch.where(occurring, size, 1.0), 0.0)
    if normalization == "mean_measure":
        return inverse * size[occurring].mean()
    if normalization == "max_weight":
        return inverse / inverse.max()
    return inverse / inverse[occurring].mean()


def rarest_classes(class_counts: ClassCounts, fraction: float) -> Tensor:
    """Mark the rarest ``fraction`` of the classes that occur, for HFL(t) (paper, section 3.2).

    Args:
        class_counts: number of training examples of each class, ``[C]`` non-negative integers.
        fraction: in [0, 1]. It is multiplied by the number of classes that occur, and the product is rounded
            to the nearest whole number of classes.

    Returns:
        bool tensor ``[C]``. Of equally frequent classes the one with the smaller index counts as rarer.

    Raises:
        ValueError: the counts are invalid, or the fraction is outside [0, 1].

    >>> rarest_classes([9, 1, 5, 3], 0.5)
    tensor([False,  True, False,  True])
    """
    counts = check_class_counts(class_counts)
    RarestOptions(fraction)
    occurring = counts > 0
    order = torch.where(occurring, counts, math.inf).argsort(stable=True)
    chosen = math.floor(fraction * int(occurring.sum()) + 0.5)
    return torch.zeros_like(occurring).index_fill_(0, order[:chosen], True)
