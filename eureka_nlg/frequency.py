"""From training counts to class weights: effective number, encouragement, class-balanced weight.

Everything is computed in float64. Classes that never occur (count 0) take no part in any mean and get
weight 0: they never are a target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from eureka_nlg.errors import UserError
from eureka_nlg.labelled_counts import in_order_of_classes
from eureka_nlg.options import BadOption, Options, option

__all__ = [
    "Measure",
    "Normalization",
    "EncouragementOptions",
    "ClassBalancedOptions",
    "ClassWeightOptions",
    "LogitAdjustmentOptions",
    "RarestOptions",
    "MarginOptions",
    "effective_number",
    "encouragement",
    "class_balanced_weight",
    "inverse_frequency_weight",
    "face_weight",
    "log_prior",
    "rarest_classes",
    "ldam_margins",
    "check_class_counts",
]

ClassCounts = Sequence[int] | Tensor | Any  # Any: numpy arrays, without importing numpy for its type
Measure = Literal["effective_number", "count", "one"]
Normalization = Literal["mean_measure", "mean_weight", "max_weight"]
MeanOver = Literal["classes", "examples"]
ClassWeight = Literal["effective_number", "inverse_frequency", "face"]


@dataclass(frozen=True)
class ClassBalancedOptions(Options):
    """Options of :func:`effective_number` and :func:`class_balanced_weight`."""

    # The papers' values: 0.999 for ConvAI2, and, by IMAGE_BETA, 0.9999 for images.
    beta: float = option(
        0.999,
        "of the effective number; towards 1 it follows the counts, 0 is one for all",
        at_least=0,
        below=1,
    )


IMAGE_BETA = 0.9999
"""Default of ``beta`` in the configs of images; everywhere else it is that of ClassBalancedOptions."""


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
        weights = _inverse(size, self.normalization) * self.scale
        return weights.to(dtype or torch.get_default_dtype())


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


@dataclass(frozen=True)
class LogitAdjustmentOptions(Options):
    """Options of :func:`log_prior`."""

    tau: float = option(
        1.0,
        "factor of the log-frequency in logit adjustment",
        at_least=0,
        name="logit_adjustment_tau",
    )


@dataclass(frozen=True)
class RarestOptions(Options):
    """Options of :func:`rarest_classes`."""

    fraction: float = option(
        1.0,
        "halted focal loss for this fraction of the classes alone, the rarest; focal loss for the others",
        at_least=0,
        at_most=1,
        name="halted_fraction",
    )


@dataclass(frozen=True)
class MarginOptions(Options):
    """Options of :func:`ldam_margins`."""

    max_margin: float = option(0.5, "LDAM's margin of the rarest class", at_least=0)


def effective_number(class_counts: ClassCounts, beta: float) -> Tensor:
    """Effective number of samples of each class, ``(1 - beta ** m) / (1 - beta)``.

    Source: Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples", Eq. 3.

    Args:
        class_counts: number of training examples of each class, ``[C]`` non-negative integers.
        beta: in [0, 1). 0 gives 1 for every class that occurs; towards 1 it approaches the count itself.

    Returns:
        float64 tensor ``[C]`` on the device of ``class_counts``; 0 where the count is 0.

    Raises:
        ValueError: negative, fractional, non-finite, all-zero or empty counts, or beta outside [0, 1).

    >>> effective_number([1, 2, 0], beta=0.9)
    tensor([1.0000, 1.9000, 0.0000], dtype=torch.float64)
    """
    counts = check_class_counts(class_counts)
    beta = ClassBalancedOptions(beta).beta
    if beta == 0.0:
        return (counts > 0).to(torch.float64)
    # 1 - beta ** m cancels for beta near 1; expm1 keeps every digit.
    return -torch.expm1(counts * math.log(beta)) / (1.0 - beta)


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
    weight = _inverse(effective_number(class_counts, beta), "mean_weight")
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


def log_prior(class_counts: ClassCounts, tau: float = 1.0, *, dtype: torch.dtype | None = None) -> Tensor:
    """``tau`` times the log-frequency of each class, which logit adjustment adds to the logits in training.

    Source: Menon et al. 2021, "Long-tail Learning via Logit Adjustment"; with ``tau=1`` the balanced softmax
    of Ren et al. 2020.

    Args:
        class_counts: number of training examples of each class, ``[C]`` non-negative integers. A class that
            never occurs is taken for one that occurs once, so that the others keep pushing it down.
        tau: finite and not negative.
        dtype: of the result; default ``torch.get_default_dtype()``.

    Returns:
        Tensor ``[C]``, not positive.

    Raises:
        ValueError: bad counts or tau.

    >>> log_prior([3, 1]).exp()
    tensor([0.7500, 0.2500])
    """
    tau = LogitAdjustmentOptions(tau).tau
    counts = check_class_counts(class_counts)
    return (tau * (counts.clamp(min=1.0) / counts.sum()).log()).to(dtype or torch.get_default_dtype())


def rarest_classes(class_counts: ClassCounts, fraction: float) -> Tensor:
    """Mark the rarest ``fraction`` of the classes that occur, as HFL(t) wants them (paper, section 3.2).

    Args:
        class_counts: number of training examples of each class, ``[C]`` non-negative integers.
        fraction: in [0, 1]; times the number of classes that occur, rounded to the nearest whole class.

    Returns:
        bool tensor ``[C]``. Of equally frequent classes the one with the smaller index counts as rarer.

    Raises:
        ValueError: bad counts, or a fraction outside [0, 1].

    >>> rarest_classes([9, 1, 5, 3], 0.5)
    tensor([False,  True, False,  True])
    """
    counts = check_class_counts(class_counts)
    RarestOptions(fraction)
    occurring = counts > 0
    order = torch.where(occurring, counts, math.inf).argsort(stable=True)
    chosen = math.floor(fraction * int(occurring.sum()) + 0.5)
    return torch.zeros_like(occurring).index_fill_(0, order[:chosen], True)


def ldam_margins(
    class_counts: ClassCounts, max_margin: float = 0.5, *, dtype: torch.dtype | None = None
) -> Tensor:
    """Margin of each class in the LDAM loss, ``max_margin * m ** -1/4 / max(m ** -1/4)`` (Cao et al. 2019).

    Args:
        class_counts: number of training examples of each class, ``[C]`` non-negative integers.
        max_margin: margin of the rarest class, finite and not negative.
        dtype: of the result; default ``torch.get_default_dtype()``.

    Returns:
        Tensor ``[C]``, 0 where the count is 0.

    Raises:
        ValueError: bad counts or margin.

    >>> ldam_margins([16, 1])
    tensor([0.2500, 0.5000])
    """
    counts = check_class_counts(class_counts)
    MarginOptions(max_margin)
    shape = torch.where(counts > 0, counts.clamp(min=1.0) ** -0.25, 0.0)
    return (max_margin * shape / shape.max()).to(dtype or torch.get_default_dtype())


def check_class_counts(class_counts: ClassCounts) -> Tensor:
    """Return the counts as a float64 tensor ``[C]``; those that carry their classes in the order of these.

    Raises:
        ValueError: not one-dimensional, empty, all zero, or with a negative, fractional or non-finite count;
            the message names the value and its class.
    """
    try:
        if isinstance(class_counts, Tensor):
            counts = class_counts.detach().to(torch.float64)
        else:  # whatever torch's default dtype and device are
            listed = in_order_of_classes(class_counts)
            counts = torch.as_tensor(listed, dtype=torch.float64, device="cpu")
    except UserError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"class_counts must be a sequence of non-negative integers: {error}") from error
    if counts.dim() != 1 or counts.numel() == 0:
        raise ValueError(f"class_counts must be a non-empty [C] sequence, got shape {list(counts.shape)}")
    if torch.compiler.is_compiling():
        return counts  # whose values cannot be looked at
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


def _inverse(size: Tensor, normalization: str) -> Tensor:
    occurring = size > 0
    inverse = torch.where(occurring, 1.0 / torch.where(occurring, size, 1.0), 0.0)
    if normalization == "mean_measure":
        return inverse * size[occurring].mean()
    if normalization == "max_weight":
        return inverse / inverse.max()
    return inverse / inverse[occurring].mean()


def _with_mean_one(weight: Tensor, class_counts: ClassCounts, mean_over: MeanOver) -> Tensor:
    counts = check_class_counts(class_counts)
    if mean_over == "classes":
        return weight / weight[counts > 0].mean()
    if mean_over == "examples":
        return weight * counts.sum() / (weight * counts).sum()
    raise BadOption("mean_over", "'classes' or 'examples'", mean_over)
