"""Losses described by numbers for the compiled pass, which cannot call a Python function.

A loss is defined by its function of the log-odds (:mod:`eureka_nlg.losses.objectives`), and the tests compare
the compiled loss with that function. A loss without such numbers is computed by the Python function between
the two passes over the logits.
"""

from __future__ import annotations

import ctypes
import functools
import math
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

from torch import Tensor

__all__ = ["ClosedForm", "CompiledLoss"]


@dataclass(frozen=True)
class ClosedForm:
    """The numbers that describe one loss, in the order in which ``_native.c`` reads them.

    Attributes:
        term: 0 for cross-entropy, 1 for focal, 2 for halted focal, 3 for DFT loss.
        alpha: factor of the term.
        gamma: exponent of the focal losses.
        halted_from: log-odds above which halted focal loss is cross-entropy less ``halted_by``.
        reward: 0 for none, 1 for the likelihood bonus, 2 for the power bonus.
        bonus_gamma: exponent of the power bonus.
        starts_from: log-odds up to which there is no bonus.
        starts_at: value of the bonus at ``starts_from``, which is subtracted above it.
        cap_from: log-odds above which the bonus is linear in the likelihood.
        cap, at_cap, slope_at_cap: the likelihood at ``cap_from``, and the bonus and its slope there.
        clamp_from: log-odds above which the bonus is constant.
    """

    term: float = 0.0
    alpha: float = 1.0
    gamma: float = 0.0
    halted_from: float = math.inf
    halted_by: float = 0.0
    reward: float = 0.0
    bonus_gamma: float = 1.0
    starts_from: float = -math.inf
    starts_at: float = 0.0
    cap_from: float = math.inf
    cap: float = 1.0
    at_cap: float = 0.0
    slope_at_cap: float = 0.0
    clamp_from: float = math.inf

    def times(self, factor: float) -> ClosedForm:
        """The same loss with its term multiplied by a factor."""
        return replace(self, alpha=self.alpha * factor)

    @functools.cached_property
    def as_array(self) -> ctypes.Array[ctypes.c_double]:
        """The numbers as a C array."""
        numbers = [float(getattr(self, field.name)) for field in fields(self)]
        return (ctypes.c_double * len(numbers))(*numbers)


class CompiledLoss(NamedTuple):
    """A loss for the compiled pass: a closed form, and what differs between the classes.

    Attributes:
        form: the loss of a row.
        encouragement: weight of the bonus, a number or ``[C]``.
        halted: ``[C]`` bool, classes with halted focal loss; None for all.
    """

    form: ClosedForm
    encouragement: Tensor | float = 1.0
    halted: Tensor | None = None
