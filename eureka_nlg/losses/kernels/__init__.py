"""The operations that touch all logits; everything else works on one number a row."""

from eureka_nlg.losses.kernels.log_odds import fused_log_odds
from eureka_nlg.losses.kernels.sweeps import RowStatistics, Sweeps, sweeps_for

__all__ = ["fused_log_odds", "sweeps_for", "RowStatistics", "Sweeps"]
