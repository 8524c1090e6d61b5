"""Diversity within replies: whether a reply repeats itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.text.lines import Reply, chunks
from eureka_nlg.metrics.text.tokens import Tokeniser, Tokens

__all__ = ["ReplyDiversityStatistics", "reply_diversity"]


@dataclass(eq=False)
class ReplyDiversityStatistics:
    """Sum of the replies' own diversities as exact fractions; statistics of shards add up exactly.

    Attributes:
        n: words per n-gram.
        distinct: number of n-grams in a reply -> sum over such replies of how many of them are distinct.
        replies: number of n-grams in a reply -> how many replies have as many; those with none are left out.
    """

    n: int = 4
    distinct: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    replies: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or self.n < 1:
            raise UserError(f"n is {self.n!r}, expected the number of words in an n-gram, 1 or more")

    def update(self, hypotheses: Tokens) -> ReplyDiversityStatistics:
        """Add replies; return self."""
        sizes = np.maximum(hypotheses.lengths - self.n + 1, 0)
        occurring = sizes > 0
        distinct = _distinct_in_each(hypotheses, self.n)
        # weights are small whole numbers: exact in floating point
        by_size = np.bincount(sizes[occurring], distinct[occurring]).astype(np.int64)
        self.distinct = _add(self.distinct, by_size)
        self.replies = _add(self.replies, np.bincount(sizes[occurring]))
        return self

    def __add__(self, other: ReplyDiversityStatistics) -> ReplyDiversityStatistics:
        if self.n != other.n:
            raise UserError(f"statistics of {self.n}-grams and of {other.n}-grams do not add up")
        return ReplyDiversityStatistics(
            self.n, _add(self.distinct, other.distinct), _add(self.replies, other.replies)
        )

    def compute(self) -> float:
        """See :func:`reply_diversity`."""
        sizes = np.arange(len(self.distinct))
        return 100 * math.fsum(self.distinct[1:] / sizes[1:]) / (int(self.replies.sum()) or 1)


def reply_diversity(hypotheses: Sequence[Reply], n: int = 1) -> float:
    """Mean over the replies of the share of distinct n-grams among the reply's own, in percent.

    Elsewhere called intra-distinct. It falls below 100 where replies repeat themselves. Replies shorter than
    n words have no n-gram and are left out of the mean.

    Args:
        hypotheses: replies, strings (split on white space) or token sequences.
        n: words per n-gram.

    Returns:
        A percentage from 0 to 100; 0 if no reply has n words.

    Raises:
        UserError: n below 1.

    >>> reply_diversity(["no no no no", "oh well", ""], n=1)
    62.5
    """
    tokenise = Tokeniser()
    statistics = ReplyDiversityStatistics(n)
    for chunk in chunks(hypotheses):
        statistics.update(tokenise(chunk))
    return statistics.compute()


def _distinct_in_each(tokens: Tokens, n: int) -> NDArray[np.int64]:
    """Distinct n-grams of each reply, [number of replies]."""
    owners = tokens.owners()
    # words of different replies differ, and with them the n-grams
    words = grams = _ranks(owners * (1 + int(tokens.ids.max(initial=0))) + tokens.ids)
    for length in range(2, n + 1):
        # the (n-1)-gram that starts here, then one more word; ranks keep the product small
        grams = _ranks(grams[:-1] * (1 + len(words)) + words[length - 1 :])
    within = owners[: len(grams)] == owners[n - 1 :]
    _, first = np.unique(grams[within], return_index=True)
    return np.bincount(owners[: len(grams)][within][first], minlength=len(tokens.lengths))


def _ranks(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(values, return_inverse=True)[1]


def _add(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    total = np.zeros(max(len(left), len(right)), dtype=np.int64)
    total[: len(left)] += left
    total[: len(right)] += right
    return total
