"""What a metric is to a resampling test: totals over the pairs, and a function of the totals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Resampling", "Statistic", "Values", "Weights", "ratio"]

Resampling = Literal["bootstrap", "jackknife"]
"""How the spread of a metric is estimated."""

Weights = NDArray[np.int32]
"""[N, B]: how often each of N pairs is taken in each of B resamples."""

Values = NDArray[np.float64]
"""[B]: one value for each of B resamples."""


@dataclass(frozen=True)
class Statistic:
    """One or more metrics that are computed from the same totals.

    A resample takes pair i w[i] times. Whatever the metric, its value is a function of totals that are linear
    in w: n-gram diversity, say, counts the n-grams whose total is above zero. So one product of matrices
    evaluates a block of resamples, and pairs whose replies two systems have swapped are no other case.

    Attributes:
        matrices: for each system [F, N], what each pair adds to each of F totals; numpy or scipy.sparse.
        compute: totals [F, B] -> name of the metric -> values [B].
        resampling: how to estimate its spread. ``"bootstrap"`` for what varies smoothly with the weights.
            ``"jackknife"`` for what depends on whether something occurs at all: a bootstrap resample holds
            only 63 % of the pairs and repeats them, which no fresh test set does.
    """

    matrices: Sequence[Any]
    compute: Callable[[NDArray[Any]], Mapping[str, Values]]
    resampling: Resampling = "bootstrap"

    @property
    def size(self) -> int:
        """Number of totals, F."""
        return int(self.matrices[0].shape[0])

    def totals(self, system: int, weights: Weights) -> NDArray[Any]:
        """Totals [F, B] of the system's pairs, taken as often as ``weights`` [N, B] say."""
        return np.asarray(self.matrices[system] @ weights)


def ratio(numerator: NDArray[Any], denominator: NDArray[Any], factor: float = 100.0) -> Values:
    """``factor * numerator / denominator``, and 0 where the denominator is 0, as all metrics have it."""
    return np.asarray(factor * numerator / np.where(denominator == 0, 1, denominator), dtype=np.float64)
