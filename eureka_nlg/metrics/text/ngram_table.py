"""Exact counts of hundreds of millions of n-grams, in sorted arrays instead of Python objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.text.tokens import Tokens, ngrams

__all__ = ["NgramTable"]

_PENDING = 1 << 20  # least number of n-grams that are collected before they are sorted in


class NgramTable:
    """N-gram -> number of occurrences.

    An n-gram is a 64-bit key in which each word id has an equal share of the bits. New keys are collected in
    a list, and sorted into the table when the list is larger than half the table. So every n-gram is sorted
    about once, and memory is bounded by the number of distinct n-grams. Word ids are numbered in the order of
    first occurrence, so ids that need more bits than their share belong to rare words; the few n-grams with
    such a word are counted in a dictionary.

    Args:
        n: words per n-gram.

    Raises:
        UserError: n below 1.

    Attributes:
        total: n-grams counted, repetitions included.
    """

    def __init__(self, n: int) -> None:
        if not isinstance(n, int) or n < 1:
            raise UserError(f"n is {n!r}, expected the number of words in an n-gram, 1 or more")
        self.n = n
        self.total = 0
        self._bits = min(64 // n, 32)
        self._keys: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)  # distinct, rising
        self._counts: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._pending: list[NDArray[np.uint64]] = []
        self._num_pending = 0
        self._wide: dict[bytes, int] = {}

    def update(self, tokens: Tokens) -> None:
        """Count the n-grams of replies."""
        if tokens.ids.max(initial=0) >> self._bits:
            grams = ngrams(tokens, self.n)
            wide = self._is_wide(grams)
            for gram in _as_bytes(grams[wide]):
                self._wide[gram] = self._wide.get(gram, 0) + 1
            self.total += int(wide.sum())
            keys = self._pack(grams[~wide].T)
        else:
            size = len(tokens.ids) - self.n + 1
            if size <= 0:
                return
            owners = tokens.owners()
            within = owners[:size] == owners[self.n - 1 :]
            keys = self._pack([tokens.ids[start : start + size] for start in range(self.n)])[within]
        self.total += len(keys)
        self._pending.append(keys)
        self._num_pending += len(keys)
        if self._num_pending >= max(_PENDING, len(self._keys) // 2):
            self._sort_in()

    @property
    def distinct(self) -> int:
        """The number of distinct n-grams."""
        self._sort_in()
        return len(self._keys) + len(self._wide)

    def counts(self) -> NDArray[np.int64]:
        """How often each distinct n-gram occurs, [distinct]."""
        self._sort_in()
        wide = np.fromiter(self._wide.values(), dtype=np.int64, count=len(self._wide))
        return np.concatenate([self._counts, wide])

    def contains(self, grams: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of the n-grams [M, n] occur in the table, [M]; a negative id stands for an unknown word."""
        self._sort_in()
        found = np.zeros(len(grams), dtype=np.bool_)
        wide, unknown = self._is_wide(grams), (grams < 0).any(axis=1)
        narrow = ~(wide | unknown)
        found[narrow] = _find(self._keys, self._pack(grams[narrow].T))[1]
        found[wide] = [gram in self._wide for gram in _as_bytes(grams[wide])]
        return found

    def _is_wide(self, grams: NDArray[np.int32]) -> NDArray[np.bool_]:
        return grams.max(axis=1, initial=0) >> self._bits > 0

    def _pack(self, columns: NDArray[np.int32] | list[NDArray[np.int32]]) -> NDArray[np.uint64]:
        keys = columns[0].astype(np.uint64)
        for column in columns[1:]:
            keys <<= np.uint64(self._bits)
            keys |= column.astype(np.uint64)
        return keys

    def _sort_in(self) -> None:
        if not self._num_pending:
            return
        keys = np.concatenate(self._pending)
        self._pending, self._num_pending = [], 0
        keys.sort()
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        keys, counts = keys[first], np.diff(first, append=len(keys))
        if len(self._keys) == 0:
            self._keys, self._counts = keys, counts
            return
        position, known = _find(self._keys, keys)
        self._counts[position[known]] += counts[known]
        new = ~known
        self._keys = np.insert(self._keys, position[new], keys[new])
        self._counts = np.insert(self._counts, position[new], counts[new])


def _find(
    keys: NDArray[np.uint64], wanted: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The position of each wanted key in the sorted keys, or where to insert it, and whether it is there."""
    position = np.searchsorted(keys, wanted)
    inside = position < len(keys)
    inside[inside] = keys[position[inside]] == wanted[inside]
    return position, inside


def _as_bytes(grams: NDArray[np.int32]) -> list[bytes]:
    """The ids of each n-gram as bytes objects, which are small and not tracked by the garbage collector."""
    rows = np.ascontiguousarray(grams).view(np.dtype((np.void, grams.itemsize * grams.shape[1])))
    found: list[bytes] = rows.ravel().tolist()
    return found
