"""One function per loss of the paper, with the arguments of ``torch.nn.functional.cross_entropy``.

:func:`eureka_loss` explains the arguments that all of them share.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from eureka_nlg.frequency import ClassCounts, ldam_margins
from eureka_nlg.losses.bonus import Bonus, BonusKind, BonusOptions
from eureka_nlg.losses.checks import (
    Encouragement,
    Options,
    check_arguments,
    check_encouragement,
    check_halted_classes,
    num_classes_of,
)
from eureka_nlg.losses.logits import loss_of_logits
from eureka_nlg.losses.objectives import (
    CrossEntropy,
    Factor,
    Focal,
    HaltedFocal,
    Margins,
    eureka_objective,
)
from eureka_nlg.losses.options import Impl, Reduction, built, checked, shows_arguments_of
from eureka_nlg.losses.projection import loss_of_projection
from eureka_nlg.losses.rows import result_dtype

__all__ = [
    "eureka_loss",
    "focal_loss",
    "halted_focal_loss",
    "ldam_loss",
    "linear_eureka_loss",
]


def eureka_loss(
    input: Tensor,
    target: Tensor,
    encouragement: Encouragement = None,
    *,
    bonus: BonusKind = "likelihood",
    gamma: float = 1.0,
    threshold: float | None = None,
    likelihood_cap: float | None = None,
    likelihood_clamp: float | None = None,
    impl: Impl = "auto",
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy plus a reward for confident correct predictions, larger for rarer classes.

    The loss of a row is ``-log p + encouragement * bonus`` with ``bonus = log(1 - p) <= 0``, where ``p`` is
    the likelihood of the target class. Source: paper, Eq. 7 to 11. Eq. 7 and 8 print the bonus with a minus
    sign; the text, the figures and Eq. 10 and 11 add it, as is done here.

    Args:
        input: logits ``[N, C]``, ``[N, C, d1, ...]`` or ``[C]``, floating.
        target: class indices ``[N]``, ``[N, d1, ...]`` or ``[]``, integer, in ``[0, C)`` or ``ignore_index``.
        encouragement: weight of the bonus: a number for all classes, a tensor ``[C]`` with one weight per
            class (see :func:`eureka_nlg.frequency.encouragement`), or None for 1. 0 gives cross-entropy.
        bonus: ``"likelihood"``, ``log(1 - p)``, or ``"power"``, ``-p ** gamma`` (Eq. 10).
        gamma: exponent of the power bonus, positive.
        threshold: in [0, 1). Up to this ``p`` there is no bonus; above it the bonus minus its value at the
            threshold. The simplified loss of Eq. 11 is ``threshold=0.5, encouragement=None``.
        likelihood_cap: in (0, 1). Above this ``p`` the bonus continues as a linear function of p, so that the
            loss is bounded from below. None: the exact loss, which falls without bound as p goes to 1,
            although its gradient is bounded.
        likelihood_clamp: in (0, 1). Above this ``p`` the bonus is constant and has no gradient. 0.99999 is
            what an implementation computes that clamps ``1 - p`` at 1e-5 from below.
        impl: ``"fused"`` reads the logits twice, writes their gradient once and allocates nothing else of
            their size (see :mod:`eureka_nlg.losses.kernels`). ``"reference"`` is plain autograd, which
            forward-mode differentiation, ``torch.func`` transforms and ``torch.jit.trace`` need. ``"auto"``
            takes the fused path unless it detects one of these; ``torch.compile`` keeps the fused path. The
            results are the same.
        weight: class weights ``[C]``. They multiply the cross-entropy term of a row, not its bonus.
        ignore_index: rows with this target have no loss and no gradient.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``. The mean is the sum of two means: the cross-entropy
            terms divided by the sum of the rows' class weights, as in torch's ``cross_entropy``, plus the
            plain mean of encouragement times bonus over the rows that are not ignored. The authors' published
            code does the same.
        label_smoothing: in [0, 1], as torch defines it; acts on the cross-entropy term only.

    Returns:
        The loss: a scalar, or the shape of ``target`` for ``reduction="none"``, in the dtype of ``input``
        (float32 under autocast). For float16 and bfloat16 the computation is in float32. If no other class
        has any mass (C = 1, or all other logits are -inf), the loss and the gradient of the row are zero.

    Raises:
        ValueError, TypeError: shapes, dtypes or options do not fit; the message says which.
        IndexError: a target is outside ``[0, C)`` and is not ``ignore_index``.

    >>> loss = eureka_loss(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0]))
    >>> p = torch.tensor([2.0, 0.0, 0.0]).softmax(0)[0]
    >>> torch.isclose(loss, -p.log() + (1 - p).log())
    tensor(True)
    """
    encouragement = check_encouragement(encouragement, num_classes_of(input, target))
    rewarded = checked(Bonus, bonus, gamma, threshold, likelihood_cap, likelihood_clamp)
    objective = eureka_objective(encouragement, rewarded)
    options = Options(weight, ignore_index, reduction, label_smoothing, impl)
    return loss_of_logits(input, target, objective, options)


def focal_loss(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float = 1.0,
    impl: Impl = "auto",
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Focal loss, ``-alpha * (1 - p) ** gamma * log p`` with the likelihood p of the target class.

    Source: Lin et al. 2017; paper, Eq. 5. With the class-balanced ``weight`` of
    :func:`eureka_nlg.frequency.class_balanced_weight` it is the paper's FL + CB.

    Args:
        gamma: exponent of ``1 - p``, >= 0: the larger it is, the less likely targets count. 0 gives
            cross-entropy.
        alpha: factor of the loss, >= 0.
        input, target, impl, ignore_index, reduction: as in :func:`eureka_loss`.
        weight: class weights ``[C]``, which multiply the loss of a row.
        label_smoothing: in [0, 1]: the share of the loss that is replaced by cross-entropy against the
            uniform distribution.

    Raises:
        ValueError, TypeError, IndexError: as in :func:`eureka_loss`.

    >>> loss = focal_loss(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0]))
    >>> p = torch.tensor([2.0, 0.0, 0.0]).softmax(0)[0]
    >>> torch.isclose(loss, -((1 - p) ** 2) * p.log())
    tensor(True)
    """
    options = Options(weight, ignore_index, reduction, label_smoothing, impl)
    return loss_of_logits(input, target, Focal(gamma).objective().times(Factor(alpha).alpha), options)


def halted_focal_loss(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float = 2.0,
    threshold: float = 0.5,
    halted: Tensor | None = None,
    alpha: float = 1.0,
    impl: Impl = "auto",
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Focal loss up to a likelihood, cross-entropy above it, so that likely targets still have a gradient.

    ``-alpha * (1 - p) ** gamma * log p`` for ``p <= threshold`` and ``-alpha * (log p + b)`` above, with
    ``b = -(1 - (1 - threshold) ** gamma) * log(threshold)``, which makes the loss continuous. Source: paper,
    Eq. 6, where b is printed with another sign and with a factor alpha, so that the branches would not meet.

    Args:
        gamma, alpha: as in :func:`focal_loss`.
        threshold: the likelihood phi at which the focal loss is halted, in (0, 1).
        halted: bool ``[C]``, the classes that have this loss; the others have focal loss. The paper's HFL(t)
            is ``halted=rarest_classes(class_counts, t)``. None: all classes.
        input, target, impl, weight, ignore_index, reduction, label_smoothing: as in :func:`focal_loss`.

    Raises:
        ValueError, TypeError, IndexError: as in :func:`eureka_loss`.
    """
    if halted is not None:
        check_halted_classes(halted, num_classes_of(input, target))
    objective = HaltedFocal(gamma, threshold).objective(halted).times(Factor(alpha).alpha)
    options = Options(weight, ignore_index, reduction, label_smoothing, impl)
    return loss_of_logits(input, target, objective, options)


def ldam_loss(
    input: Tensor,
    target: Tensor,
    class_counts: ClassCounts,
    *,
    max_margin: float = 0.5,
    scale: float = 30.0,
    impl: Impl = "auto",
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Label-distribution-aware margin loss (LDAM): cross-entropy with a larger margin for rarer classes.

    The margin of the target class is subtracted from the target's cosine, and the loss is the cross-entropy
    of ``scale`` times the result. Source: Cao et al. 2019, "Learning Imbalanced Datasets with
    Label-Distribution-Aware Margin Loss".

    Args:
        input: cosines between features and class vectors, ``[N, C]``, ``[N, C, d1, ...]`` or ``[C]``: the
            output of a classifier with normalised weights and features.
        class_counts: training examples of each class, ``[C]`` non-negative integers; see
            :func:`eureka_nlg.frequency.ldam_margins`.
        max_margin: margin of the rarest class, >= 0.
        scale: inverse temperature of the cosines, positive.
        target, impl, weight, ignore_index, reduction, label_smoothing: as in :func:`eureka_loss`.

    Raises:
        ValueError, TypeError, IndexError: as in :func:`eureka_loss`; also ValueError if the counts are
            invalid or are not one per class.
    """
    Margins(max_margin, scale)
    margins = ldam_margins(class_counts, max_margin, dtype=torch.float64)
    options = Options(weight, ignore_index, reduction, label_smoothing, impl)
    return loss_with_margins(input, target, margins, scale, options)


def loss_with_margins(
    input: Tensor, target: Tensor, margins: Tensor, scale: float, options: Options
) -> Tensor:
    """LDAM loss from margins ``[C]`` that have been computed before."""
    num_classes, class_dim = num_classes_of(input, target), 1 if input.dim() > 1 else 0
    if margins.shape != (num_classes,):
        raise ValueError(f"class_counts must have {num_classes} entries, one per class, got {len(margins)}")
    check_arguments(input, target, options)
    target = target.long()
    classes = torch.where(target == options.ignore_index, 0, target).clamp(0, max(0, num_classes - 1))
    # half precision cannot hold small margins, and the scale would magnify its rounding errors
    cosines = input if input.dtype == torch.float64 else input.float()
    margin = margins.to(input.device, cosines.dtype)[classes].unsqueeze(class_dim)
    logits = cosines.scatter_add(class_dim, classes.unsqueeze(class_dim), -margin) * scale
    return loss_of_logits(logits, target, CrossEntropy().objective(), options).to(result_dtype(input))


@shows_arguments_of(Bonus)
def linear_eureka_loss(
    hidden: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    encouragement: Encouragement = None,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    **options: Unpack[BonusOptions],
) -> Tensor:
    """:func:`eureka_loss` of ``F.linear(hidden, linear_weight, linear_bias)``, without storing these logits.

    The logits and their gradient exist for some rows at a time. With ``reduction`` "mean" or "sum" the
    gradients of the arguments are computed together with the loss; with "none" the backward pass computes the
    logits a second time. Ignored rows cost no computation. There is no second derivative.

    Args:
        hidden: the input of the layer, ``[N, H]``, floating.
        linear_weight: ``[C, H]``, in the dtype of ``hidden``.
        target: class indices ``[N]``.
        linear_bias: ``[C]``, in the dtype of ``hidden``, or None.
        encouragement, weight, ignore_index, reduction, label_smoothing: as in :func:`eureka_loss`.
            ``encouragement`` and ``weight`` cannot require a gradient.
        **options: of the bonus, as in :func:`eureka_loss`.

    Returns:
        The loss, as :func:`eureka_loss` returns it.

    Raises:
        ValueError: ``encouragement`` or ``weight`` requires a gradient.
        ValueError, TypeError, IndexError: as in :func:`eureka_loss`.
    """
    refuse_learned(encouragement=encouragement, weight=weight)
    encouragement = check_encouragement(encouragement, linear_weight.shape[0])
    objective = eureka_objective(encouragement, built(Bonus, "linear_eureka_loss", options))
    shared = Options(weight, ignore_index, reduction, label_smoothing)
    return loss_of_projection(hidden, linear_weight, linear_bias, target, objective, shared)


def refuse_learned(**arguments: Any) -> None:
    """Raise ValueError if one of these arguments of the linear loss requires a gradient."""
    for name, value in arguments.items():
        if isinstance(value, Tensor) and value.requires_grad and torch.is_grad_enabled():
            raise ValueError(
                f"linear_eureka_loss gives no gradient of {name}: detach it, or use eureka_loss of F.linear"
            )
