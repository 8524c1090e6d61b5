"""The contract of a loss: a function of the log-odds and the target class of each row."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eureka_nlg.losses.kernels import ClosedForm, CompiledLoss
from eureka_nlg.options import Options

__all__ = ["Objective", "ScalarLoss", "compiled_loss"]

OfRows = Callable[[Tensor, Tensor], Tensor]


class Objective(NamedTuple):
    """A loss, as functions of the log-odds ``[N]`` and the target classes ``[N]`` of N rows.

    Attributes:
        term: the part in the place of cross-entropy's ``-log p``. Class weights multiply it, and label
            smoothing replaces a share of it.
        reward: the part that neither class weights nor label smoothing affect; None if there is none.
        compiled: the same loss for the compiled pass; None if the pass cannot compute it.
    """

    term: OfRows
    reward: OfRows | None = None
    compiled: CompiledLoss | None = None

    def times(self, factor: float) -> Objective:
        """The same loss with its term multiplied by a factor."""
        if factor == 1.0:
            return self
        term = self.term
        compiled = self.compiled
        if compiled is not None:
            compiled = compiled._replace(form=compiled.form.times(factor))
        # not _replace, which torch.compile of torch 2.6 cannot trace
        return Objective(lambda log_odds, target: factor * term(log_odds, target), self.reward, compiled)


class ScalarLoss(Options):
    """A loss whose value for a row depends only on the target's log-odds and on options.

    If a factor of the loss is held fixed (detached), its gradient is not the derivative of the value: the
    value does not measure progress, and the second derivative has no meaning.
    """

    def __call__(self, log_odds: Tensor) -> Tensor:
        """Loss of each element of ``log_odds``, in the same shape."""
        raise NotImplementedError

    def closed_form(self) -> ClosedForm | None:
        """The loss as numbers for the compiled pass; None if the pass does not know the formula.

        A subclass does not inherit it, since its formula may differ: it has to define its own.
        """
        return None

    def objective(self) -> Objective:
        """The loss as an :class:`Objective` without a reward."""
        return Objective(lambda log_odds, target: self(log_odds), compiled=compiled_loss(self))


def compiled_loss(
    loss: Options, encouragement: Tensor | float = 1.0, halted: Tensor | None = None
) -> CompiledLoss | None:
    """A loss for the compiled pass, from its ``closed_form()``; None if the pass cannot compute it.

    Args:
        loss: a :class:`ScalarLoss`, or a bonus, which is then added to cross-entropy.
        encouragement, halted: see :class:`.kernels.CompiledLoss`.
    """
    if torch.compiler.is_compiling():  # torch.compile traces the Python function instead
        return None
    form = _closed_form(loss)
    return None if form is None else CompiledLoss(form, encouragement, halted)


@functools.lru_cache(maxsize=256)
def _closed_form(loss: Any) -> ClosedForm | None:
    form: ClosedForm | None = loss.closed_form() if "closed_form" in vars(type(loss)) else None
    return form
