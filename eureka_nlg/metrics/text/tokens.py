"""Replies as arrays of word ids, and what the metrics count in them: shared words and n-grams.

Python touches each word once, to look up its id; all counting is done by numpy on integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.metrics.text.lines import Reply

__all__ = ["Matches", "Tokeniser", "Tokens", "Words", "matches", "ngrams"]


class Words(dict[str, int]):
    """Word -> id, numbered in the order of first sight; looking up a new word gives it the next id."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number

    def encode(self, words: Iterable[str]) -> NDArray[np.int32]:
        """Ids of the words, [number of words]."""
        return np.fromiter(map(self.__getitem__, words), dtype=np.int32)

    def union(self, other: Words) -> tuple[Words, NDArray[np.int32]]:
        """All words of both, with the ids of ``self`` kept, and the new id of each word of ``other``."""
        words = Words(self)
        return words, words.encode(other)


class Tokens(NamedTuple):
    """Tokenised replies, one after the other.

    Attributes:
        ids: word ids of all replies, [sum of the lengths].
        lengths: words of each reply, [number of replies].
    """

    ids: NDArray[np.int32]
    lengths: NDArray[np.int64]

    def owners(self) -> NDArray[np.int64]:
        """Index of the reply that each word belongs to."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)


class Tokeniser:
    """Replies -> :class:`Tokens`. Strings are split on white space, token sequences are taken as they are.

    Args:
        lowercase: lower the case first.
        words: numbers the words; what is counted in the same ``words`` can be compared.
    """

    def __init__(self, lowercase: bool = False, words: Words | None = None) -> None:
        self.lowercase = lowercase
        self.words = Words() if words is None else words

    def __call__(self, replies: Iterable[Reply]) -> Tokens:
        flat: list[str] = []
        lengths = []
        for reply in replies:
            if self.lowercase:
                reply = reply.lower() if isinstance(reply, str) else [token.lower() for token in reply]
            tokens = reply.split() if isinstance(reply, str) else reply
            flat += tokens
            lengths.append(len(tokens))
        return Tokens(self.words.encode(flat), np.array(lengths, dtype=np.int64))


class Matches(NamedTuple):
    """Words that the two sides of a pair share; one entry per pair and word.

    Attributes:
        pairs: index of the pair.
        ids: id of the word.
        counts: the smaller of the word's two counts.
    """

    pairs: NDArray[np.int64]
    ids: NDArray[np.int64]
    counts: NDArray[np.int64]


def matches(hypotheses: Tokens, references: Tokens) -> Matches:
    """Clipped counts of the words that hypothesis and reference share, for every pair."""
    base = 1 + max(hypotheses.ids.max(initial=0), references.ids.max(initial=0))
    # one sort for both sides; the last bit says which side an occurrence is on
    keys = np.concatenate(
        [
            (hypotheses.owners() * base + hypotheses.ids) << 1,
            (references.owners() * base + references.ids) << 1 | 1,
        ]
    )
    keys.sort()
    words, sides = keys >> 1, keys & 1
    first = np.flatnonzero(np.concatenate([[True], words[1:] != words[:-1]])[: len(words)])
    there = np.add.reduceat(sides, first) if len(first) else np.zeros(0, dtype=np.int64)
    counts = np.minimum(there, np.diff(first, append=len(words)) - there)
    shared = counts > 0
    pairs, ids = np.divmod(words[first[shared]], base)
    return Matches(pairs, ids, counts[shared])


def ngrams(tokens: Tokens, n: int) -> NDArray[np.int32]:
    """The n-grams of each reply, [number of n-grams, n]; none crosses from one reply into the next."""
    if len(tokens.ids) < n:
        return np.empty((0, n), dtype=np.int32)
    owners = tokens.owners()
    within = owners[: len(owners) - n + 1] == owners[n - 1 :]
    return np.lib.stride_tricks.sliding_window_view(tokens.ids, n)[within]
