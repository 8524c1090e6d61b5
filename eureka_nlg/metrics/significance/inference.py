"""Confidence intervals and p-values from the values of a metric on many resamples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from eureka_nlg.metrics.replies.setting import Resampling
from eureka_nlg.metrics.replies.totals import Values
from eureka_nlg.metrics.significance.resampling import spread
from eureka_nlg.metrics.significance.results import Estimate

__all__ = ["Inference", "p_value"]

_ROUNDING = 1e-9  # smaller deviations come from the order of floating-point sums


@dataclass(frozen=True)
class Inference:
    """Confidence intervals and p-values from the values of resamples.

    Attributes:
        resampling: how the resamples were drawn.
        num_pairs: N, the number of pairs of the test set.
        confidence: confidence level of the intervals, in percent.
    """

    resampling: Resampling
    num_pairs: int
    confidence: float

    def estimate(
        self, value: float, sample: Values, least: float = -math.inf, most: float = math.inf
    ) -> Estimate:
        """The value with its interval, which is clipped to the range from ``least`` to ``most``."""
        tail = (100 - self.confidence) / 2
        if self.resampling == "bootstrap":
            low, high = np.percentile(sample, [tail, 100 - tail])
        else:
            low, high = value + np.percentile(self._deviations(sample), [tail, 100 - tail])
        return Estimate(float(value), max(float(low), least), min(float(high), most))

    def p_value(self, difference: float, sample: Values) -> float:
        """Two-sided p-value of the difference, from the resampled differences shifted to mean 0."""
        return p_value(difference, self._deviations(sample))

    def _deviations(self, sample: Values) -> Values:
        """Deviations from the mean, scaled to the spread of values between test sets."""
        return np.asarray(spread(self.resampling, self.num_pairs) * (sample - sample.mean()))


def p_value(difference: float, null: Values) -> float:
    """Two-sided p-value ``(count + 1) / (R + 1)``; count: how many of R null values are as far from 0."""
    as_large = int((np.abs(null) >= abs(difference) - _ROUNDING).sum())
    return (as_large + 1) / (len(null) + 1)
