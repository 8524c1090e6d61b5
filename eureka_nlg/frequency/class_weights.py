"""Class weights of a loss's terms, each of one kind: class-balanced, inverse frequency, FACE."""

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
from eureka_nlg.options import BadOption, option

__all__ = [
    "ClassWeight",
    "ClassWeightOptions",
    "MeanOver",
    "class_balanced_weight",
    "face_weight",
    "inverse_frequency_weight",
]

MeanOver = Literal["classes", "examples"]
ClassWeight = Literal["effective_number", "inverse_frequency", "face"]


@dataclass(frozen=True)
class ClassWeightOptions(ClassBalancedOptions):
    """Options of the class weights that the terms of losses can have, of one kind or another."""

    class_weight: ClassWeight = option(
        "effective_number",
        "class weights: class-balanced, frequency to the minus exponent, or FACE",
        choices=ClassWeight,
    )
    exponent: float = option(1.0, "of inverse_frequency", at_least=0, name="class_weight_exponent")

    def of(
        self,
        class_counts: ClassCounts,
        *,
        mean_over: MeanOver = "classes",
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """The weight of each class, ``[C]``."""
        if self.class_weight == "inverse_frequency":
            return inverse_frequency_weight(class_counts, self.exponent, mean_over=mean_over, dtype=dtype)
        if self.class_weight == "face":
            return face_weight(class_counts, mean_over=mean_over, dtype=dtype)
        return class_balanced_weight(class_counts, self.beta, mean_over=mean_over, dtype=dtype)


def class_balanced_weight(
    class_counts: ClassCounts,
    beta: float = 0.999,
    *,
    mean_over: MeanOver = "classes",
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Class-balanced weight ``1 / E`` with mean one over the classes that occur (Cui et al. 2019).

    Args:
        class_counts: number of training examples of each class, ``[C]`` non-negative integers.
        beta: of the effective number, in [0, 1).
        mean_over: ``"classes"``; ``"examples"`` for mean one over the training examples, which is what a loss
            needs that is summed and divided by their number instead of their weights.
        dtype: of the result; default ``torch.get_default_dtype()``.

    Returns:
        Tensor ``[C]``, 0 where the count is 0: the ``weight`` of a loss.

    Raises:
        ValueError: as :func:`effective_number`, or an unknown ``mean_over``.
    """
    weight = inverse(effective_number(class_counts, beta), "mean_weight")
    return _with_mean_one(weight, class_counts, mean_over).to(dtype or torch.get_default_dtype())


def inverse_frequency_weight(
    class_counts: ClassCounts,
    exponent: float = 1.0,
    *,
    mean_over: MeanOver = "classes",
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Inverse frequency to a power, ``m ** -exponent``, with mean one.

    Source: Nakamura et al. 2018, "Another Diversity-Promoting Objective Function for Neural Dialogue
    Generation" (ITF), whose exponent is lambda.

    Args:
        class_counts: number of training examples of each class, ``[C]`` non-negative integers.
        exponent: finite and not negative; 0 gives one for every class that occurs.
        mean_over, dtype: as :func:`class_balanced_weight`.

    Returns:
        Tensor ``[C]``, 0 where the count is 0: the ``weight`` of a loss.

    Raises:
        ValueError: bad counts, exponent or ``mean_over``.

    >>> inverse_frequency_weight([1, 4, 0], 0.5)
    tensor([1.3333, 0.6667, 0.0000])
    """
    exponent = ClassWeightOptions(exponent=exponent).exponent
    counts = check_class_counts(class_counts)
    weight = torch.where(counts > 0, counts.clamp(min=1.0) ** -exponent, 0.0)
    return _with_mean_one(weight, class_counts, mean_over).to(dtype or torch.get_default_dtype())


def face_weight(
    class_counts: ClassCounts,
    *,
    output_counts: ClassCounts | None = None,
    mean_over: MeanOver = "classes",
    dtype: torch.dtype | None = None,
) -> Tensor:
    """FACE's weight ``1 - m / max(m)`` with mean one: none for the most frequent class.

    Source: Jiang et al. 2019, "Improving Neural Response Diversity with Frequency-Aware Cross-Entropy Loss",
    counted from the training targets, or from the model's output as it trains.

    Args:
        class_counts: number of training examples of each class, ``[C]`` non-negative integers.
        output_counts: how often the model has chosen each class, ``[C]``, in the place of m: a class that it
            never chose has the largest weight. All zero, before it has chosen any: one for every class.
            Which classes occur, and the mean, is said by ``class_counts`` all the same.
        mean_over, dtype: as :func:`class_balanced_weight`.

    Returns:
        Tensor ``[C]``, 0 where the count is 0 as well; one for every class that occurs if all occur equally
        often.

    Raises:
        ValueError: bad counts or ``mean_over``.

    >>> face_weight([4, 1, 1, 0])
    tensor([0.0000, 1.5000, 1.5000, 0.0000])
    """
    counts = check_class_counts(class_counts)
    chosen = counts
    if output_counts is not None:
        chosen = torch.as_tensor(output_counts).to(counts.device, torch.float64)
        if chosen.shape != counts.shape:
            raise ValueError(
                f"output_counts must have {len(counts)} entries, one per class, got {list(chosen.shape)}"
            )
    weight = torch.where(counts > 0, 1.0 - chosen / chosen.max().clamp(min=1.0), 0.0)
    weight = torch.where(weight.any(), weight, (counts > 0).to(torch.float64))
    return _with_mean_one(weight, class_counts, mean_over).to(dtype or torch.get_default_dtype())


def _with_mean_one(weight: Tensor, class_counts: ClassCounts, mean_over: MeanOver) -> Tensor:
    counts = check_class_counts(class_counts)
    if mean_over == "classes":
        return weight / weight[counts > 0].mean()
    if mean_over == "examples":
        return weight * counts.sum() / (weight * counts).sum()
    raise BadOption("mean_over", "'classes' or 'examples'", mean_over)
