"""Metrics over many resamples, a block of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.metrics.replies.totals import Resampling, Statistic, Weights
from eureka_nlg.metrics.significance.resampling import RESAMPLERS, swaps

__all__ = ["observed", "randomised", "resampled"]

Table = dict[str, NDArray[np.float64]]
"""metric -> values, a row per system and a column per resample."""

_BLOCK_CELLS = 4_000_000  # totals, or weights, of a block


def observed(statistics: Sequence[Statistic], num_pairs: int) -> Table:
    """Value of each system on the test set itself, [K, 1]."""
    return _all_systems(statistics, _once(num_pairs))


def resampled(
    statistics: Sequence[Statistic],
    resampling: Resampling,
    num_pairs: int,
    num_resamples: int,
    seed: np.random.SeedSequence,
) -> Table:
    """Values of the systems on the same R resamples, [K, R]."""
    blocks = RESAMPLERS[resampling](
        np.random.default_rng(seed), num_pairs, num_resamples, _block(statistics, num_pairs)
    )
    return _join([_all_systems(statistics, weights) for weights in blocks])


def randomised(
    statistics: Sequence[Statistic],
    baseline: int,
    num_pairs: int,
    num_resamples: int,
    seed: np.random.SeedSequence,
) -> Table:
    """Differences between each other system and the baseline after R shuffles, [K - 1, R].

    A shuffle swaps the replies of the two at random pairs, the same ones for every system.
    """

    def shuffled(kept: Weights, statistic: Statistic) -> list[NDArray[Any]]:
        # totals add up: what a system keeps, and what the other one gives for the rest
        all_of = [statistic.totals(system, once) for system in range(len(statistic.matrices))]
        kept_of = [statistic.totals(system, kept) for system in range(len(statistic.matrices))]
        others = [system for system in range(len(all_of)) if system != baseline]
        mixed = [kept_of[system] + all_of[baseline] - kept_of[baseline] for system in others]
        rest = [all_of[system] + all_of[baseline] - half for system, half in zip(others, mixed)]
        return mixed + rest

    once = _once(num_pairs)
    blocks = []
    for kept in swaps(np.random.default_rng(seed), num_pairs, num_resamples, _block(statistics, num_pairs)):
        values = _evaluate(statistics, partial(shuffled, kept))
        blocks.append({metric: np.subtract(*np.split(both, 2)) for metric, both in values.items()})
    return _join(blocks)


def _all_systems(statistics: Sequence[Statistic], weights: Weights) -> Table:
    return _evaluate(
        statistics,
        lambda statistic: [statistic.totals(system, weights) for system in range(len(statistic.matrices))],
    )


def _evaluate(statistics: Sequence[Statistic], totals: Callable[[Statistic], list[NDArray[Any]]]) -> Table:
    """The metrics of each of the totals, [number of totals, B]."""
    table: Table = {}
    for statistic in statistics:
        scores = [statistic.compute(part) for part in totals(statistic)]
        table |= {metric: np.stack([score[metric] for score in scores]) for metric in scores[0]}
    return table


def _join(blocks: Sequence[Table]) -> Table:
    return {metric: np.hstack([block[metric] for block in blocks]) for metric in blocks[0]}


def _once(num_pairs: int) -> Weights:
    return np.ones((num_pairs, 1), dtype=np.int32)


def _block(statistics: Sequence[Statistic], num_pairs: int) -> int:
    """Resamples to hold at a time."""
    return max(1, _BLOCK_CELLS // max([num_pairs, *(statistic.size for statistic in statistics)]))
