"""N-gram diversity: how much of what a system says it says only once, and how much of it is new."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.text.lines import Reply, chunks
from eureka_nlg.metrics.text.ngram_table import NgramTable
from eureka_nlg.metrics.text.tokens import Tokeniser, Tokens, Words

__all__ = [
    "DiversityStatistics",
    "expectation_adjusted_distinct",
    "ngram_diversity",
    "ngram_entropy",
    "ngram_novelty",
]


class DiversityStatistics:
    """The n-grams of a set of replies and their counts; statistics of shards add up exactly.

    N-grams do not cross from one reply into the next.

    Args:
        n: words per n-gram.
        words: the ids that n-grams are written in.

    Raises:
        UserError: n below 1.
    """

    def __init__(self, n: int = 4, words: Words | None = None) -> None:
        if not isinstance(n, int) or n < 1:
            raise UserError(f"n is {n!r}, expected the number of words in an n-gram, 1 or more")
        self.n = n
        self.words = Words() if words is None else words
        self._table = NgramTable(n)

    def update(self, hypotheses: Tokens) -> DiversityStatistics:
        """Add replies tokenised with :attr:`words`; return self."""
        self._table.update(hypotheses)
        return self

    def __add__(self, other: DiversityStatistics) -> DiversityStatistics:
        if self.n != other.n:
            raise UserError(f"statistics of {self.n}-grams and of {other.n}-grams do not add up")
        words, new_ids = self.words.union(other.words)
        merged = DiversityStatistics(self.n, words)
        merged._table.add(*self._table.items())
        grams, counts = other._table.items()
        merged._table.add(new_ids[grams], counts)
        return merged

    @property
    def distinct(self) -> int:
        """How many different n-grams there are."""
        return self._table.distinct

    @property
    def total(self) -> int:
        """How many n-grams there are, repetitions included."""
        return self._table.total

    def contains(self, grams: NDArray[np.int32], words: Words) -> NDArray[np.bool_]:
        """Which of the n-grams [M, n], written in the ids of ``words``, occur here, [M]."""
        own_ids = np.array([self.words.get(word, -1) for word in words], dtype=np.int32)
        return self._table.contains(own_ids[grams])

    def compute(self) -> float:
        """100 * distinct / total; 0 without n-grams. See :func:`ngram_diversity`."""
        return 100 * self.distinct / (self.total or 1)

    def entropy(self) -> float:
        """See :func:`ngram_entropy`."""
        _, counts = self._table.items()
        # by how many n-grams have a count, so that the sum does not depend on the order of the n-grams
        values, multiples = np.unique(counts, return_counts=True)
        total = self.total or 1
        # each term is exact where an n-gram is the only one, so that a system that repeats itself has 0
        return math.fsum(values * multiples * (np.log(total) - np.log(values))) / total

    def expectation_adjusted(self, vocabulary_size: int) -> float:
        """See :func:`expectation_adjusted_distinct`."""
        if vocabulary_size < 1:
            raise UserError(f"vocabulary_size is {vocabulary_size}, expected the number of types, 1 or more")
        if not self.total:
            return 0.0
        # log1p and expm1: ((V - 1) / V) ** C loses its digits for a large V
        missed = self.total * math.log1p(-1 / vocabulary_size) if vocabulary_size > 1 else -math.inf
        return 100 * self.distinct / (-vocabulary_size * math.expm1(missed))

    def novelty(self, seen: DiversityStatistics) -> float:
        """See :func:`ngram_novelty`."""
        if self.n != seen.n:
            raise UserError(f"{self.n}-grams cannot be looked up among {seen.n}-grams")
        grams, counts = self._table.items()
        new = ~seen.contains(grams, self.words)
        return 100 * int(counts[new].sum()) / (self.total or 1)


def ngram_diversity(hypotheses: Sequence[Reply], n: int = 4) -> float:
    """Distinct n-grams in percent of all n-grams, over the whole set of replies (notes, section 6).

    This is the diversity of the Eureka paper's Table 4, elsewhere called distinct-n or inter-distinct. It
    falls as the set grows, so compare only sets of about the same number of words.

    Args:
        hypotheses: replies, strings (split on white space) or token sequences.
        n: words per n-gram.

    Returns:
        A percentage from 0 to 100; 0 if no reply has n words.

    Raises:
        UserError: n below 1.

    >>> ngram_diversity(["a b a b"], n=2)
    66.66666666666667
    """
    return _statistics(hypotheses, n).compute()


def expectation_adjusted_distinct(hypotheses: Sequence[Reply], vocabulary_size: int, n: int = 1) -> float:
    """Distinct n-grams in percent of how many were to be expected in a text of this length.

    Liu et al. 2022, "Rethinking and Refining the Distinct Metric": ``N / (V * (1 - ((V - 1) / V) ** C))``
    with N distinct n-grams among C in all. The expectation is that of C draws from V equally likely types, so
    unlike plain diversity the score does not fall merely because the replies are longer or more.

    Args:
        hypotheses: replies, strings (split on white space) or token sequences.
        vocabulary_size: V, how many n-grams there are to draw from. For n = 1 the size of a vocabulary; for
            longer ones the number of distinct n-grams in a large text such as the references. Scores compare
            only under the same V.
        n: words per n-gram.

    Returns:
        A percentage, 0 without n-grams; above 100 if the replies hold more types than V draws would.

    Raises:
        UserError: n or ``vocabulary_size`` below 1.

    >>> expectation_adjusted_distinct(["a b", "a"], vocabulary_size=2)  # 2 of an expected 1.75
    114.28571428571429
    """
    return _statistics(hypotheses, n).expectation_adjusted(vocabulary_size)


def ngram_entropy(hypotheses: Sequence[Reply], n: int = 4) -> float:
    """Entropy of the n-grams in nats: ``-sum p log p`` with p an n-gram's share of all n-grams.

    Zhang et al. 2018, "Generating Informative and Diverse Conversational Responses via Adversarial
    Information Maximization" (Ent-n). Unlike diversity it sees how evenly the n-grams are used. The largest
    possible value is the logarithm of the number of n-grams.

    Args:
        hypotheses: replies, strings (split on white space) or token sequences.
        n: words per n-gram.

    Returns:
        Nats (natural logarithm), not percent; 0 without n-grams.

    Raises:
        UserError: n below 1.

    >>> round(ngram_entropy(["a b a b"], n=1), 6)  # log 2
    0.693147
    """
    return _statistics(hypotheses, n).entropy()


def ngram_novelty(hypotheses: Sequence[Reply], training_targets: Sequence[Reply], n: int = 4) -> float:
    """The n-grams of the replies that do not occur in the training targets, in percent of all of theirs.

    Repetitions count: an n-gram that a system says ten times weighs ten times.

    Args:
        hypotheses: replies, strings (split on white space) or token sequences.
        training_targets: the replies the system was trained on, tokenised in the same way.
        n: words per n-gram.

    Returns:
        A percentage from 0 to 100; 0 if no reply has n words.

    Raises:
        UserError: n below 1.

    >>> ngram_novelty(["a b c", "a b"], ["x a b"], n=2)
    33.333333333333336
    """
    return _statistics(hypotheses, n).novelty(_statistics(training_targets, n, "training_targets"))


def _statistics(replies: Sequence[Reply], n: int, name: str = "hypotheses") -> DiversityStatistics:
    tokenise = Tokeniser()
    statistics = DiversityStatistics(n, tokenise.words)
    for chunk in chunks(replies, name):
        statistics.update(tokenise(chunk))
    return statistics
