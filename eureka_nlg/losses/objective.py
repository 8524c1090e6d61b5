"""What a loss is to the code that computes it: functions of the log-odds and the target of each row."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from eureka_nlg.losses.kernels import ClosedForm, InNumbers
from eureka_nlg.options import Options

__all__ = ["Objective", "ScalarLoss", "in_numbers"]

OfRows = Callable[[Tensor, Tensor], Tensor]


class Objective(NamedTuple):
    """A loss, as functions of the log-odds ``[N]`` and the target classes ``[N]`` of rows.

    Attributes:
        term: what stands in the place of ``-log p``: class weights multiply it, and label smoothing takes
            its share from it.
        reward: what is added as it is; None for nothing.
        in_numbers: the same for the compiled pass; None for a loss that it does not know.
    """

    term: OfRows
    reward: OfRows | None = None
    in_numbers: InNumbers | None = None

    def times(self, factor: float) -> Objective:
        """The term times a factor."""
        if factor == 1.0:
            return self
        term = self.term
        in_numbers = self.in_numbers
        if in_numbers is not None:
            in_numbers = in_numbers._replace(form=in_numbers.form.times(factor))
        return self._replace(
            term=lambda log_odds, target: factor * term(log_odds, target), in_numbers=in_numbers
        )


class ScalarLoss(Options):
    """A loss of a row that is a function of the target's log-odds and of options alone.

    Attributes:
        gradient_is_of_the_value: False where a factor is held fixed (detached), so that the gradient is not
            the derivative of the value: such a loss cannot be minimised by its value, and has no meaningful
            second derivative.
    """

    gradient_is_of_the_value: ClassVar[bool] = True

    def __call__(self, log_odds: Tensor) -> Tensor:
        """Loss for each log-odds, same shape."""
        raise NotImplementedError

    def closed_form(self) -> ClosedForm | None:
        """The loss as the compiled pass takes it; None for a loss that it does not know.

        It counts for the class that defines it alone: a subclass may have another formula.
        """
        return None

    def objective(self) -> Objective:
        """The loss as a term that class weights and label smoothing act on."""
        return Objective(lambda log_odds, target: self(log_odds), in_numbers=in_numbers(self))


def in_numbers(
    loss: Options, encouragement: Tensor | float = 1.0, halted: Tensor | None = None
) -> InNumbers | None:
    """A loss for the compiled pass, from its ``closed_form()``; None where the pass cannot compute it.

    Args:
        loss: a :class:`ScalarLoss`, or the bonus beside cross-entropy.
        encouragement, halted: see :class:`.kernels.InNumbers`.
    """
    if torch.compiler.is_compiling():  # the function itself goes into the graph
        return None
    form = _closed_form(loss)
    return None if form is None else InNumbers(form, encouragement, halted)


@functools.lru_cache(maxsize=256)
def _closed_form(loss: Any) -> ClosedForm | None:
    form: ClosedForm | None = loss.closed_form() if "closed_form" in vars(type(loss)) else None
    return form
