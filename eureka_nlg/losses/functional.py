"""One function per loss of the paper, with the arguments of ``torch.nn.functional.cross_entropy``.

Arguments that all of them share are explained at :func:`eureka_loss`.
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

    ``-log p + encouragement * bonus`` with ``bonus = log(1 - p) <= 0`` for the likelihood ``p`` of the target
    class. Source: paper, Eq. 7 to 11, with the sign of Eq. 7 corrected (notes, section 1).

    Args:
        input: logits ``[N, C]``, ``[N, C, d1, ...]`` or ``[C]``, floating.
        target: class indices ``[N]``, ``[N, d1, ...]`` or ``[]``, integer, in ``[0, C)`` or ``ignore_index``.
        encouragement: weight of the bonus: None for one, a number for all classes, or a tensor ``[C]``
            (see :func:`eureka_nlg.frequency.encouragement`). 0 gives cross-entropy.
        bonus: ``"likelihood"``, ``log(1 - p)``, or ``"power"``, ``-p ** gamma`` (Eq. 10).
        gamma: exponent of the power bonus.
        threshold: no bonus for ``p`` up to it, and above it the bonus minus its value there. The simplified
            loss of Eq. 11 is ``threshold=0.5, encouragement=None``.
        likelihood_cap: above this ``p`` the bonus goes on linearly in p. None: the exact loss, which falls
            without bound as p goes to 1 (its gradient is bounded all the same).
        likelihood_clamp: above this ``p`` the bonus is constant and has no gradient, as where an
            implementation clamps ``1 - p`` from below: 0.99999 is a clamp at 1e-5.
        impl: ``"fused"`` reads the logits twice, writes their gradient once and holds nothing else of their
            size (see :mod:`eureka_nlg.losses.kernels`); ``"reference"`` is plain autograd, for
            forward-mode and ``torch.func`` transforms and ``torch.jit.trace``. ``"auto"`` takes the fused
            path wherever none of these is visible, under ``torch.compile`` too. The numbers are the same.
        weight: ``[C]``, multiplies the cross-entropy term of a row by that of its target, not the bonus.
        ignore_index: rows with this target count for nothing.
        reduction: ``"none"``, ``"sum"``, or ``"mean"``: of the cross-entropy term the mean that
            ``cross_entropy`` takes, which divides by the sum of the rows' weights, plus the plain mean of
            encouragement times bonus over the rows that count (notes, section 8).
        label_smoothing: in [0, 1], torch's definition; acts on the cross-entropy term alone.

    Returns:
        The loss: a scalar, or the shape of ``target`` for ``reduction="none"``, in the dtype of ``input``
        (float32 under autocast). float16 and bfloat16 are computed in float32 inside. A row whose other
        classes have no mass (C = 1, or all their logits -inf) has loss and gradient zero: nothing else could
        be chosen.

    Raises:
        ValueError, TypeError: shapes, dtypes or options that do not fit; the message says which.
        IndexError: a target outside ``[0, C)`` that is not ``ignore_index``.

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
    """Focal loss, ``-alpha * (1 - p) ** gamma * log p`` for the likelihood p of the target class.

    Source: Lin et al. 2017; paper, Eq. 5. With the class-balanced ``weight`` of
    :func:`eureka_nlg.frequency.class_balanced_weight` this is the paper's FL + CB.

    Args:
        gamma: how fast the loss falls as p rises, >= 0; 0 gives cross-entropy.
        alpha: factor of the loss.
        input, target, impl, weight, ignore_index, reduction: as :func:`eureka_loss`; ``weight`` multiplies
            the whole loss of a row.
        label_smoothing: this share of the loss becomes cross-entropy against the uniform distribution.

    Raises:
        As :func:`eureka_loss`.

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
    """Focal loss up to a likelihood, cross-entropy above it, so that high likelihoods still count.

    ``-alpha * (1 - p) ** gamma * log p`` for ``p <= threshold`` and ``-alpha * (log p + b)`` above, with the
    b that makes both meet. Source: paper, Eq. 6 (notes, section 1, for the sign of b).

    Args:
        gamma, alpha: as :func:`focal_loss`.
        threshold: the likelihood phi at which the focal loss is halted, in (0, 1).
        halted: bool ``[C]``, the classes with this loss; the others get focal loss. The paper's HFL(t) is
            ``halted=rarest_classes(class_counts, t)``. None: all classes.
        input, target, impl, weight, ignore_index, reduction, label_smoothing: as :func:`focal_loss`.

    Raises:
        As :func:`eureka_loss`.
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
    """Label-distribution-aware margin loss: cross-entropy that asks for a wider margin in rarer classes.

    Cross-entropy of ``scale * (input - margin of the target class at the target)``. Source: Cao et al. 2019,
    "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss".

    Args:
        input: cosines between features and class vectors (a classifier of normalised weights and features).
        class_counts: training examples of each class, ``[C]`` non-negative integers; see
            :func:`eureka_nlg.frequency.ldam_margins`.
        max_margin: margin of the rarest class.
        scale: inverse temperature of the cosines.
        target, impl, weight, ignore_index, reduction, label_smoothing: as :func:`eureka_loss`.

    Raises:
        As :func:`eureka_loss`; ValueError for bad counts or counts of another number of classes.
    """
    Margins(max_margin, scale)
    margins = ldam_margins(class_counts, max_margin, dtype=torch.float64)
    options = Options(weight, ignore_index, reduction, label_smoothing, impl)
    return loss_with_margins(input, target, margins, scale, options)


def loss_with_margins(
    input: Tensor, target: Tensor, margins: Tensor, scale: float, options: Options
) -> Tensor:
    """LDAM loss from margins ``[C]`` that are computed already."""
    num_classes, class_dim = num_classes_of(input, target), 1 if input.dim() > 1 else 0
    if margins.shape != (num_classes,):
        raise ValueError(f"class_counts must have {num_classes} entries, one per class, got {len(margins)}")
    check_arguments(input, target, options)
    target = target.long()
    classes = torch.where(target == options.ignore_index, 0, target).clamp(0, max(0, num_classes - 1))
    # a half cannot hold small margins, and the scale magnifies what it rounds
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
    """:func:`eureka_loss` of ``F.linear(hidden, linear_weight, linear_bias)``, without holding these logits.

    Logits and their gradient exist for some rows at a time. With ``reduction`` "mean" or "sum" the gradients
    of the arguments are computed along with the loss; with "none" the backward pass computes the logits once
    more. Rows that are ignored cost nothing.

    Args:
        hidden: ``[N, H]``, floating.
        linear_weight: ``[C, H]``.
        target: ``[N]``.
        linear_bias: ``[C]``, or None.
        encouragement and the rest: as :func:`eureka_loss`, except that ``encouragement`` and ``weight``
            cannot be learned, and that there is no second derivative.

    Raises:
        ValueError: ``encouragement`` or ``weight`` wants a gradient; otherwise as :func:`eureka_loss`.
    """
    refuse_learned(encouragement=encouragement, weight=weight)
    encouragement = check_encouragement(encouragement, linear_weight.shape[0])
    objective = eureka_objective(encouragement, built(Bonus, "linear_eureka_loss", options))
    shared = Options(weight, ignore_index, reduction, label_smoothing)
    return loss_of_projection(hidden, linear_weight, linear_bias, target, objective, shared)


def refuse_learned(**arguments: Any) -> None:
    """Raise ValueError if one of these arguments of the linear loss wants a gradient."""
    for name, value in arguments.items():
        if isinstance(value, Tensor) and value.requires_grad and torch.is_grad_enabled():
            raise ValueError(
                f"linear_eureka_loss gives no gradient of {name}: detach it, or use eureka_loss of F.linear"
            )
