"""Resamples of a test set, as the number of times that each pair is taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.metrics.replies.setting import Resampling

__all__ = ["RESAMPLERS", "Weights", "bootstrap", "jackknife", "spread", "swaps"]

Weights = NDArray[np.int32]
"""[N, B]: how often each of N pairs is taken in each of B resamples."""

_DELETED = 0.1  # share of the pairs that a jackknife resample leaves out


def bootstrap(rng: np.random.Generator, num_pairs: int, num_resamples: int, block: int) -> Iterator[Weights]:
    """N pairs drawn with replacement (Efron & Tibshirani 1993, chapter 6).

    Args:
        rng: the random generator; the numbers drawn do not depend on ``block``.
        num_pairs: N.
        num_resamples: number of resamples in total.
        block: B, the number of resamples that are held at a time.

    Yields:
        Weights whose columns sum to N.
    """
    for size in _sizes(num_resamples, block):
        rows = np.empty((size, num_pairs), dtype=np.int32)
        for row in rows:  # counted one by one they stay in the cache
            row[:] = np.bincount(rng.integers(num_pairs, size=num_pairs), minlength=num_pairs)
        yield np.ascontiguousarray(rows.T)


def jackknife(rng: np.random.Generator, num_pairs: int, num_resamples: int, block: int) -> Iterator[Weights]:
    """All pairs but a tenth drawn at random, without replacement: the delete-d jackknife (Shao & Wu 1989).

    No pair is taken twice, so a resample has no repetitions that the data do not have. The arguments are
    those of :func:`bootstrap`; the weights are 0 and 1.
    """
    num_deleted = _num_deleted(num_pairs)
    for size in _sizes(num_resamples, block):
        weights = np.ones((num_pairs, size), dtype=np.int32)
        for column in range(size):
            weights[rng.permutation(num_pairs)[:num_deleted], column] = 0
        yield weights


def swaps(rng: np.random.Generator, num_pairs: int, num_resamples: int, block: int) -> Iterator[Weights]:
    """For each pair, 1 or 0 with probability 1/2: whether a system keeps its own reply."""
    for size in _sizes(num_resamples, block):
        yield np.ascontiguousarray(rng.integers(2, size=(size, num_pairs)).T.astype(np.int32))


RESAMPLERS: dict[Resampling, Callable[[np.random.Generator, int, int, int], Iterator[Weights]]] = {
    "bootstrap": bootstrap,
    "jackknife": jackknife,
}
assert tuple(RESAMPLERS) == get_args(Resampling)


def spread(resampling: Resampling, num_pairs: int) -> float:
    """The factor by which the deviations of resampled values are multiplied, to vary as test sets do.

    It is 1 for the bootstrap. With d of N pairs deleted, it is sqrt((N - d) / d).
    """
    if resampling == "bootstrap":
        return 1.0
    num_deleted = _num_deleted(num_pairs)
    return math.sqrt((num_pairs - num_deleted) / num_deleted)


def _num_deleted(num_pairs: int) -> int:
    return max(1, round(_DELETED * num_pairs))


def _sizes(num_resamples: int, block: int) -> Iterator[int]:
    for start in range(0, num_resamples, block):
        yield min(block, num_resamples - start)
