"""One function per loss of the paper, with the arguments of ``torch.nn.functional.cross_entropy``."""

from __future__ import annotations

from typing import Literal, overload

import torch
import torch.nn.functional as F
from torch import Tensor

from eureka_nlg.losses.log_odds import Bonus, log_odds_of_target

__all__ = ["eureka_loss", "check_encouragement"]

Encouragement = Tensor | float | None
_REDUCTIONS = ("none", "mean", "sum")
_IMPLEMENTATIONS = ("auto", "reference")


@overload
def eureka_loss(
    input: Tensor,
    target: Tensor,
    encouragement: Encouragement = ...,
    *,
    bonus: str = ...,
    gamma: float = ...,
    threshold: float | None = ...,
    likelihood_cap: float | None = ...,
    impl: str = ...,
    weight: Tensor | None = ...,
    ignore_index: int = ...,
    reduction: str = ...,
    label_smoothing: float = ...,
    dtype: torch.dtype | None = ...,
    return_log_odds: Literal[False] = ...,
) -> Tensor: ...


@overload
def eureka_loss(
    input: Tensor,
    target: Tensor,
    encouragement: Encouragement = ...,
    *,
    bonus: str = ...,
    gamma: float = ...,
    threshold: float | None = ...,
    likelihood_cap: float | None = ...,
    impl: str = ...,
    weight: Tensor | None = ...,
    ignore_index: int = ...,
    reduction: str = ...,
    label_smoothing: float = ...,
    dtype: torch.dtype | None = ...,
    return_log_odds: Literal[True],
) -> tuple[Tensor, Tensor]: ...


def eureka_loss(
    input: Tensor,
    target: Tensor,
    encouragement: Encouragement = None,
    *,
    bonus: str = "likelihood",
    gamma: float = 1.0,
    threshold: float | None = None,
    likelihood_cap: float | None = None,
    impl: str = "auto",
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    dtype: torch.dtype | None = None,
    return_log_odds: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
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
        impl: ``"auto"`` or ``"reference"``.
        weight: ``[C]``, multiplies the cross-entropy term of a row by that of its target, not the bonus;
            ``reduction="mean"`` divides by the sum of the rows' weights, as in ``cross_entropy``.
        ignore_index: rows with this target count for nothing.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        label_smoothing: in [0, 1], torch's definition; acts on the cross-entropy term alone.
        dtype: of the result. Default: that of ``input``; float32 under autocast. float16 and bfloat16
            are computed in float32 inside either way, and the gradient has the input's dtype.
        return_log_odds: also return the log-odds of the target in each row, detached, in the dtype of the
            computation and the shape of ``target``: ``logsigmoid`` of it is ``log p``. NaN in ignored rows.

    Returns:
        The loss: a scalar, or the shape of ``target`` for ``reduction="none"``. A row whose other classes have
        no mass (C = 1, or all their logits -inf) has loss and gradient zero: nothing else could be chosen.

    Raises:
        ValueError, TypeError: shapes, dtypes or options that do not fit; the message says which.
        IndexError: a target outside ``[0, C)`` that is not ``ignore_index``.

    >>> loss = eureka_loss(torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0]))
    >>> p = torch.tensor([2.0, 0.0, 0.0]).softmax(0)[0]
    >>> torch.isclose(loss, -p.log() + (1 - p).log())
    tensor(True)
    """
    bonus_of = Bonus(bonus, gamma, threshold, likelihood_cap)
    if impl not in _IMPLEMENTATIONS:
        raise ValueError(f"impl must be one of {', '.join(map(repr, _IMPLEMENTATIONS))}, got {impl!r}")
    _check_arguments(input, target, weight, reduction, label_smoothing)
    class_dim = 1 if input.dim() > 1 else 0
    num_classes = input.shape[class_dim]
    encouragement = check_encouragement(encouragement, num_classes)

    out_dtype = dtype or (torch.float32 if _autocast_lowers(input) else input.dtype)
    compute_dtype = torch.float32 if input.dtype in (torch.float16, torch.bfloat16) else input.dtype
    logits = input.movedim(class_dim, -1).reshape(-1, num_classes).to(compute_dtype)
    target_shape = target.shape
    target = target.reshape(-1).long()
    ignored = target == ignore_index
    target = torch.where(ignored, 0, target)

    log_odds = log_odds_of_target(logits, target)
    row_weight = None if weight is None else weight.to(compute_dtype)[target]
    loss = _cross_entropy_rows(logits, target, log_odds, weight, row_weight, label_smoothing)
    loss = loss + _bonus_rows(bonus_of, log_odds, target, encouragement)
    loss = torch.where(ignored, 0.0, loss)

    if reduction == "none":
        result = loss.reshape(target_shape)
    elif reduction == "sum":
        result = loss.sum()
    else:
        kept = (~ignored).to(compute_dtype)
        result = loss.sum() / (kept if row_weight is None else kept * row_weight).sum()
    result = result.to(out_dtype)
    if return_log_odds:
        return result, torch.where(ignored, torch.nan, log_odds.detach()).reshape(target_shape)
    return result


def check_encouragement(encouragement: Encouragement, num_classes: int | None = None) -> Encouragement:
    """Return the encouragement if it is None, a number >= 0, or a floating tensor ``[C]`` of such numbers.

    Values in tensors are checked on the CPU only: on a GPU, and while compiling, it would wait for the device.

    Raises:
        ValueError: a negative or non-finite value, a wrong shape, or a length other than ``num_classes``.
        TypeError: anything else.
    """
    if encouragement is None:
        return None
    if not isinstance(encouragement, Tensor):
        if isinstance(encouragement, bool) or not isinstance(encouragement, int | float):
            raise TypeError(
                f"encouragement must be None, a number or a tensor [C], got {type(encouragement).__name__}"
            )
        if not 0.0 <= encouragement < float("inf"):
            raise ValueError(f"encouragement must be finite and not negative, got {encouragement!r}")
        return float(encouragement)
    if encouragement.dim() == 0:
        encouragement = encouragement.expand(1 if num_classes is None else num_classes)
    if encouragement.dim() != 1 or (num_classes is not None and encouragement.shape[0] != num_classes):
        expected = "[C]" if num_classes is None else f"[{num_classes}], one weight per class"
        raise ValueError(f"encouragement must have shape {expected}, got {list(encouragement.shape)}")
    if not encouragement.is_floating_point():
        raise TypeError(f"encouragement must be a floating tensor, got {encouragement.dtype}")
    if encouragement.device.type == "cpu" and not torch.compiler.is_compiling():
        bad = ~((encouragement >= 0) & (encouragement < float("inf")))
        if bad.any():
            index = int(bad.nonzero()[0])
            raise ValueError(
                f"encouragement must be finite and not negative, got {encouragement[index].item()} "
                f"for class {index}"
            )
    return encouragement


def _cross_entropy_rows(
    logits: Tensor,
    target: Tensor,
    log_odds: Tensor,
    weight: Tensor | None,
    row_weight: Tensor | None,
    label_smoothing: float,
) -> Tensor:
    """Label-smoothed, weighted cross-entropy of each row, in torch's definition of both."""
    negative_log_likelihood = -F.logsigmoid(log_odds)
    if row_weight is not None:
        negative_log_likelihood = row_weight * negative_log_likelihood
    if label_smoothing == 0.0:
        return negative_log_likelihood
    log_probs = logits.log_softmax(-1)
    if weight is None:
        uniform = -log_probs.mean(-1)
    else:
        uniform = -(log_probs * weight.to(logits.dtype)).sum(-1) / logits.shape[-1]
    return (1.0 - label_smoothing) * negative_log_likelihood + label_smoothing * uniform


def _bonus_rows(bonus_of: Bonus, log_odds: Tensor, target: Tensor, encouragement: Encouragement) -> Tensor:
    rows = bonus_of(log_odds)
    if encouragement is None:
        return rows
    if isinstance(encouragement, Tensor):
        return encouragement.to(rows.dtype)[target] * rows
    return encouragement * rows


def _check_arguments(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> None:
    if not input.is_floating_point():
        raise TypeError(f"input must be floating logits, got {input.dtype}")
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise TypeError(f"target must hold integer class indices, got {target.dtype}")
    if input.dim() == 0:
        raise ValueError("input must have shape [C], [N, C] or [N, C, d1, ...], got a scalar")
    expected = input.shape[:1] + input.shape[2:] if input.dim() > 1 else input.shape[:0]
    if target.shape != expected:
        raise ValueError(
            f"target must have shape {list(expected)} for input of shape {list(input.shape)} "
            f"([N, C, d1, ...] takes [N, d1, ...]), got {list(target.shape)}"
        )
    num_classes = input.shape[1 if input.dim() > 1 else 0]
    if weight is not None and weight.shape != (num_classes,):
        raise ValueError(f"weight must have shape [{num_classes}], got {list(weight.shape)}")
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing must lie in [0, 1], got {label_smoothing!r}")


def _autocast_lowers(input: Tensor) -> bool:
    return input.dtype in (torch.float16, torch.bfloat16) and torch.is_autocast_enabled(input.device.type)
