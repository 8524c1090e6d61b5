"""Encouragement: the weight that the reward has in each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from eureka_nlg.frequency.counts import (
    ClassBalancedOptions,
    ClassCounts,
    check_class_counts,
    effective_number,
    inverse,
)
from eureka_nlg.options import option

__all__ = [
    "EncouragementOptions",
    "Measure",
    "Normalization",
    "encouragement",
]

Measure = Literal["effective_number", "count", "one"]
Normalization = Literal["mean_measure", "mean_weight", "max_weight"]


@dataclass(frozen=True)
class EncouragementOptions(ClassBalancedOptions):
    """Options of :func:`encouragement`."""

    measure: Measure = option(
        "effective_number",
        "what is inverted: the effective number, the count, or one for equal weights",
        choices=Measure,
        name="encouragement_measure",
    )
    normalization: Normalization = option(
        "mean_measure",
        "mean_measure is the paper's; mean_weight and max_weight scale the weights to a mean or maximum of 1",
        choices=Normalization,
        name="encouragement_normalization",
    )
    exponent: float = option(
        1.0,
        "power of the measure: 0 makes all weights equal, 1 is the paper's",
        at_least=0,
        at_most=1,
        name="encouragement_exponent",
    )
    scale: float = option(
        1.0, "factor of every encouragement; the paper has none", at_least=0, name="encouragement_scale"
    )

    def of(self, class_counts: ClassCounts, dtype: torch.dtype | None = None) -> Tensor:
        """The encouragement of each class, ``[C]``; see :func:`encouragement`."""
        if self.measure == "effective_number":
            size = effective_number(class_counts, self.beta)
        else:
            size = check_class_counts(class_counts)
            if self.measure == "one":
                size = (size > 0).to(torch.float64)
        size = torch.where(size > 0, size**self.exponent, 0.0)
        weights = inverse(size, self.normalization) * self.scale
        return weights.to(dtype or torch.get_default_dtype())


def encouragement(
    class_counts: ClassCounts,
    beta: float = 0.999,
    *,
    measure: Measure = "effective_number",
    normalization: Normalization = "mean_measure",
    exponent: float = 1.0,
    scale: float = 1.0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Weight of the bonus for each class: the rarer the class, the larger (paper, Eq. 9).

    Args:
        class_counts: number of training examples of each class, ``[C]`` non-negative integers.
        beta: parameter of the effective number, in [0, 1); used with ``measure="effective_number"`` only.
        measure: the frequency measure of a class, ``E`` below: ``"effective_number"``, ``"count"``, or
            ``"one"``, which gives all classes the same weight.
        normalization: ``"mean_measure"`` is the paper's ``mean(E) / E``.
            ``"mean_weight"`` is ``(1 / E) / mean(1 / E)``, whose mean over the classes that occur is 1.
            ``"max_weight"`` is ``(1 / E) / max(1 / E)``, which is 1 for the rarest class. Within a data set
            the three differ by a constant factor, which is large for long-tailed counts.
        exponent: in [0, 1]; ``E ** exponent`` replaces ``E``. 0 gives all classes weight 1, and 1 is Eq. 9;
            values between them raise the weights of classes of medium frequency relative to the rarest.
        scale: factor of all weights, finite and not negative.
        dtype: of the result; default ``torch.get_default_dtype()``.

    Returns:
        Tensor ``[C]``, 0 where the count is 0.

    Raises:
        ValueError: as for :func:`effective_number`; or ``measure`` or ``normalization`` is unknown, or
            ``exponent`` or ``scale`` is out of range.

    >>> encouragement([1, 3], measure="count")
    tensor([2.0000, 0.6667])
    """
    return EncouragementOptions(beta, measure, normalization, exponent, scale).of(class_counts, dtype)
