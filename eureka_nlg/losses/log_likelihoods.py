"""The Eureka loss of log-likelihoods, for code that has no access to the logits."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import Unpack

from eureka_nlg.losses.bonus import CAPPED, Bonus, BonusOptions, bounding_options
from eureka_nlg.losses.checks import Encouragement, Options, check_encouragement
from eureka_nlg.losses.objective import Objective
from eureka_nlg.losses.options import Reduction, built, shows_arguments_of
from eureka_nlg.losses.rows import Rows, reduced

__all__ = ["eureka_loss_from_log_probs"]


@shows_arguments_of(Bonus, defaults=CAPPED)
def eureka_loss_from_log_probs(
    log_probs: Tensor,
    target: Tensor,
    encouragement: Encouragement = None,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    **options: Unpack[BonusOptions],
) -> Tensor:
    """:func:`.eureka_loss` for code that has the log-likelihood of each target, but no logits.

    The exact likelihood bonus cannot be computed from log-likelihoods: once p rounds to 1, ``log(1 - p)`` is
    -inf. So the bonus has to be bounded; by default it has the cap of the preset ``"encouraging"``, 0.75.
    Label smoothing is not available, since it needs the other classes.

    Args:
        log_probs: ``log p`` of each target, ``[...]`` of any shape, floating, not positive.
        target: ``[...]``, integer, class indices or ``ignore_index``; they select encouragement and weight.
        encouragement: weight of the bonus: a number, a tensor ``[C]`` with one weight per class, or None
            for 1.
        weight, ignore_index, reduction: as in :func:`.eureka_loss`.
        **options: of the bonus, as in :func:`.eureka_loss`. A likelihood bonus needs a cap or a clamp.

    Returns:
        The loss: a scalar, or the shape of ``target`` for ``reduction="none"``, in the dtype of
        ``log_probs``; float16 and bfloat16 are computed in float32. The values of ignored rows do not matter.

    Raises:
        ValueError: the likelihood bonus has neither cap nor clamp.
        ValueError, TypeError, IndexError: as in :func:`.eureka_loss`.

    >>> from eureka_nlg.losses import eureka_loss
    >>> logits, target = torch.tensor([[2.0, 0.0, 0.0], [0.0, 9.0, 0.0]]), torch.tensor([0, 1])
    >>> log_probs = logits.log_softmax(1).gather(1, target[:, None])[:, 0]
    >>> loss = eureka_loss_from_log_probs(log_probs, target)
    >>> torch.isclose(loss, eureka_loss(logits, target, likelihood_cap=0.75))
    tensor(True)
    """
    rewarded = built(Bonus, "eureka_loss_from_log_probs", {**CAPPED, **options})
    if not rewarded.is_bounded:
        raise ValueError(
            "the exact bonus log(1 - p) cannot be computed from log-likelihoods where p rounds to one: "
            f"give {bounding_options()}, or call eureka_loss with the logits"
        )
    shared = Options(weight, ignore_index, reduction)
    _check_log_probs(log_probs, target, shared)
    encouragement = check_encouragement(encouragement)
    tensors = {"encouragement": encouragement, "weight": weight}
    sizes = {name: len(one) for name, one in tensors.items() if isinstance(one, Tensor) and one.dim()}
    if len(set(sizes.values())) > 1:
        raise ValueError(
            f"encouragement and weight must have the same length, one entry per class, got {sizes}"
        )
    dtype = torch.float64 if log_probs.dtype == torch.float64 else torch.float32
    # without a tensor per class nothing is looked up by class, and any index is valid
    num_classes = next(iter(sizes.values()), 1 << 62)
    rows = Rows.of(target.reshape(-1), num_classes, shared, dtype)
    log_p = log_probs.reshape(-1).to(dtype)
    factor: Tensor | float = 1.0 if encouragement is None else encouragement
    if isinstance(factor, Tensor):
        factor = factor.to(dtype) if factor.dim() == 0 else factor.to(dtype)[rows.target]
    objective = Objective(
        lambda given, _: -given, lambda given, _: factor * rewarded.of_log_likelihood(given)
    )
    if reduction == "mean":
        rows = rows.balanced()
    loss = reduced(rows.loss(objective, log_p, None), rows, reduction)
    return (loss.reshape(target.shape) if reduction == "none" else loss).to(log_probs.dtype)


def _check_log_probs(log_probs: Tensor, target: Tensor, options: Options) -> None:
    """Raise TypeError or ValueError unless there is one log-likelihood for each target."""
    options.check()
    for name, given in (("log_probs", log_probs), ("target", target)):
        if not isinstance(given, Tensor):
            raise TypeError(
                f"{name} must be a tensor, got {type(given).__name__}: give torch.as_tensor({name})"
            )
    if not log_probs.is_floating_point():
        raise TypeError(f"log_probs must be floating, got {log_probs.dtype}")
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise TypeError(f"target must hold integer class indices, got {target.dtype}")
    if log_probs.shape != target.shape:
        hint = ""
        if log_probs.dim() == target.dim() + 1:
            hint = "; to select the target's, give log_probs.gather(-1, target.unsqueeze(-1)).squeeze(-1)"
        raise ValueError(
            f"log_probs must have the shape of target, {list(target.shape)}, one for each target, "
            f"got {list(log_probs.shape)}{hint}"
        )
    if options.weight is not None and options.weight.dim() != 1:
        raise ValueError(f"weight must have shape [C], got {list(options.weight.shape)}")
