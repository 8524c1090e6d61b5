"""From the values of a metric on many resamples to confidence intervals and p-values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from eureka_nlg.metrics.replies.setting import Resampling
from eureka_nlg.metrics.replies.totals import Values
from eureka_nlg.metrics.significance.resampling import spread
from eureka_nlg.metrics.significance.results import Estimate

__all__ = ["Inference", "p_value"]

_ROUNDING = 1e-9  # differences closer than this are equal but for the order of sums


@dataclass(frozen=True)
class Inference:
    """Confidence intervals and p-values from the values of resamples.

    Attributes:
        resampling: how the resamples were drawn.
        num_pairs: N.
        confidence: of the intervals, in percent.
    """

    resampling: Resampling
    num_pairs: int
    confidence: float

    def estimate(
        self, value: float, sample: Values, least: float = -math.inf, most: float = math.inf
    ) -> Estimate:
        """The value with its interval, which is cut to the range from ``least`` to ``most``."""
        tail = (100 - self.confidence) / 2
        if self.resampling == "bootstrap":
            low, high = np.percentile(sample, [tail, 100 - tail])
        else:
            low, high = value + np.percentile(self._deviations(sample), [tail, 100 - tail])
        return Estimate(float(value), max(float(low), least), min(float(high), most))

    def p_value(self, difference: float, sample: Values) -> float:
        """Two-sided p-value of the difference, had resampled differences the mean 0."""
        return p_value(difference, self._deviations(sample))

    def _deviations(self, sample: Values) -> Values:
        """How far a fresh test set would be from the mean of such."""
        return np.asarray(spread(self.resampling, self.num_pairs) * (sample - sample.mean()))


def p_value(difference: float, null: Values) -> float:
    """Two-sided p-value, ``(count + 1) / (R + 1)``: how many of R null values are as far from 0."""
    as_large = int((np.abs(null) >= abs(difference) - _ROUNDING).sum())
    return (as_large + 1) / (len(null) + 1)
