"""Scores of a stream of replies: totals, summed up chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.metrics.replies.totals import Occurrences, Totals
from eureka_nlg.metrics.text.lines import Reply
from eureka_nlg.metrics.text.pairs import Pairs, paired

__all__ = ["Stream", "score_stream"]


class Stream:
    """The totals of a system, summed up chunk by chunk.

    Args:
        totals: the totals of some metrics.
        beside: streams that receive the same pairs before this one. If one of them sums up the same entries,
            this stream uses its sums.
    """

    def __init__(self, totals: Totals, beside: Iterable[Stream] = ()) -> None:
        self.totals = totals
        same = (other for other in beside if other.totals.same_entries == totals.same_entries)
        self._summed_by: Stream = next(same, self)
        self._sums: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._table = totals.table() if isinstance(totals, Occurrences) else None

    def update(self, pairs: Pairs, system: int = 0) -> None:
        """Add pairs."""
        if self._table is not None:
            self._table.update(pairs.words.hypotheses[system])
        elif self._summed_by is self:
            rows, _, amounts = self.totals.entries_of(pairs, system)
            missing = 1 + int(rows.max(initial=0)) - len(self._sums)
            if missing > 0:  # at least doubled, so that growing is cheap on average
                self._sums = np.pad(self._sums, (0, max(missing, len(self._sums))))
            np.add.at(self._sums, rows, amounts)

    def sums(self) -> NDArray[np.int64]:
        """The totals, [F, 1]."""
        sums, size = self._summed_by._sums, self.totals.num_rows
        size = max(len(sums), 1) if size is None else size
        return np.pad(sums[:size], (0, max(size - len(sums), 0)))[:, None]

    def scores(self) -> dict[str, float]:
        """Key of each metric -> its score."""
        if isinstance(self.totals, Occurrences) and self._table is not None:
            values, multiplicity = _histogram(self._table.counts())
            found = self.totals.score_counts(values[:, None], multiplicity)
        else:
            found = self.totals.score(self.sums())
        return {key: float(values[0]) for key, values in found.items()}


def score_stream(
    totals: Totals, hypotheses: Iterable[Reply], *references: Iterable[Reply]
) -> dict[str, float]:
    """Score replies and references: key of each metric of the totals -> its score.

    Raises:
        UserError: the lengths differ.
    """
    stream = Stream(totals)
    for pairs in paired(hypotheses, *references, tokenise=totals.setting.tokenise):
        totals.note(pairs)
        stream.update(pairs)
    return stream.scores()


def _histogram(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct counts in ascending order, and how often each occurs.

    Sums over them do not depend on the order in which things were counted.
    """
    if counts.max(initial=0) > 8 * len(counts):  # bincount would need memory proportional to the counts
        return np.unique(counts, return_counts=True)
    numbers = np.bincount(counts)
    values = np.flatnonzero(numbers)
    return values, numbers[values]
