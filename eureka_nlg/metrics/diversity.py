"""N-gram diversity: how much of what a system says it says only once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.text import Reply, chunks
from eureka_nlg.metrics.tokens import Tokeniser, Tokens, Words, ngrams

__all__ = ["DiversityStatistics", "ngram_diversity"]


@dataclass
class DiversityStatistics:
    """The n-grams of a set of replies; statistics of shards add up exactly.

    Attributes:
        n: words per n-gram.
        words: the ids that n-grams are written in.
        distinct: the n-grams that occur, each as the bytes of its n ids. Bytes are small, and the garbage
            collector does not walk through millions of them again and again, as it would with tuples.
        total: how many n-grams there are, repetitions included.
    """

    n: int = 4
    words: Words = field(default_factory=Words)
    distinct: set[bytes] = field(default_factory=set)
    total: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or self.n < 1:
            raise UserError(f"n is {self.n!r}, expected the number of words in an n-gram, 1 or more")

    def update(self, hypotheses: Tokens) -> DiversityStatistics:
        """Add replies tokenised with :attr:`words`; return self."""
        grams = ngrams(hypotheses, self.n)
        self.distinct.update(_as_bytes(grams))
        self.total += len(grams)
        return self

    def __add__(self, other: DiversityStatistics) -> DiversityStatistics:
        if self.n != other.n:
            raise UserError(f"statistics of {self.n}-grams and of {other.n}-grams do not add up")
        words, new_ids = self.words.union(other.words)
        grams = np.frombuffer(b"".join(other.distinct), dtype=np.int32).reshape(-1, self.n)
        distinct = self.distinct.union(_as_bytes(new_ids[grams]))
        return DiversityStatistics(self.n, words, distinct, self.total + other.total)

    def compute(self) -> float:
        """100 * distinct / total; 0 without n-grams."""
        return 100 * len(self.distinct) / (self.total or 1)


def ngram_diversity(hypotheses: Sequence[Reply], n: int = 4) -> float:
    """Distinct n-grams in percent of all n-grams, over the whole set of replies (notes, section 6).

    This is the diversity of the Eureka paper's Table 4, elsewhere called distinct-n or inter-distinct. It
    falls as the set grows, so compare only sets of about the same number of words. N-grams do not cross from
    one reply into the next.

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
    tokenise = Tokeniser()
    statistics = DiversityStatistics(n, tokenise.words)
    for chunk in chunks(hypotheses):
        statistics.update(tokenise(chunk))
    return statistics.compute()


def _as_bytes(grams: NDArray[np.int32]) -> list[bytes]:
    rows = np.ascontiguousarray(grams).view(np.dtype((np.void, grams.itemsize * grams.shape[1])))
    return rows.ravel().tolist()
