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
        "of a class's frequency, of which its encouragement is the inverse; one: the same for all classes",
        choices=Measure,
        name="encouragement_measure",
    )
    normalization: Normalization = option(
        "mean_measure",
        "mean measure over measure, which is the paper's, or inverse measure with a mean or maximum of one",
        choices=Normalization,
        name="encouragement_normalization",
    )
    exponent: float = option(
        1.0,
        "power of the measure: 0 is one for every class, 1 is the paper's",
        at_least=0,
        at_most=1,
        name="encouragement_exponent",
    )
    scale: float = option(
        1.0, "factor on every encouragement; the paper has none", at_least=0, name="encouragement_scale"
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
        beta: of the effective number, in [0, 1); without effect for ``measure="count"``.
        measure: ``"effective_number"``, ``"count"``, or ``"one"`` for the same in all classes; written ``E``
            below.
        normalization: ``"mean_measure"`` is the paper's ``mean(E) / E``;
            ``"mean_weight"`` is ``(1 / E) / mean(1 / E)``, which has mean one over the classes that occur.
            ``"max_weight"`` is ``(1 / E) / max(1 / E)``: one for the rarest class. They differ by factors
            that are constant within a data set, and large on a long tail.
        exponent: ``E ** exponent`` takes the place of ``E``, in [0, 1]: 0 is one for every class, 1 is
            Eq. 9, and between them the classes of middle frequency are not left out.
        scale: factor on all of them, finite and not negative.
        dtype: of the result; default ``torch.get_default_dtype()``.

    Returns:
        Tensor ``[C]``, 0 where the count is 0.

    Raises:
        ValueError: as :func:`effective_number`, an unknown ``measure`` or ``normalization``, or a bad scale.

    >>> encouragement([1, 3], measure="count")
    tensor([2.0000, 0.6667])
    """
    return EncouragementOptions(beta, measure, normalization, exponent, scale).of(class_counts, dtype)
