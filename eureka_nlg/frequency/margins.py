"""Offsets of the logits that follow from the counts: LDAM's margins, and logit adjustment's log-priors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from eureka_nlg.frequency.counts import ClassCounts, check_class_counts
from eureka_nlg.options import Options, option

__all__ = [
    "LogitAdjustmentOptions",
    "MarginOptions",
    "ldam_margins",
    "log_prior",
]


@dataclass(frozen=True)
class MarginOptions(Options):
    """Options of :func:`ldam_margins`."""

    max_margin: float = option(0.5, "ldam: margin of the rarest class", at_least=0)


@dataclass(frozen=True)
class LogitAdjustmentOptions(Options):
    """Options of :func:`log_prior`."""

    tau: float = option(
        1.0,
        "logit adjustment: factor of the log-frequency",
        at_least=0,
        name="logit_adjustment_tau",
    )


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
        ValueError: the counts or the margin are invalid.

    >>> ldam_margins([16, 1])
    tensor([0.2500, 0.5000])
    """
    counts = check_class_counts(class_counts)
    MarginOptions(max_margin)
    shape = torch.where(counts > 0, counts.clamp(min=1.0) ** -0.25, 0.0)
    return (max_margin * shape / shape.max()).to(dtype or torch.get_default_dtype())


def log_prior(class_counts: ClassCounts, tau: float = 1.0, *, dtype: torch.dtype | None = None) -> Tensor:
    """``tau`` times the log-frequency of each class, which logit adjustment adds to the logits in training.

    Source: Menon et al. 2021, "Long-tail Learning via Logit Adjustment"; with ``tau=1`` the balanced softmax
    of Ren et al. 2020.

    Args:
        class_counts: number of training examples of each class, ``[C]`` non-negative integers. A class with
            count 0 is treated as if it occurred once: with an offset of -inf it would have no gradient.
        tau: finite and not negative.
        dtype: of the result; default ``torch.get_default_dtype()``.

    Returns:
        Tensor ``[C]`` of numbers up to 0.

    Raises:
        ValueError: the counts or tau are invalid.

    >>> log_prior([3, 1]).exp()
    tensor([0.7500, 0.2500])
    """
    tau = LogitAdjustmentOptions(tau).tau
    counts = check_class_counts(class_counts)
    return (tau * (counts.clamp(min=1.0) / counts.sum()).log()).to(dtype or torch.get_default_dtype())
