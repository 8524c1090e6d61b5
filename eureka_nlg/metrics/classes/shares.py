"""Confidence intervals of shares, such as accuracies."""

from __future__ import annotations

import math
from statistics import NormalDist

__all__ = ["wilson_interval"]


def wilson_interval(percent: float, count: int, confidence: float = 95) -> tuple[float, float]:
    """Wilson's interval (1927) of a share, which is right near 0 and 100 %, too, unlike resampling.

    Args:
        percent: the share that was found.
        count: of how many.
        confidence: confidence level, in percent.

    Returns:
        The lower and the upper bound in percent.

    >>> tuple(round(bound, 2) for bound in wilson_interval(30, 10))
    (10.78, 60.32)
    """
    z, share = NormalDist().inv_cdf(0.5 + confidence / 200), percent / 100
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    whole = 1 + z * z / count
    # rounding would put the bound of 0 % a little below 0, which prints as -0.00
    return max(100 * (middle - half) / whole, 0.0), min(100 * (middle + half) / whole, 100.0)
