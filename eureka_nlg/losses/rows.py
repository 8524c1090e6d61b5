"""What every loss does with the rows besides their logits: ignored targets, weights, smoothing, reduction."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from eureka_nlg.losses.checks import Options, check_target, have_all_targets
from eureka_nlg.losses.objective import Objective

__all__ = ["Rows", "reduced", "result_dtype"]


class Rows(NamedTuple):
    """What is known of the rows besides their logits.

    Attributes:
        target: ``[N]`` int64, valid also where the row is ignored.
        kept: ``[N]`` bool; None where all rows are known to count, which saves a third of the work on few
            rows.
        weight: ``[N]``, that of the target's class; None for one.
        class_weight: ``[C]``, or None.
        label_smoothing: torch's definition.
    """

    target: Tensor
    kept: Tensor | None
    weight: Tensor | None
    class_weight: Tensor | None
    label_smoothing: float

    @classmethod
    def of(cls, target: Tensor, num_classes: int, options: Options, dtype: torch.dtype) -> Rows:
        """Find out which rows count; raises IndexError for a target that is no class."""
        target = target.long()  # before the comparison, in which -100 would turn into the uint8 156
        kept = None
        if not have_all_targets(target, num_classes, options.ignore_index):
            kept = target != options.ignore_index
            target = torch.where(kept, target, 0)
            check_target(target, num_classes)
        class_weight = None if options.weight is None else options.weight.to(dtype)
        weight = None if class_weight is None else class_weight[target]
        return cls(target, kept, weight, class_weight, options.label_smoothing)

    def select(self, rows: slice | Tensor) -> Rows:
        """Some of the rows."""
        weight = None if self.weight is None else self.weight[rows]
        kept = None if self.kept is None else self.kept[rows]
        return self._replace(target=self.target[rows], kept=kept, weight=weight)

    def only_kept(self, value: Tensor, otherwise: float) -> Tensor:
        """``value`` in the rows that count."""
        return value if self.kept is None else torch.where(self.kept, value, otherwise)

    def denominator(self, dtype: torch.dtype) -> Tensor:
        """What ``reduction="mean"`` divides by: the sum of the rows' weights."""
        if self.weight is not None:
            return self.only_kept(self.weight, 0.0).sum()
        if self.kept is not None:
            return self.kept.sum(dtype=dtype)
        return torch.full((), len(self.target), dtype=dtype, device=self.target.device)

    def balanced(self) -> Rows:
        """With weights of mean one over the rows that count, nothing else changed.

        The mean of such losses is the weighted mean of the term plus the plain mean of the reward.
        """
        if self.weight is None or self.class_weight is None:
            return self
        total = self.denominator(self.weight.dtype)
        count = total.new_full((), len(self.target)) if self.kept is None else self.kept.sum()
        # rows without any weight have no mean, as in cross_entropy; no rows at all are the caller's case
        factor = torch.where(count == 0, 1.0, count / total)
        return self._replace(weight=self.weight * factor, class_weight=self.class_weight * factor)

    def loss(self, objective: Objective, log_odds: Tensor, uniform: Tensor | None) -> Tensor:
        """Loss of each row, ``[N]``, 0 where ignored."""
        # Cut off before the arithmetic too: not even NaN in an ignored row may reach a gradient.
        log_odds = self.only_kept(log_odds, 0.0)
        # of an infinite loss nothing is left where all of it is smoothed away, but NaN stays
        loss = self.weighted(objective.term(log_odds, self.target), 0.0 * log_odds.sigmoid(), uniform)
        if objective.reward is not None:
            loss = loss + objective.reward(log_odds, self.target)
        return self.only_kept(loss, 0.0)

    def weighted(self, term: Tensor, nothing: Tensor, uniform: Tensor | None) -> Tensor:
        """Terms of the rows, weighted and smoothed; ``nothing`` is what a share of zero leaves of them."""
        if self.label_smoothing > 0.0:
            share = 1.0 - self.label_smoothing
            term = share * term if share > 0.0 else nothing
        if self.weight is not None:
            # a weight of zero wins over an infinite loss
            term = torch.where(self.weight == 0.0, 0.0, self.weight * term)
        if uniform is not None:
            scale = 1.0 if self.class_weight is None else self.class_weight.mean()
            term = term + self.label_smoothing * scale * self.only_kept(uniform, 0.0)
        return term


def reduced(loss: Tensor, rows: Rows, reduction: str) -> Tensor:
    """The rows' losses, their sum, or their mean as ``cross_entropy`` weights it.

    Where there is a reward, the rows are :meth:`Rows.balanced`.
    """
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if rows.kept is None and rows.weight is None:
        return loss.mean()
    return loss.sum() / rows.denominator(loss.dtype)


def result_dtype(input: Tensor) -> torch.dtype:
    """That of the input; float32 where autocast would compute a loss of half-precision logits in it."""
    is_half = input.dtype in (torch.float16, torch.bfloat16)
    return torch.float32 if is_half and torch.is_autocast_enabled(input.device.type) else input.dtype
