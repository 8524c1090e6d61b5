"""One function per loss of the paper, with the arguments of ``torch.nn.functional.cross_entropy``."""

from __future__ import annotations

from typing import Literal, NamedTuple, overload

import torch
import torch.nn.functional as F
from torch import Tensor

from eureka_nlg.losses.kernels import fused_loss
from eureka_nlg.losses.log_odds import Bonus, log_odds_of_target

__all__ = ["eureka_loss", "check_encouragement"]

Encouragement = Tensor | float | None
_REDUCTIONS = ("none", "mean", "sum")
_IMPLEMENTATIONS = ("auto", "fused", "reference")


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
        impl: ``"fused"`` computes loss and gradient in one pass over the logits (see
            :mod:`eureka_nlg.losses.kernels`); ``"reference"`` is plain autograd, for double backward,
            forward-mode and ``torch.func`` transforms, ``torch.compile``, and gradients of the encouragement
            or the weight. ``"auto"`` takes the fused path wherever none of these is visible. The numbers are
            the same.
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
        The loss: a scalar, or the shape of ``target`` for ``reduction="none"``. A row whose other classes
        have no mass (C = 1, or all their logits -inf) has loss and gradient zero: nothing else could be
        chosen.

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
    compute_dtype = torch.float64 if input.dtype == torch.float64 else torch.float32
    logits = input.movedim(class_dim, -1).reshape(-1, num_classes)
    rows = _Rows.of(target.reshape(-1), ignore_index, num_classes, weight, encouragement, compute_dtype)
    learned = _with_gradient(weight=weight, encouragement=encouragement)
    if impl == "auto":
        impl = "reference" if learned or _is_transformed() else "fused"
    if impl == "fused" and learned:
        raise ValueError(f"impl='fused' gives no gradient of {learned}: give impl='reference'")
    compute = _fused if impl == "fused" else _reference
    loss, log_odds = compute(logits, rows, bonus_of, label_smoothing, reduction)
    result = (loss.reshape(target.shape) if reduction == "none" else loss).to(out_dtype)
    if return_log_odds:
        log_odds = torch.where(rows.kept > 0, log_odds.detach(), torch.nan)
        return result, log_odds.reshape(target.shape)
    return result


def check_encouragement(encouragement: Encouragement, num_classes: int | None = None) -> Encouragement:
    """Return the encouragement if it is None, a number >= 0, or a floating tensor ``[C]`` or ``[]`` of such.

    Values in tensors are checked on the CPU only: on a GPU, and while compiling, it would wait for the
    device.

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
    if encouragement.dim() == 0 and num_classes is not None:
        encouragement = encouragement.expand(num_classes)
    if encouragement.dim() > 1 or (num_classes is not None and encouragement.shape[0] != num_classes):
        expected = "[C]" if num_classes is None else f"[{num_classes}], one weight per class"
        raise ValueError(f"encouragement must have shape {expected}, got {list(encouragement.shape)}")
    if not encouragement.is_floating_point():
        raise TypeError(f"encouragement must be a floating tensor, got {encouragement.dtype}")
    if encouragement.device.type == "cpu" and not torch.compiler.is_compiling():
        bad = ~((encouragement >= 0) & (encouragement < float("inf")))
        if bad.any():
            index = int(bad.reshape(-1).nonzero()[0])
            raise ValueError(
                "encouragement must be finite and not negative, "
                f"got {encouragement.reshape(-1)[index].item()} for class {index}"
            )
    return encouragement


class _Rows(NamedTuple):
    """What is known of each row besides its logits, ``[N]`` each in the dtype of the computation."""

    target: Tensor  # valid also where the row is ignored
    kept: Tensor  # 0 or 1
    weight: Tensor  # of the cross-entropy: that of the target class, 0 where ignored
    encouragement: Tensor  # of the bonus, likewise
    class_weight: Tensor | None  # [C]

    @classmethod
    def of(
        cls,
        target: Tensor,
        ignore_index: int,
        num_classes: int,
        class_weight: Tensor | None,
        encouragement: Encouragement,
        dtype: torch.dtype,
    ) -> _Rows:
        ignored = target == ignore_index
        target = torch.where(ignored, 0, target).long()
        if target.device.type == "cpu" and not _is_transformed():
            _check_target(target, num_classes)
        kept = (~ignored).to(dtype)
        weight = kept
        if class_weight is not None:
            class_weight = class_weight.to(dtype)
            weight = kept * class_weight[target]
        if isinstance(encouragement, Tensor):
            encouraged = kept * encouragement.to(dtype)[target]
        else:
            encouraged = kept if encouragement is None else kept * encouragement
        return cls(target, kept, weight, encouraged, class_weight)

    def mean_scale(self) -> tuple[Tensor, Tensor]:
        """What turns the sum into the mean: a factor, and a summand that is NaN for the mean of nothing."""
        total = self.weight.sum()
        is_empty = total == 0
        return torch.where(is_empty, 0.0, 1.0 / total), torch.where(is_empty, torch.nan, 0.0)


def _reference(
    logits: Tensor, rows: _Rows, bonus_of: Bonus, label_smoothing: float, reduction: str
) -> tuple[Tensor, Tensor]:
    """The loss in plain autograd, and the log-odds; torch's definitions of weight and label smoothing."""
    logits = logits.to(rows.kept.dtype)
    log_odds = log_odds_of_target(logits, rows.target)
    loss = _times(rows.weight * (1.0 - label_smoothing), -F.logsigmoid(log_odds))
    loss = loss + _times(rows.encouragement, bonus_of(log_odds))
    if label_smoothing > 0.0:
        negative_log_probs = -logits.log_softmax(-1)
        if rows.class_weight is not None:
            negative_log_probs = negative_log_probs * rows.class_weight
        loss = loss + _times(rows.kept * label_smoothing, negative_log_probs.mean(-1))
    if reduction == "none":
        return loss, log_odds
    if reduction == "sum":
        return loss.sum(), log_odds
    scale, nothing = rows.mean_scale()
    return loss.sum() * scale + nothing, log_odds


def _fused(
    logits: Tensor, rows: _Rows, bonus_of: Bonus, label_smoothing: float, reduction: str
) -> tuple[Tensor, Tensor]:
    """The same, loss and gradient in one pass."""
    cross_entropy_weight = rows.weight * (1.0 - label_smoothing)

    def row_loss(log_odds: Tensor, chunk: slice) -> tuple[Tensor, Tensor]:
        weight, encouragement = cross_entropy_weight[chunk], rows.encouragement[chunk]
        loss = _times(weight, -F.logsigmoid(log_odds)) + _times(encouragement, bonus_of(log_odds))
        return loss, encouragement * bonus_of.slope(log_odds) - weight * torch.sigmoid(-log_odds)

    scale, nothing = rows.mean_scale() if reduction == "mean" else (None, 0.0)
    loss, log_odds = fused_loss(
        logits,
        rows.target,
        row_loss,
        smoothing=rows.kept * label_smoothing if label_smoothing > 0.0 else None,
        weight=rows.class_weight,
        scale=scale,
        reduce=reduction != "none",
    )
    return loss + nothing, log_odds


def _times(factor: Tensor, value: Tensor) -> Tensor:
    """Product in which a factor of zero wins over an infinite value."""
    return torch.where(factor == 0, 0.0, factor * value)


def _with_gradient(**arguments: Encouragement) -> str:
    """Names of the arguments that want a gradient."""
    wanted = (name for name, value in arguments.items() if isinstance(value, Tensor) and value.requires_grad)
    return " and ".join(wanted) if torch.is_grad_enabled() else ""


def _is_transformed() -> bool:
    """Inside torch.compile or a torch.func transform, where values cannot be looked at."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def _check_target(target: Tensor, num_classes: int) -> None:
    if target.numel() == 0:
        return
    low, high = (int(value) for value in target.aminmax())
    if low < 0 or high >= num_classes:
        raise IndexError(
            f"target {low if low < 0 else high} is out of bounds for {num_classes} classes: expected 0 to "
            f"{num_classes - 1}, or ignore_index"
        )


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
