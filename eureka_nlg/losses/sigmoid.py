"""The losses for detection: one sigmoid per class, and each class is present or absent.

For each element the likelihood of the target is ``p_t = sigmoid(u)`` with ``u = z`` if the class is present
and ``u = -z`` if it is absent. So these losses are the same scalar functions of the log-odds as for the
softmax.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import Unpack

from eureka_nlg.losses.bonus import Bonus, OtherBonusOptions
from eureka_nlg.losses.checks import Encouragement, check_encouragement, is_transformed
from eureka_nlg.losses.objectives import CrossEntropy, Focal, HaltedFocal, ScalarLoss
from eureka_nlg.losses.options import Reduction, built, check_shared, shows_arguments_of
from eureka_nlg.losses.rows import result_dtype
from eureka_nlg.options import BadOption, Options, option

__all__ = [
    "Balance",
    "Halted",
    "HaltedSide",
    "loss_of_sigmoids",
    "sigmoid_eureka_loss",
    "sigmoid_focal_loss",
    "sigmoid_halted_focal_loss",
]

Halted = Literal["positive", "both"]


@dataclass(frozen=True)
class Balance(Options):
    """The weights of present and absent classes."""

    alpha: float = option(0.25, "weight of present classes; absent ones have 1 - alpha; -1: no weights")

    def __post_init__(self) -> None:
        if not isinstance(self.alpha, numbers.Real):
            per_class = "for one per class multiply the loss of reduction='none' by a tensor [C]"
            raise BadOption("alpha", f"one number ({per_class})", self.alpha)
        super().__post_init__()
        if not (self.alpha == -1.0 or 0.0 <= self.alpha <= 1.0):
            raise BadOption("alpha", "a number in [0, 1], or -1 for no weights", self.alpha)


@dataclass(frozen=True)
class Ignored(Options):
    """Which elements of the target are ignored."""

    ignore_index: int | None = None

    def __post_init__(self) -> None:
        index = self.ignore_index
        if index is not None and (not isinstance(index, int) or index in (0, 1)):  # True is 1, False is 0
            raise BadOption("ignore_index", "an integer other than 0 and 1, or None", index)


@dataclass(frozen=True)
class HaltedSide(Options):
    """Which elements have halted focal loss: present classes, or present and absent ones."""

    halted: Halted = option(
        "positive",
        "positive: halted focal loss for present classes only, FL (head) + HFL (tail); both: for all",
        choices=Halted,
    )


def sigmoid_focal_loss(
    input: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: Reduction = "none",
    ignore_index: int | None = None,
) -> Tensor:
    """Focal loss of independent classes, ``-alpha_t * (1 - p_t) ** gamma * log p_t``.

    Source: Lin et al. 2017. The values agree with ``torchvision.ops.sigmoid_focal_loss`` and are precise for
    logits of any size.

    Args:
        input: logits of any shape ``[*, C]``, floating.
        target: 1 if the class is present and 0 if it is absent, in the shape of ``input``, any dtype. Another
            value raises an error on CPUs. Where values cannot be read (on other devices, under
            ``torch.compile`` and in ``torch.func``), it gives a loss and a gradient of NaN.
        alpha: weight of present classes, in [0, 1]; absent classes have weight 1 - alpha. -1: no weights.
        gamma: exponent of ``1 - p_t``, >= 0.
        reduction: ``"none"``, ``"mean"`` over all elements that are not ignored, or ``"sum"``.
        ignore_index: elements with this target have no loss and no gradient, and are left out of the mean; an
            integer other than 0 and 1, such as -1. None: no element is ignored.

    Returns:
        The loss in the dtype of ``input`` (float32 under autocast): a scalar, or the shape of ``input`` for
        ``reduction="none"``.

    Raises:
        ValueError, TypeError: shapes, dtypes or options do not fit, or a target is neither 0 nor 1 nor
            ``ignore_index``.
    """
    return loss_of_sigmoids(
        input, target, Focal(gamma), alpha=alpha, reduction=reduction, ignore_index=ignore_index
    )


def loss_of_sigmoids(
    input: Tensor,
    target: Tensor,
    loss: ScalarLoss,
    absent: ScalarLoss | None = None,
    *,
    alpha: float,
    reduction: Reduction = "none",
    ignore_index: int | None = None,
) -> Tensor:
    """Any scalar loss of independent classes.

    Args:
        loss: the loss of present classes.
        absent: the loss of absent classes; None if it is the same.
        input, target, alpha, reduction, ignore_index: as in :func:`sigmoid_focal_loss`.

    Raises:
        ValueError, TypeError: as in :func:`sigmoid_focal_loss`.
    """
    log_odds, present, kept = _log_odds(input, target, reduction, ignore_index)
    value = loss(log_odds)
    if absent is not None:
        value = torch.where(present, value, absent(log_odds))
    return _reduced(_balanced(value, present, alpha), kept, reduction, input)


def sigmoid_halted_focal_loss(
    input: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    threshold: float = 0.5,
    halted: Halted = "positive",
    reduction: Reduction = "none",
    ignore_index: int | None = None,
) -> Tensor:
    """Halted focal loss of independent classes: focal loss up to a likelihood, cross-entropy above it.

    Source: paper, Eq. 6 and Table 1.

    Args:
        halted: ``"positive"``: present classes have halted focal loss and absent ones focal loss, the paper's
            FL (head) + HFL (tail). ``"both"``: all have halted focal loss.
        threshold: the likelihood at which the focal loss is halted, in (0, 1).
        input, target, alpha, gamma, reduction, ignore_index: as in :func:`sigmoid_focal_loss`.

    Raises:
        ValueError, TypeError: as in :func:`sigmoid_focal_loss`.
    """
    HaltedSide(halted)
    absent = Focal(gamma) if halted == "positive" else None
    loss = HaltedFocal(gamma, threshold=threshold)
    return loss_of_sigmoids(
        input, target, loss, absent, alpha=alpha, reduction=reduction, ignore_index=ignore_index
    )


@shows_arguments_of(Bonus)
def sigmoid_eureka_loss(
    input: Tensor,
    target: Tensor,
    encouragement: Encouragement = None,
    *,
    bonus_gamma: float = 1.0,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: Reduction = "none",
    ignore_index: int | None = None,
    **options: Unpack[OtherBonusOptions],
) -> Tensor:
    """Cross-entropy plus the Eureka reward for present classes, focal loss for absent ones.

    Present classes, the rare case in detection, have the loss ``alpha * (-log p + encouragement * bonus)``,
    and absent ones ``1 - alpha`` times focal loss. Source: paper, Eq. 7 to 11; their use in the setting of
    Table 1 is this project's own.

    Args:
        encouragement: weight of the bonus: a number, ``[C]`` along the last dimension of ``input``, or None
            for 1.
        bonus_gamma: exponent of the power bonus.
        input, target, alpha, gamma, reduction, ignore_index: as in :func:`sigmoid_focal_loss`.
        **options: the other options of the bonus, as in :func:`eureka_nlg.losses.eureka_loss`.

    Raises:
        ValueError, TypeError: as in :func:`sigmoid_focal_loss`.
    """
    absent = Focal(gamma)
    bonus = bonus_beside_focal("sigmoid_eureka_loss", bonus_gamma, options)
    encouragement = check_encouragement(encouragement, input.shape[-1] if input.dim() > 0 else 1)
    return rewarded_sigmoids(input, target, encouragement, bonus, absent, alpha, reduction, ignore_index)


def bonus_beside_focal(taker: str, bonus_gamma: float, options: Mapping[str, Any]) -> Bonus:
    """The bonus of a loss called ``taker``, in which ``gamma`` is the exponent of focal loss."""
    try:
        return built(Bonus, taker, {**options, "gamma": bonus_gamma})
    except BadOption as error:
        raise (error.spelled("bonus_gamma") if error.name == "gamma" else error) from None


def rewarded_sigmoids(
    input: Tensor,
    target: Tensor,
    encouragement: Encouragement,
    bonus: Bonus,
    absent: ScalarLoss,
    alpha: float,
    reduction: Reduction,
    ignore_index: int | None,
) -> Tensor:
    """:func:`sigmoid_eureka_loss` with options that have been checked before."""
    log_odds, present, kept = _log_odds(input, target, reduction, ignore_index)
    weight = 1.0 if encouragement is None else encouragement
    rewarded = CrossEntropy()(log_odds) + weight * bonus(log_odds)
    loss = torch.where(present, rewarded, absent(log_odds)).reshape(input.shape)  # one weight for a scalar
    return _reduced(_balanced(loss, present, alpha), kept, reduction, input)


def _log_odds(
    input: Tensor, target: Tensor, reduction: Reduction, ignore_index: int | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Log-odds of the target, in float32 or float64; where the class is present; and which elements are kept.

    The log-odds are NaN if a target is neither 0 nor 1 and its value could not be read. The last result is
    None if no element is ignored.
    """
    if not input.is_floating_point():
        raise TypeError(f"input must be floating logits, got {input.dtype}")
    if target.shape != input.shape:
        raise ValueError(
            f"target must have the shape of input, {list(input.shape)}, with 1 where a class is present "
            f"and 0 where it is not, got {list(target.shape)}"
        )
    check_shared(reduction=reduction)
    Ignored(ignore_index)
    log_odds = input if input.dtype == torch.float64 else input.float()
    present, absent = target == 1, target == 0
    known, kept = present | absent, None
    if ignore_index is not None:
        if ignore_index < 0 and target.dtype == torch.uint8:
            raise ValueError(
                f"target has an unsigned dtype, {target.dtype}, which cannot hold ignore_index={ignore_index}"
            )
        kept = target != ignore_index
        known = known | ~kept
        # replaced before the arithmetic too: a NaN in an ignored element must not reach the gradient
        log_odds = torch.where(kept, log_odds, 0.0)
    if target.device.type == "cpu" and not is_transformed(input, target) and not known.all():
        raise ValueError(_neither(target[~known][0].item()))
    # A product, so that the gradient of a NaN is NaN as well.
    sign = torch.where(known, present.to(log_odds.dtype) - absent.to(log_odds.dtype), torch.nan)
    return log_odds * sign, present, kept


def _neither(value: float) -> str:
    """The error message for a target that is neither 0 nor 1."""
    if math.isfinite(value) and value == int(value):
        remedy = f"to ignore such elements, give ignore_index={int(value)}"
    else:
        remedy = "for soft targets, as in mixup, give lam * loss(input, a) + (1 - lam) * loss(input, b)"
    return f"target must be 0 or 1 everywhere, got {value!r}; {remedy}"


def _balanced(loss: Tensor, present: Tensor, alpha: float) -> Tensor:
    Balance(alpha)
    return loss if alpha == -1.0 else torch.where(present, alpha * loss, (1.0 - alpha) * loss)


def _reduced(loss: Tensor, kept: Tensor | None, reduction: Reduction, input: Tensor) -> Tensor:
    if kept is not None:
        loss = torch.where(kept, loss, 0.0)
    if reduction == "mean":
        loss = loss.mean() if kept is None else loss.sum() / kept.sum()
    elif reduction == "sum":
        loss = loss.sum()
    return loss.to(result_dtype(input))
