"""The definition of a metric of replies: totals over the pairs, and a score of the totals.

Each pair adds to some totals (:meth:`Totals.entries`), and metrics are functions of the totals
(:meth:`Totals.score`). The score of a test set takes each of its pairs once; a resample takes each pair as
often as its weight says. The amounts are whole numbers, so that sums are exact, whatever the order and the
blocks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.metrics.replies.setting import Metric, Resampling, Setting
from eureka_nlg.metrics.text.pairs import Pairs
from eureka_nlg.metrics.text.tokens import Tokens

__all__ = ["Entries", "MeanFraction", "Occurrences", "Totals", "Values", "by_pair", "ratio"]

Values = NDArray[np.float64]
"""[B]: one value for each of B resamples."""


class Entries(NamedTuple):
    """The amounts that pairs add to totals; several entries for the same pair and total are summed up.

    Attributes:
        rows: index of the total.
        pairs: index of the pair.
        amounts: the amount, a whole number.
    """

    rows: NDArray[np.int64]
    pairs: NDArray[np.int64]
    amounts: NDArray[np.int64]

    @classmethod
    def join(cls, parts: Sequence[Entries]) -> Entries:
        """The entries of all parts."""
        return cls(*(np.concatenate(column) for column in zip(*parts)))


def by_pair(*amounts: NDArray[Any]) -> Entries:
    """Entries for quantities that every pair has, with one total per quantity; each is an array [N]."""
    size = len(amounts[0])
    pairs = np.arange(size)
    return Entries(
        np.repeat(np.arange(len(amounts)), size), np.tile(pairs, len(amounts)), np.concatenate(amounts)
    )


class Totals(ABC):
    """One or more metrics that are computed from the same totals.

    Args:
        metrics: the metrics.
        setting: the settings that scores depend on.
    """

    resampling: ClassVar[Resampling] = "bootstrap"
    """``"jackknife"`` for metrics that depend on whether something occurs at all: a bootstrap resample has
    only 63 % of the distinct pairs, and repeats them, unlike any test set."""

    num_rows: int | None = None
    """F, the number of totals; None if it depends on the pairs."""

    def __init__(self, metrics: Sequence[Metric], setting: Setting) -> None:
        self.metrics, self.setting = metrics, setting
        (self.key, *_), self.n = [metric.key for metric in metrics], metrics[0].n or 0

    @abstractmethod
    def entries(self, pairs: Pairs, system: int) -> Entries:
        """The amounts that each pair of a system adds to the totals."""

    @abstractmethod
    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        """Totals [F, B] -> key of each metric -> its values [B]."""

    def note(self, pairs: Pairs) -> None:  # noqa: B027 (most have nothing to note)
        """Store what is the same in every resample; called before the pairs are scored."""

    def signature(self) -> dict[str, Any]:
        """Further settings that define the numbers, for reports."""
        return {}

    def entries_of(self, pairs: Pairs, system: int) -> Entries:
        """The entries, computed only once for the same pairs and system."""
        key = self.same_entries, system
        if key not in pairs.memo:
            pairs.memo[key] = self.entries(pairs, system)
        found: Entries = pairs.memo[key]
        return found

    @property
    def same_entries(self) -> Hashable:
        """A key that is equal for totals with the same entries."""
        return self


class Table(Protocol):
    """Counts of the things in replies, such as n-grams."""

    def update(self, tokens: Tokens) -> None: ...
    def counts(self) -> NDArray[np.int64]: ...


class Occurrences(Totals):
    """Metrics of how often things occur: n-grams, or whole replies."""

    resampling = "jackknife"

    @abstractmethod
    def table(self) -> Table:
        """An empty table of counts, for a stream of replies."""

    @abstractmethod
    def things(self, pairs: Pairs) -> list[Tokens]:
        """Ids of the things in the replies of each system; equal things have equal ids."""

    @abstractmethod
    def score_counts(self, counts: NDArray[Any], multiplicity: NDArray[Any]) -> Mapping[str, Values]:
        """Counts [F, B] and the number of things that each row stands for [F] -> key -> values [B]."""

    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        return self.score_counts(totals, np.ones(len(totals)))

    def entries(self, pairs: Pairs, system: int) -> Entries:
        if self not in pairs.memo:
            pairs.memo[self] = self.things(pairs)
        tokens: Tokens = pairs.memo[self][system]
        return Entries(tokens.ids.astype(np.int64), tokens.owners(), np.ones(len(tokens.ids), dtype=np.int64))


class MeanFraction(Totals):
    """The mean of a fraction over the pairs, with a total for each denominator, so that sums are exact.

    The first total is the number of pairs in the mean.
    """

    @abstractmethod
    def fractions(self, pairs: Pairs, system: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numerators and denominators, [N] each; a pair with denominator -1 is left out of the mean."""

    def entries(self, pairs: Pairs, system: int) -> Entries:
        numerators, denominators = self.fractions(pairs, system)
        counted = np.flatnonzero(denominators >= 0)
        defined = np.flatnonzero(denominators > 0)
        ones = np.ones(len(counted), dtype=np.int64)
        return Entries.join(
            [
                Entries(np.zeros_like(counted), counted, ones),
                Entries(denominators[defined], defined, numerators[defined]),
            ]
        )

    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        sums = (totals[1:] / np.arange(1, len(totals))[:, None]).sum(axis=0)
        return {self.key: ratio(sums, totals[0])}


def ratio(numerator: NDArray[Any], denominator: NDArray[Any], factor: float = 100.0) -> Values:
    """``factor * numerator / denominator``, and 0 if the denominator is 0, as in all metrics."""
    return np.asarray(factor * numerator / np.where(denominator == 0, 1, denominator), dtype=np.float64)
