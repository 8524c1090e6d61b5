"""The operations that read all logits; everything else in a loss works on one number per row.

``passes`` specifies the two passes over the logits, ``native``, ``portable`` and ``triton_kernels`` implement
them, and ``dispatch`` chooses an implementation. ``fused`` builds the differentiable operation from the
passes; ``operator`` is its form for tracing (``torch.compile`` and others), and ``reference`` computes the
same in plain autograd. ``closed_form`` describes losses that the compiled pass can compute itself, and
``incoming`` predicts the factor by which a gradient will be multiplied.
"""

from eureka_nlg.losses.kernels.closed_form import ClosedForm, CompiledLoss
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
    "CompiledLoss",
    "LossOfRows",
    "Passes",
    "RowStatistics",
]
