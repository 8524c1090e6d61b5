"""What a metric of replies is: totals over the pairs, and a score of the totals.

Each pair adds to some totals (:meth:`Totals.entries`), and metrics are functions of the sums
(:meth:`Totals.score`). The score of a test set takes all of its pairs once; a resample takes each pair as
often as its weight says. Amounts are whole numbers, so that sums are exact in whatever order and blocks.
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
    """What pairs add to totals; several entries for a pair and a row add up.

    Attributes:
        rows: which total.
        pairs: index of the pair.
        amounts: how much, whole numbers.
    """

    rows: NDArray[np.int64]
    pairs: NDArray[np.int64]
    amounts: NDArray[np.int64]

    @classmethod
    def join(cls, parts: Sequence[Entries]) -> Entries:
        """All of them."""
        return cls(*(np.concatenate(column) for column in zip(*parts)))


def by_pair(*amounts: NDArray[Any]) -> Entries:
    """A total for each of some quantities that every pair has, [N] each."""
    size = len(amounts[0])
    pairs = np.arange(size)
    return Entries(
        np.repeat(np.arange(len(amounts)), size), np.tile(pairs, len(amounts)), np.concatenate(amounts)
    )


class Totals(ABC):
    """One or more metrics that are computed from the same totals.

    Args:
        metrics: the metrics; subclasses score those of their families.
        setting: what the scores depend on besides the texts.
    """

    resampling: ClassVar[Resampling] = "bootstrap"
    """``"jackknife"`` for what depends on whether something occurs at all: a bootstrap resample holds only
    63 % of the pairs and repeats them, which no fresh test set does."""

    num_rows: int | None = None
    """F, the number of totals; None where it is as many as the pairs add to."""

    def __init__(self, metrics: Sequence[Metric], setting: Setting) -> None:
        self.metrics, self.setting = metrics, setting
        (self.key, *_), self.n = [metric.key for metric in metrics], metrics[0].n or 0

    @abstractmethod
    def entries(self, pairs: Pairs, system: int) -> Entries:
        """What each pair of a system adds to the totals."""

    @abstractmethod
    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        """Totals [F, B] -> key of each metric -> its values [B]."""

    def note(self, pairs: Pairs) -> None:  # noqa: B027 (most have nothing to note)
        """Take in what is the same in every resample, before the pairs are scored."""

    def signature(self) -> dict[str, Any]:
        """What else defines the numbers, for reports."""
        return {}

    def entries_of(self, pairs: Pairs, system: int) -> Entries:
        """The entries, computed once for each pairs and system."""
        key = self.same_entries, system
        if key not in pairs.memo:
            pairs.memo[key] = self.entries(pairs, system)
        found: Entries = pairs.memo[key]
        return found

    @property
    def same_entries(self) -> Hashable:
        """Equal for totals that take the same entries."""
        return self


class Table(Protocol):
    """Counts of things that replies hold."""

    def update(self, tokens: Tokens) -> None: ...
    def counts(self) -> NDArray[np.int64]: ...


class Occurrences(Totals):
    """Metrics of how often things occur, whatever things they are: n-grams, or whole replies."""

    resampling = "jackknife"

    @abstractmethod
    def table(self) -> Table:
        """Counts for a stream of replies, without any yet."""

    @abstractmethod
    def things(self, pairs: Pairs) -> list[Tokens]:
        """Ids of the things in the replies of each system, common to the systems."""

    @abstractmethod
    def score_counts(self, counts: NDArray[Any], multiplicity: NDArray[Any]) -> Mapping[str, Values]:
        """Counts [F, B], and how many things each row stands for [F], -> key -> values [B]."""

    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        return self.score_counts(totals, np.ones(len(totals)))

    def entries(self, pairs: Pairs, system: int) -> Entries:
        if self not in pairs.memo:
            pairs.memo[self] = self.things(pairs)
        tokens: Tokens = pairs.memo[self][system]
        return Entries(tokens.ids.astype(np.int64), tokens.owners(), np.ones(len(tokens.ids), dtype=np.int64))


class MeanFraction(Totals):
    """A mean over the pairs of fractions: a total for each denominator, so that sums are exact.

    The first total is the number of pairs that the mean is over.
    """

    @abstractmethod
    def fractions(self, pairs: Pairs, system: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numerators and denominators, [N] each; a pair with the denominator -1 does not count."""

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
    """``factor * numerator / denominator``, and 0 where the denominator is 0, as all metrics have it."""
    return np.asarray(factor * numerator / np.where(denominator == 0, 1, denominator), dtype=np.float64)
