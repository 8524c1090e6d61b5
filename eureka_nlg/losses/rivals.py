"""Losses from other papers: a function and a module for each.

Their formulas are in :mod:`.objectives`. If a factor is held fixed (detached), the gradient is not the
derivative of the value. Then the value does not measure progress, and a second derivative has no meaning.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import Unpack

from eureka_nlg.frequency import ClassCounts, LogitAdjustmentOptions, log_prior
from eureka_nlg.losses.checks import Options, check_arguments, num_classes_of
from eureka_nlg.losses.logits import loss_of_logits
from eureka_nlg.losses.modules import LogitsLoss
from eureka_nlg.losses.objectives import (
    AntiFocal,
    CrossEntropy,
    DynamicFineTuning,
    MixedCrossEntropy,
    PowerOfLikelihood,
    TokenLossDynamicReweighting,
)
from eureka_nlg.losses.options import Impl, Reduction, SharedArguments, shows_arguments_of
from eureka_nlg.losses.rows import result_dtype

__all__ = [
    "dft_loss",
    "power_loss",
    "anti_focal_loss",
    "tldr_loss",
    "mixce_loss",
    "logit_adjusted_loss",
    "DFTLoss",
    "PowerLoss",
    "AntiFocalLoss",
    "TLDRLoss",
    "MixCELoss",
    "LogitAdjustedLoss",
]


def dft_loss(
    input: Tensor,
    target: Tensor,
    *,
    impl: Impl = "auto",
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Dynamic fine-tuning (DFT): ``-p log p`` with the factor p held fixed; unlikely targets count less.

    The gradient is the gradient of ``-p``, not of the value. Source: Wu et al. 2026, "On the Generalization
    of SFT: A Reinforcement Learning Perspective with Reward Rectification".

    Args:
        input, target, impl, weight, ignore_index, reduction, label_smoothing: as in
            :func:`eureka_nlg.losses.focal_loss`.

    Raises:
        ValueError, TypeError, IndexError: as in :func:`eureka_nlg.losses.eureka_loss`.
    """
    options = Options(weight, ignore_index, reduction, label_smoothing, impl)
    return loss_of_logits(input, target, DynamicFineTuning().objective(), options)


def power_loss(
    input: Tensor,
    target: Tensor,
    *,
    exponent: float = 1.0,
    impl: Impl = "auto",
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """``-p ** exponent``: likely targets count most, the more so the larger the exponent.

    Source: Li et al. 2025, "Beyond Log Likelihood", where ``-p`` and ``-p ** 10`` are better than
    cross-entropy for strong models. The power bonus of the Eureka loss is the same function, added to
    cross-entropy.

    Args:
        exponent: exponent of the likelihood, positive.
        input, target, impl, weight, ignore_index, reduction, label_smoothing: as in
            :func:`eureka_nlg.losses.focal_loss`.

    Raises:
        ValueError, TypeError, IndexError: as in :func:`eureka_nlg.losses.eureka_loss`.
    """
    options = Options(weight, ignore_index, reduction, label_smoothing, impl)
    return loss_of_logits(input, target, PowerOfLikelihood(exponent).objective(), options)


def anti_focal_loss(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float = 1.0,
    impl: Impl = "auto",
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """``-(1 + p) ** gamma * log p`` with the factor held fixed: likely targets count more, not less.

    Source: Raunak et al. 2020, "On Long-Tailed Phenomena in Neural Machine Translation".

    Args:
        gamma: exponent of ``1 + p``, >= 0; 0 gives cross-entropy.
        input, target, impl, weight, ignore_index, reduction, label_smoothing: as in
            :func:`eureka_nlg.losses.focal_loss`.

    Raises:
        ValueError, TypeError, IndexError: as in :func:`eureka_nlg.losses.eureka_loss`.
    """
    options = Options(weight, ignore_index, reduction, label_smoothing, impl)
    return loss_of_logits(input, target, AntiFocal(gamma).objective(), options)


def tldr_loss(
    input: Tensor,
    target: Tensor,
    *,
    impl: Impl = "auto",
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """``-(cos(pi p) + 1) * log p``: twice cross-entropy for unlikely targets, and near zero for likely ones.

    Source: Jiang et al. 2020, "TLDR: Token Loss Dynamic Reweighting for Reducing Repetitive Utterance
    Generation", token level.

    Args:
        input, target, impl, weight, ignore_index, reduction, label_smoothing: as in
            :func:`eureka_nlg.losses.focal_loss`.

    Raises:
        ValueError, TypeError, IndexError: as in :func:`eureka_nlg.losses.eureka_loss`.
    """
    options = Options(weight, ignore_index, reduction, label_smoothing, impl)
    return loss_of_logits(input, target, TokenLossDynamicReweighting().objective(), options)


def mixce_loss(
    input: Tensor,
    target: Tensor,
    *,
    eta: float = 0.5,
    impl: Impl = "auto",
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """``-(eta + (1 - eta) p) * log p`` with the factor held fixed: cross-entropy mixed with its reverse.

    Source: Zhang et al. 2023, "MixCE: Training Autoregressive Language Models by Mixing Forward and Reverse
    Cross-Entropies", in the approximation that needs no samples from the model.

    Args:
        eta: share of cross-entropy, in [0, 1]; 1 gives cross-entropy, 0 gives :func:`dft_loss`.
        input, target, impl, weight, ignore_index, reduction, label_smoothing: as in
            :func:`eureka_nlg.losses.focal_loss`.

    Raises:
        ValueError, TypeError, IndexError: as in :func:`eureka_nlg.losses.eureka_loss`.
    """
    options = Options(weight, ignore_index, reduction, label_smoothing, impl)
    return loss_of_logits(input, target, MixedCrossEntropy(eta).objective(), options)


def logit_adjusted_loss(
    input: Tensor,
    target: Tensor,
    class_counts: ClassCounts,
    *,
    tau: float = 1.0,
    impl: Impl = "auto",
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of the logits plus ``tau`` times the log-frequency of each class.

    The model's own logits, without the offset, then suit a test set in which all classes are equally
    frequent. Source: Menon et al. 2021, "Long-tail Learning via Logit Adjustment"; with ``tau=1`` it is the
    balanced softmax of Ren et al. 2020.

    Together with the last linear layer it is :func:`eureka_nlg.losses.linear_eureka_loss` with
    ``encouragement=0`` and :func:`eureka_nlg.frequency.log_prior` added to ``linear_bias``.

    Args:
        class_counts: training examples of each class, ``[C]`` non-negative integers; see
            :func:`eureka_nlg.frequency.log_prior`.
        tau: finite and not negative; 0 gives cross-entropy.
        input, target, impl, weight, ignore_index, reduction, label_smoothing: as in
            :func:`eureka_nlg.losses.eureka_loss`.

    Raises:
        ValueError, TypeError, IndexError: as in :func:`eureka_nlg.losses.eureka_loss`; also ValueError if the
            counts are invalid or are not one per class.
    """
    offset = log_prior(class_counts, tau, dtype=torch.float64)
    options = Options(weight, ignore_index, reduction, label_smoothing, impl)
    return _loss_with_offset(input, target, offset, options)


def _loss_with_offset(input: Tensor, target: Tensor, offset: Tensor, options: Options) -> Tensor:
    num_classes = num_classes_of(input, target)
    if offset.shape != (num_classes,):
        raise ValueError(f"class_counts must have {num_classes} entries, one per class, got {len(offset)}")
    check_arguments(input, target, options)
    logits = input if input.dtype == torch.float64 else input.float()
    added = offset.to(logits.device, logits.dtype).reshape(-1, *[1] * max(0, input.dim() - 2))
    return loss_of_logits(logits + added, target, CrossEntropy().objective(), options).to(result_dtype(input))


class DFTLoss(LogitsLoss):
    """Module for :func:`dft_loss`; the arguments are the same."""

    @shows_arguments_of(dft_loss)
    def __init__(self, **shared: Unpack[SharedArguments]) -> None:
        super().__init__(DynamicFineTuning(), **shared)


class PowerLoss(LogitsLoss):
    """Module for :func:`power_loss`; the arguments are the same."""

    @shows_arguments_of(power_loss)
    def __init__(self, *, exponent: float = 1.0, **shared: Unpack[SharedArguments]) -> None:
        super().__init__(PowerOfLikelihood(exponent), **shared)


class AntiFocalLoss(LogitsLoss):
    """Module for :func:`anti_focal_loss`; the arguments are the same."""

    @shows_arguments_of(anti_focal_loss)
    def __init__(self, *, gamma: float = 1.0, **shared: Unpack[SharedArguments]) -> None:
        super().__init__(AntiFocal(gamma), **shared)


class TLDRLoss(LogitsLoss):
    """Module for :func:`tldr_loss`; the arguments are the same."""

    @shows_arguments_of(tldr_loss)
    def __init__(self, **shared: Unpack[SharedArguments]) -> None:
        super().__init__(TokenLossDynamicReweighting(), **shared)


class MixCELoss(LogitsLoss):
    """Module for :func:`mixce_loss`; the arguments are the same."""

    @shows_arguments_of(mixce_loss)
    def __init__(self, *, eta: float = 0.5, **shared: Unpack[SharedArguments]) -> None:
        super().__init__(MixedCrossEntropy(eta), **shared)


class LogitAdjustedLoss(LogitsLoss):
    """Module for :func:`logit_adjusted_loss`; the arguments are the same.

    The offsets of the logits are computed once and kept in a float32 buffer.
    """

    tensors: ClassVar[tuple[str, ...]] = ("weight", "offset")
    offset: Tensor

    @shows_arguments_of(logit_adjusted_loss)
    def __init__(
        self, class_counts: ClassCounts, *, tau: float = 1.0, **shared: Unpack[SharedArguments]
    ) -> None:
        offset = log_prior(class_counts, tau, dtype=torch.float32)
        self._build(LogitAdjustmentOptions(tau), {"offset": offset}, shared)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """See :class:`LogitsLoss`."""
        return _loss_with_offset(input, target, self.offset, self.shared)
