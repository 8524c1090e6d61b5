"""The steps around the kernel that all losses share: ignored rows, class weights, smoothing, reduction."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from eureka_nlg.losses.checks import Options, check_target, have_all_targets
from eureka_nlg.losses.objective import Objective

__all__ = ["Rows", "reduced", "result_dtype"]


class Rows(NamedTuple):
    """What a loss needs to know of N rows besides their logits.

    Attributes:
        target: ``[N]`` int64; a valid class in ignored rows too.
        kept: ``[N]`` bool, False in ignored rows; None if no row is known to be ignored, which saves a third
            of the time for few rows.
        weight: ``[N]``, the class weight of each row's target; None for 1.
        class_weight: ``[C]``, or None for 1.
        label_smoothing: in [0, 1], as torch defines it.
    """

    target: Tensor
    kept: Tensor | None
    weight: Tensor | None
    class_weight: Tensor | None
    label_smoothing: float

    @classmethod
    def of(cls, target: Tensor, num_classes: int, options: Options, dtype: torch.dtype) -> Rows:
        """Find the rows that are not ignored; raises IndexError for a target that is no class."""
        target = target.long()  # before the comparison: as uint8, -100 would become 156
        kept = None
        if not have_all_targets(target, num_classes, options.ignore_index):
            kept = target != options.ignore_index
            target = torch.where(kept, target, 0)
            check_target(target, num_classes)
        class_weight = None if options.weight is None else options.weight.to(dtype)
        weight = None if class_weight is None else class_weight[target]
        return cls(target, kept, weight, class_weight, options.label_smoothing)

    def select(self, rows: slice | Tensor) -> Rows:
        """The rows of these indices."""
        weight = None if self.weight is None else self.weight[rows]
        kept = None if self.kept is None else self.kept[rows]
        return self._replace(target=self.target[rows], kept=kept, weight=weight)

    def only_kept(self, value: Tensor, otherwise: float) -> Tensor:
        """``value`` in the rows that are kept, ``otherwise`` in the ignored ones."""
        return value if self.kept is None else torch.where(self.kept, value, otherwise)

    def cleaned(self, logits: Tensor) -> Tensor:
        """The logits ``[N, C]``, zero in ignored rows: a NaN there would reach plain autograd's gradients."""
        return logits if self.kept is None else torch.where(self.kept.unsqueeze(-1), logits, 0.0)

    def denominator(self, dtype: torch.dtype) -> Tensor:
        """The divisor of ``reduction="mean"``: the sum of the weights of the rows that are kept."""
        if self.weight is not None:
            return self.only_kept(self.weight, 0.0).sum()
        if self.kept is not None:
            return self.kept.sum(dtype=dtype)
        return torch.full((), len(self.target), dtype=dtype, device=self.target.device)

    def balanced(self) -> Rows:
        """The same rows with their weights scaled to mean one over the rows that are kept.

        Then the mean of the losses is the weighted mean of the term plus the plain mean of the reward.
        """
        if self.weight is None or self.class_weight is None:
            return self
        total = self.denominator(self.weight.dtype)
        count = total.new_full((), len(self.target)) if self.kept is None else self.kept.sum()
        # If all weights are zero the mean is NaN, as in cross_entropy; callers handle the case of no rows.
        factor = torch.where(count == 0, 1.0, count / total)
        # not _replace, which torch.compile of torch 2.6 cannot trace
        return Rows(
            self.target, self.kept, self.weight * factor, self.class_weight * factor, self.label_smoothing
        )

    def loss(self, objective: Objective, log_odds: Tensor, uniform: Tensor | None) -> Tensor:
        """Loss of each row, ``[N]``; 0 in ignored rows.

        Args:
            objective: the loss.
            log_odds: ``[N]``.
            uniform: cross-entropy against the uniform distribution ``[N]``, if there is label smoothing.
        """
        # Ignored rows are replaced before the arithmetic too: a NaN in one must not reach the gradient.
        log_odds = self.only_kept(log_odds, 0.0)
        # with label smoothing 1 an infinite term counts 0, and a NaN stays
        loss = self.weighted(objective.term(log_odds, self.target), 0.0 * log_odds.sigmoid(), uniform)
        if objective.reward is not None:
            loss = loss + objective.reward(log_odds, self.target)
        return self.only_kept(loss, 0.0)

    def weighted(self, term: Tensor, nothing: Tensor, uniform: Tensor | None) -> Tensor:
        """Terms of the rows with class weights and label smoothing; ``nothing`` replaces them at share 0."""
        if self.label_smoothing > 0.0:
            share = 1.0 - self.label_smoothing
            term = share * term if share > 0.0 else nothing
        if self.weight is not None:
            # a class weight of zero gives zero, even if the loss is infinite
            term = torch.where(self.weight == 0.0, 0.0, self.weight * term)
        if uniform is not None:
            scale = 1.0 if self.class_weight is None else self.class_weight.mean()
            term = term + self.label_smoothing * scale * self.only_kept(uniform, 0.0)
        return term


def reduced(loss: Tensor, rows: Rows, reduction: str) -> Tensor:
    """The losses of the rows, their sum, or their mean weighted as in ``cross_entropy``.

    For a loss with a reward, ``reduction="mean"`` expects rows that are :meth:`Rows.balanced`.
    """
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if rows.kept is None and rows.weight is None:
        return loss.mean()
    return loss.sum() / rows.denominator(loss.dtype)


def result_dtype(input: Tensor) -> torch.dtype:
    """The dtype of a loss of this input: its own, but float32 for half precision under autocast."""
    is_half = input.dtype in (torch.float16, torch.bfloat16)
    return torch.float32 if is_half and torch.is_autocast_enabled(input.device.type) else input.dtype
