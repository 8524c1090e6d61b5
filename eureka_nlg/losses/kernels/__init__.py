"""The operations that touch all logits; everything else works on one number a row.

``passes`` says what the two passes over the logits are; ``native``, ``portable`` and ``triton_kernels`` make
them; ``dispatch`` chooses among these; ``fused`` is the differentiable operation on top, ``operator`` the
same for what torch traces, and ``reference`` the same in plain autograd. ``incoming`` guesses what a gradient
will be multiplied with.
"""

from eureka_nlg.losses.kernels.closed_form import ClosedForm, InNumbers
from eureka_nlg.losses.kernels.dispatch import passes_for
from eureka_nlg.losses.kernels.fused import fused_log_odds, fused_loss
from eureka_nlg.losses.kernels.native import LossOfRows
from eureka_nlg.losses.kernels.passes import Passes, RowStatistics
from eureka_nlg.losses.kernels.reference import reference_log_odds

__all__ = [
    "fused_log_odds",
    "fused_loss",
    "passes_for",
    "reference_log_odds",
    "ClosedForm",
    "InNumbers",
    "LossOfRows",
    "Passes",
    "RowStatistics",
]
