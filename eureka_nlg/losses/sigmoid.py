"""The losses for detection: one sigmoid per class, each class present or not.

Per element the target likelihood is ``p_t = sigmoid(u)`` with ``u = z`` where the class is present and
``u = -z`` where it is not, so these are the same scalar functions of log-odds as for the softmax.
"""

from __future__ import annotations

import torch
from torch import Tensor

from eureka_nlg.losses.checks import Encouragement, check_encouragement, check_reduction, is_transformed
from eureka_nlg.losses.objectives import Bonus, check_focal, check_halting_threshold, focal, halted_focal
from eureka_nlg.losses.rows import result_dtype

__all__ = ["sigmoid_eureka_loss", "sigmoid_focal_loss", "sigmoid_halted_focal_loss"]


def sigmoid_focal_loss(
    input: Tensor, target: Tensor, *, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none"
) -> Tensor:
    """Focal loss of independent classes, ``-alpha_t * (1 - p_t) ** gamma * log p_t``.

    Source: Lin et al. 2017. The numbers are those of ``torchvision.ops.sigmoid_focal_loss``, with exact
    logarithms.

    Args:
        input: logits of any shape ``[*, C]``, floating.
        target: 1 where the class is present and 0 where it is not, same shape, any dtype.
        alpha: weight of present classes, 1 - alpha that of absent ones; in [0, 1]. -1 for no weights.
        gamma: how fast the loss falls as the likelihood rises, >= 0.
        reduction: ``"none"``, ``"mean"`` over all elements, or ``"sum"``.

    Returns:
        The loss in the dtype of ``input`` (float32 under autocast), in its shape for ``reduction="none"``.

    Raises:
        ValueError, TypeError: shapes, dtypes or options that do not fit.
    """
    check_focal(gamma)
    log_odds, present = _log_odds(input, target, reduction)
    loss = _balanced(focal(log_odds, gamma), present, alpha)
    return _reduced(loss, reduction, input)


def sigmoid_halted_focal_loss(
    input: Tensor,
    target: Tensor,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    threshold: float = 0.5,
    halted: str = "positive",
    reduction: str = "none",
) -> Tensor:
    """Focal loss of independent classes that goes on like cross-entropy above a likelihood.

    Source: paper, Eq. 6 and Table 1; notes, section 5.

    Args:
        halted: ``"positive"``: for present classes alone, the paper's FL (head) + HFL (tail);
            ``"both"``: for absent ones too.
        threshold: the likelihood at which the focal loss is halted, in (0, 1).
        input, target, alpha, gamma, reduction: as :func:`sigmoid_focal_loss`.
    """
    check_focal(gamma)
    check_halting_threshold(threshold)
    check_halted(halted)
    log_odds, present = _log_odds(input, target, reduction)
    loss = halted_focal(log_odds, gamma, threshold)
    if halted == "positive":
        loss = torch.where(present, loss, focal(log_odds, gamma))
    return _reduced(_balanced(loss, present, alpha), reduction, input)


def sigmoid_eureka_loss(
    input: Tensor,
    target: Tensor,
    encouragement: Encouragement = None,
    *,
    bonus: str = "likelihood",
    bonus_gamma: float = 1.0,
    threshold: float | None = None,
    likelihood_cap: float | None = None,
    likelihood_clamp: float | None = None,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: str = "none",
) -> Tensor:
    """Cross-entropy plus the Eureka reward for present classes, focal loss for absent ones.

    Present classes, the rare event in detection, get ``alpha * (-log p + encouragement * bonus)``, absent
    ones ``(1 - alpha)`` times focal loss. Source: paper, Eq. 7 to 11, carried over to the setting of Table 1.

    Args:
        encouragement: None for one, a number, or ``[C]`` along the last dimension of ``input``.
        bonus, threshold, likelihood_cap, likelihood_clamp: as :func:`eureka_nlg.losses.eureka_loss`;
            ``bonus_gamma`` is its ``gamma``.
        input, target, alpha, gamma, reduction: as :func:`sigmoid_focal_loss`.
    """
    check_focal(gamma)
    bonus_of = Bonus(bonus, bonus_gamma, threshold, likelihood_cap, likelihood_clamp)
    log_odds, present = _log_odds(input, target, reduction)
    encouragement = check_encouragement(encouragement, input.shape[-1] if input.dim() > 0 else 1)
    weight = 1.0 if encouragement is None else encouragement
    rewarded = focal(log_odds, 0.0) + weight * bonus_of(log_odds)
    loss = torch.where(present, rewarded, focal(log_odds, gamma))
    return _reduced(_balanced(loss, present, alpha), reduction, input)


def check_alpha(alpha: float) -> None:
    """Raise ValueError unless this can balance present and absent classes."""
    if not (alpha == -1.0 or 0.0 <= alpha <= 1.0):
        raise ValueError(f"alpha must lie in [0, 1], or be -1 for no weights, got {alpha!r}")


def check_halted(halted: str) -> None:
    """Raise ValueError unless this says which side is halted."""
    if halted not in ("positive", "both"):
        raise ValueError(f"halted must be 'positive' or 'both', got {halted!r}")


def _log_odds(input: Tensor, target: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    """Log-odds of what the target says, in float32 or float64, and where that is "present"."""
    if not input.is_floating_point():
        raise TypeError(f"input must be floating logits, got {input.dtype}")
    if target.shape != input.shape:
        raise ValueError(
            f"target must have the shape of input, {list(input.shape)}, with 1 where a class is present "
            f"and 0 where it is not, got {list(target.shape)}"
        )
    check_reduction(reduction)
    present = target == 1
    if target.device.type == "cpu" and not is_transformed() and not (present | (target == 0)).all():
        value = target[~(present | (target == 0))][0].item()
        raise ValueError(f"target must be 0 or 1 everywhere, got {value!r}")
    log_odds = input if input.dtype == torch.float64 else input.float()
    return torch.where(present, log_odds, -log_odds), present


def _balanced(loss: Tensor, present: Tensor, alpha: float) -> Tensor:
    check_alpha(alpha)
    return loss if alpha == -1.0 else torch.where(present, alpha * loss, (1.0 - alpha) * loss)


def _reduced(loss: Tensor, reduction: str, input: Tensor) -> Tensor:
    if reduction == "mean":
        loss = loss.mean()
    elif reduction == "sum":
        loss = loss.sum()
    return loss.to(result_dtype(input))
