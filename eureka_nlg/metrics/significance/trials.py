"""Values of metrics on many resamples, computed a block of resamples at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.metrics.replies.setting import Resampling
from eureka_nlg.metrics.significance.matrices import Matrices
from eureka_nlg.metrics.significance.resampling import RESAMPLERS, Weights, swaps

__all__ = ["randomised", "resampled"]

Table = dict[str, NDArray[np.float64]]
"""metric -> values, with a row per system and a column per resample."""

_BLOCK_CELLS = 4_000_000  # greatest number of totals, or of weights, in a block


def resampled(
    matrices: Sequence[Matrices],
    resampling: Resampling,
    num_pairs: int,
    num_resamples: int,
    seed: np.random.SeedSequence,
) -> Table:
    """Values of K systems on the same R resamples, [K, R]."""
    blocks = RESAMPLERS[resampling](
        np.random.default_rng(seed), num_pairs, num_resamples, _block(matrices, num_pairs)
    )
    return _join([_evaluate(matrices, partial(_all_systems, weights)) for weights in blocks])


def randomised(
    matrices: Sequence[Matrices],
    baseline: int,
    num_pairs: int,
    num_resamples: int,
    seed: np.random.SeedSequence,
) -> Table:
    """Differences between each other system and the baseline after R shuffles, [K - 1, R].

    A shuffle swaps the replies of a pair with probability 1/2; it swaps the same pairs for every system.
    """

    def shuffled(kept: Weights, one: Matrices) -> list[NDArray[Any]]:
        # totals are sums: those of the pairs that a system keeps, plus those of the baseline's other pairs
        all_of, kept_of = _all_systems(once, one), _all_systems(kept, one)
        others = [system for system in range(len(all_of)) if system != baseline]
        mixed = [kept_of[system] + all_of[baseline] - kept_of[baseline] for system in others]
        rest = [all_of[system] + all_of[baseline] - half for system, half in zip(others, mixed)]
        return mixed + rest

    once = np.ones((num_pairs, 1), dtype=np.int32)
    blocks = []
    for kept in swaps(np.random.default_rng(seed), num_pairs, num_resamples, _block(matrices, num_pairs)):
        values = _evaluate(matrices, partial(shuffled, kept))
        blocks.append({metric: np.subtract(*np.split(both, 2)) for metric, both in values.items()})
    return _join(blocks)


def _all_systems(weights: Weights, one: Matrices) -> list[NDArray[Any]]:
    return [one.totals(system, weights) for system in range(one.num_systems)]


def _evaluate(matrices: Sequence[Matrices], totals: Callable[[Matrices], list[NDArray[Any]]]) -> Table:
    """The values of the metrics for each of the totals, [number of totals, B]."""
    table: Table = {}
    for one in matrices:
        scores = [one.score(part) for part in totals(one)]
        table |= {metric: np.stack([score[metric] for score in scores]) for metric in scores[0]}
    return table


def _join(blocks: Sequence[Table]) -> Table:
    return {metric: np.hstack([block[metric] for block in blocks]) for metric in blocks[0]}


def _block(matrices: Sequence[Matrices], num_pairs: int) -> int:
    """The number of resamples to hold at a time."""
    return max(1, _BLOCK_CELLS // max([num_pairs, *(one.size for one in matrices)]))
