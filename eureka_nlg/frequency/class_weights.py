"""Class weights for the ``weight`` of a loss: class-balanced, inverse frequency, FACE."""

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
    """Which class weights multiply the term of a loss, and their options."""

    class_weight: ClassWeight = option(
        "effective_number",
        "class weights: class-balanced (effective_number), count ** -exponent, or FACE",
        choices=ClassWeight,
    )
    exponent: float = option(
        1.0, "exponent of class weight inverse_frequency", at_least=0, name="class_weight_exponent"
    )

    def of(
        self,
        class_counts: ClassCounts,
        *,
        mean_over: MeanOver = "classes",
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """The weight of each class, ``[C]``; see :func:`class_balanced_weight` for the arguments."""
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
    """Class-balanced weight: ``1 / E`` with the effective number ``E``, scaled to mean one.

    Source: Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples"; paper, Eq. 4.

    Args:
        class_counts: number of training examples of each class, ``[C]`` non-negative integers.
        beta: parameter of the effective number, in [0, 1).
        mean_over: ``"classes"`` gives mean one over the classes that occur; ``"examples"`` gives mean one
            over the training examples, for a loss that is divided by the number of examples instead of the
            sum of their weights.
        dtype: of the result; default ``torch.get_default_dtype()``.

    Returns:
        Tensor ``[C]``, 0 where the count is 0: the ``weight`` of a loss.

    Raises:
        ValueError: as for :func:`effective_number`, or ``mean_over`` is unknown.
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
    """Inverse frequency weight: ``m ** -exponent`` with the count ``m``, scaled to mean one.

    Source: Nakamura et al. 2018, "Another Diversity-Promoting Objective Function for Neural Dialogue
    Generation" (inverse token frequency, ITF), where the exponent is called lambda.

    Args:
        class_counts: number of training examples of each class, ``[C]`` non-negative integers.
        exponent: finite and not negative; 0 gives weight 1 to every class that occurs.
        mean_over, dtype: as in :func:`class_balanced_weight`.

    Returns:
        Tensor ``[C]``, 0 where the count is 0: the ``weight`` of a loss.

    Raises:
        ValueError: the counts, the exponent or ``mean_over`` are invalid.

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
    """FACE weight: ``1 - m / max(m)`` with the count ``m``, scaled to mean one.

    The most frequent class has weight 0. Source: Jiang et al. 2019, "Improving Neural Response Diversity with
    Frequency-Aware Cross-Entropy Loss", which counts the training targets or the output of the model while it
    trains.

    Args:
        class_counts: number of training examples of each class, ``[C]`` non-negative integers.
        output_counts: how often the model has chosen each class, ``[C]``. They replace ``m``, so that a class
            that was never chosen has the largest weight; while they are all zero, every class has weight 1.
            ``class_counts`` still determine which classes occur, and the mean.
        mean_over, dtype: as in :func:`class_balanced_weight`.

    Returns:
        Tensor ``[C]``, 0 where the count is 0. If all classes that occur are equally frequent, they have
        weight 1.

    Raises:
        ValueError: the counts or ``mean_over`` are invalid.

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
