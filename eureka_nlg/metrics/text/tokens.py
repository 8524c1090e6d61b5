"""Replies as arrays of word ids, and what the metrics count in them: shared words and n-grams.

Python looks up the id of each word, once; all counting is done by numpy, on integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.metrics.text.lines import Reply

__all__ = [
    "Matches",
    "PerWord",
    "Split",
    "Tokeniser",
    "Tokens",
    "Words",
    "matches",
    "ngram_ids",
    "ngrams",
    "overlaps",
]

Split = Callable[[str], Sequence[str]]
"""A function that splits a text into tokens."""


class Words(dict[str, int]):
    """Word -> id, in the order of first occurrence; looking up a new word gives it the next id."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number

    def encode(self, words: Iterable[str]) -> NDArray[np.int32]:
        """Ids of the words, [number of words]."""
        number = len(words) if isinstance(words, Sized) else -1
        return np.fromiter(map(self.__getitem__, words), dtype=np.int32, count=number)


class PerWord:
    """A number for each word of a growing vocabulary, computed once per word.

    Args:
        words: the vocabulary.
        number: computes the number of a word, an integer that fits int32.
    """

    def __init__(self, words: Words, number: Callable[[str], int]) -> None:
        self._words, self._number = words, number
        self._numbers: NDArray[np.int32] = np.zeros(0, dtype=np.int32)

    def __call__(self) -> NDArray[np.int32]:
        """The numbers, [number of words] in the order of the ids."""
        if len(self._numbers) < len(self._words):
            new = map(self._number, islice(self._words, len(self._numbers), None))
            self._numbers = np.concatenate([self._numbers, np.fromiter(new, dtype=np.int32)])
        return self._numbers


class Tokens(NamedTuple):
    """Tokenised replies, concatenated.

    Attributes:
        ids: word ids of all replies, [sum of the lengths].
        lengths: number of words of each reply, [number of replies].
    """

    ids: NDArray[np.int32]
    lengths: NDArray[np.int64]

    def owners(self) -> NDArray[np.int64]:
        """Index of the reply that each word belongs to."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def each(self) -> list[NDArray[np.int32]]:
        """The ids of each reply, as a list of arrays."""
        return np.split(self.ids, np.cumsum(self.lengths)[:-1]) if len(self.lengths) else []


class Tokeniser:
    """Replies -> :class:`Tokens`. Strings are split; token sequences are used as they are.

    Args:
        lowercase: whether to convert to lower case first.
        words: the vocabulary with the ids; counts of texts with the same vocabulary are comparable.
        split: splits a string into tokens; by default at white space.
    """

    def __init__(self, lowercase: bool = False, words: Words | None = None, split: Split = str.split) -> None:
        self.lowercase = lowercase
        self.words = Words() if words is None else words
        self.split = split

    def __call__(self, replies: Iterable[Reply]) -> Tokens:
        if self.lowercase:
            replies = (
                reply.lower() if isinstance(reply, str) else [*map(str.lower, reply)] for reply in replies
            )
        flat: list[str] = []
        lengths = []
        split = self.split
        for reply in replies:
            tokens = split(reply) if isinstance(reply, str) else reply
            flat += tokens
            lengths.append(len(tokens))
        return Tokens(self.words.encode(flat), np.array(lengths, dtype=np.int64))


class Matches(NamedTuple):
    """Words that both sides of a pair have; one entry per pair and word.

    Attributes:
        pairs: index of the pair.
        ids: id of the word.
        counts: the smaller of the word's two counts.
    """

    pairs: NDArray[np.int64]
    ids: NDArray[np.int64]
    counts: NDArray[np.int64]

    def by_pair(self, num_pairs: int) -> NDArray[np.int64]:
        """The number of shared words of each pair, [N]."""
        # bincount sums in floating point, which is exact for such small whole numbers
        return np.bincount(self.pairs, self.counts, minlength=num_pairs).astype(np.int64)


def matches(hypotheses: Tokens, references: Tokens) -> Matches:
    """The words that hypothesis and reference share, with clipped counts, for every pair."""
    base = 1 + max(hypotheses.ids.max(initial=0), references.ids.max(initial=0))
    # both sides are sorted together; the lowest bit marks the side of an occurrence
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
    """The n-grams within each reply, [number of n-grams, n]."""
    if len(tokens.ids) < n:
        return np.empty((0, n), dtype=np.int32)
    owners = tokens.owners()
    within = owners[: len(owners) - n + 1] == owners[n - 1 :]
    return np.lib.stride_tricks.sliding_window_view(tokens.ids, n)[within]


def ngram_ids(sides: Sequence[Tokens], orders: int, apart: bool = False) -> Iterator[list[Tokens]]:
    """N-grams as tokens, for each length from 1 to ``orders``; equal n-grams have the same id.

    Args:
        sides: tokens of several sides, with common word ids.
        orders: length of the longest n-grams.
        apart: whether an n-gram has different ids in different pairs; a pair is the replies of all sides that
            have the same index.

    Yields:
        For each length, the n-grams within the replies of each side.
    """
    lengths = np.concatenate([side.lengths for side in sides])
    words = np.concatenate([side.ids for side in sides]).astype(np.int64)
    if apart:
        owners = np.concatenate([side.owners() for side in sides])
        words = _ranks(owners * (1 + words.max(initial=0)) + words)
    remaining = np.repeat(lengths.cumsum(), lengths) - np.arange(len(words))  # words up to the reply's end
    borders = np.cumsum([len(side.ids) for side in sides])[:-1]
    base, grams = 1 + words.max(initial=0), words.copy()
    for order in range(1, orders + 1):
        starts = np.flatnonzero(remaining >= order)
        if order > 1:
            # the n-gram that is one word shorter, and the next word; ranks keep the product small
            grams[starts] = _ranks(grams[starts] * base + words[starts + order - 1])
        parts = np.split(grams[starts].astype(np.int32), np.searchsorted(starts, borders))
        yield [Tokens(part, np.maximum(side.lengths - order + 1, 0)) for part, side in zip(parts, sides)]


def overlaps(sides: Sequence[Tokens], orders: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """How often each n-gram of a pair occurs on each side.

    Args:
        sides: tokens of N texts each, with common word ids, for example hypotheses and references.
        orders: length of the longest n-grams.

    Yields:
        For each length from 1 to ``orders``, with G distinct n-grams (the same words in two pairs are two
        n-grams): the pair of each n-gram, [G], and its count on each side, [number of sides, G].
    """
    for grams in ngram_ids(sides, orders, apart=True):
        size = 1 + max(int(side.ids.max(initial=-1)) for side in grams)
        pairs = np.zeros(size, dtype=np.int64)
        for side in grams:
            pairs[side.ids] = side.owners()
        yield pairs, np.stack([np.bincount(side.ids, minlength=size) for side in grams])


def _ranks(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(values, return_inverse=True)[1]
