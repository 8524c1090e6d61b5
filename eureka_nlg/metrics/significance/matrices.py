"""The totals of metrics as sparse matrices, so that one product evaluates a block of resamples.

A resample takes pair i w[i] times. All totals are linear in w; n-gram diversity, for example, counts the
n-grams whose total is above zero. Systems with swapped replies are evaluated in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import require
from eureka_nlg.metrics.replies.setting import Resampling
from eureka_nlg.metrics.replies.totals import Entries, Occurrences, Totals, Values
from eureka_nlg.metrics.significance.resampling import Weights
from eureka_nlg.metrics.text.pairs import Pairs

__all__ = ["Matrices", "Score"]


class Score(Protocol):
    """Metrics that are functions of totals; :class:`Totals` describes the members."""

    @property
    def resampling(self) -> Resampling: ...
    @property
    def num_rows(self) -> int | None: ...
    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]: ...


class Matrices:
    """What each pair of each system adds to the totals of some metrics.

    If an n-gram occurs in only one reply of one system, its total equals that of the other n-grams that occur
    equally often in that reply and nowhere else. Such n-grams share a row.

    Args:
        totals: the totals of the metrics.
        entries: of each of K systems.
        num_pairs: N, the number of pairs.

    Attributes:
        size: F, the number of totals.
        num_systems: K.
        resampling: how the sampling variation of the metrics is estimated.
    """

    def __init__(self, totals: Score, entries: Sequence[Entries], num_pairs: int) -> None:
        sparse = require("scipy.sparse", extra="metrics")
        num_systems = len(entries)
        rows = np.concatenate([found.rows for found in entries])
        columns = np.concatenate([found.pairs + num_pairs * system for system, found in enumerate(entries)])
        amounts = np.concatenate([found.amounts for found in entries])
        size = 1 + int(rows.max(initial=0)) if totals.num_rows is None else totals.num_rows
        self._multiplicity = None
        if isinstance(totals, Occurrences):
            rows, columns, amounts, self._multiplicity = _merged(rows, columns, num_systems * num_pairs)
            size = len(self._multiplicity)
        most = int(amounts.max(initial=0)) * num_pairs
        matrix = sparse.csc_matrix(
            (amounts.astype(np.int32 if most < 2**24 else np.int64), (rows, columns)),
            shape=(size, num_systems * num_pairs),
        )
        self._totals, self.size, self.num_systems = totals, size, num_systems
        self.resampling = totals.resampling
        self._systems = [
            matrix[:, system * num_pairs : (system + 1) * num_pairs].tocsr() for system in range(num_systems)
        ]

    @classmethod
    def of_pairs(cls, totals: Totals, pairs: Pairs) -> Matrices:
        """Those of all systems in the pairs."""
        systems = range(len(pairs.words.hypotheses))
        return cls(totals, [totals.entries_of(pairs, system) for system in systems], len(pairs))

    def totals(self, system: int, weights: Weights) -> NDArray[Any]:
        """Totals [F, B] of the system's pairs, where pair n is taken ``weights[n, b]`` times."""
        return np.asarray(self._systems[system] @ weights)

    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        """Totals [F, B] -> key of each metric -> its values [B]."""
        if isinstance(self._totals, Occurrences) and self._multiplicity is not None:
            return self._totals.score_counts(totals, self._multiplicity)
        return self._totals.score(totals)


def _merged(
    things: NDArray[np.int64], replies: NDArray[np.int64], num_replies: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Merge the things (n-grams, say) that occur in one reply only, equally often in the same reply.

    Returns:
        Row, reply and count of each entry, and the number of things that each row stands for.
    """
    keys, counts = np.unique(things * num_replies + replies, return_counts=True)
    things, replies = np.divmod(keys, num_replies)
    alone = np.bincount(things)[things] == 1 if len(things) else np.zeros(0, dtype=bool)
    shared, rows = np.unique(things[~alone], return_inverse=True)
    base = 1 + int(counts.max(initial=0))
    lonely, multiplicity = np.unique(replies[alone] * base + counts[alone], return_counts=True)
    return (
        np.concatenate([rows, len(shared) + np.arange(len(lonely))]),
        np.concatenate([replies[~alone], lonely // base]),
        np.concatenate([counts[~alone], lonely % base]),
        np.concatenate([np.ones(len(shared), dtype=np.int64), multiplicity]),
    )
