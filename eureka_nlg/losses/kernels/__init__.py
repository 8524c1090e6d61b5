"""The operations that touch all logits; everything else works on one number a row.

``passes`` says what the two passes over the logits are; ``native``, ``portable`` and ``triton_kernels`` make
them; ``dispatch`` chooses among these; ``fused`` is the differentiable operation on top, and ``reference``
the same operation in plain autograd.
"""

from eureka_nlg.losses.kernels.dispatch import passes_for
from eureka_nlg.losses.kernels.fused import fused_log_odds
from eureka_nlg.losses.kernels.passes import Passes, RowStatistics
from eureka_nlg.losses.kernels.reference import reference_log_odds

__all__ = ["fused_log_odds", "passes_for", "reference_log_odds", "Passes", "RowStatistics"]
