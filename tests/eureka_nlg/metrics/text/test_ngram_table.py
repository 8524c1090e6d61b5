"""Counts of n-grams in sorted arrays, compared with those of a Counter."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.text import ngram_table
from eureka_nlg.metrics.text.ngram_table import NgramTable
from eureka_nlg.metrics.text.tokens import Tokens


def tokens_of(replies: list[list[int]]) -> Tokens:
    flat = [word for reply in replies for word in reply]
    return Tokens(np.array(flat, dtype=np.int32), np.array([len(reply) for reply in replies], dtype=np.int64))


def count(replies: list[list[int]], n: int) -> Counter[tuple[int, ...]]:
    return Counter(
        tuple(reply[start : start + n]) for reply in replies for start in range(len(reply) - n + 1)
    )


def check(table: NgramTable, expected: Counter[tuple[int, ...]], absent: list[tuple[int, ...]]) -> None:
    assert table.total == expected.total()
    assert table.distinct == len(expected)
    assert sorted(table.counts().tolist()) == sorted(expected.values())
    grams = [*expected, *absent]
    found = table.contains(np.array(grams, dtype=np.int32).reshape(len(grams), table.n))
    assert found.tolist() == [gram in expected for gram in grams]


@pytest.mark.parametrize("pending", [1, 40, 1 << 20])  # how many n-grams wait to be sorted in
@pytest.mark.parametrize(("n", "most"), [(1, 50), (2, 8), (3, 4), (4, 1 << 17), (5, 1 << 13), (7, 1 << 10)])
def test_equals_a_counter(pending: int, n: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngram_table, "_PENDING", pending)
    random = np.random.default_rng(n)
    # the ids on both sides of a word's share of the bits, too
    bits = 64 // n
    rare = [id for id in (most - 1, (1 << bits) - 1, 1 << bits, (1 << bits) + 1, 3 << bits) if id < 1 << 31]
    vocabulary = np.array([0, 1, 2, 3, *rare])
    table, expected = NgramTable(n), Counter[tuple[int, ...]]()
    for _ in range(30):
        lengths = random.integers(0, 3 * n, random.integers(0, 6))
        replies = [random.choice(vocabulary, length).tolist() for length in lengths]
        table.update(tokens_of(replies))
        expected += count(replies, n)
    absent = [tuple(random.choice([*vocabulary, 4, 5, -1], n).tolist()) for _ in range(200)]
    check(table, expected, [gram for gram in absent if gram not in expected])


def test_a_table_with_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngram_table, "_PENDING", 1)
    table = NgramTable(2)
    check(table, Counter(), [(0, 0), (-1, 0)])
    for replies in ([[]], [[7]], [[7, 7]], [[7, 7]], [[0, 7]]):  # no n-gram in the first two
        table.update(tokens_of(replies))
    check(table, Counter({(7, 7): 2, (0, 7): 1}), [(0, 0), (7, 0), (-1, 7), (8, 8)])


def test_ids_that_need_more_bits_do_not_collide() -> None:
    bits = 12  # of a word in five
    replies = [[1 << bits, 0, 0, 0, 0], [0] * 5, [0, 1 << bits, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    table = NgramTable(5)
    for reply in replies:
        table.update(tokens_of([reply]))
    check(table, count(replies, 5), [(0, 0, 0, 1 << bits, 0)])


def test_more_words_than_bits() -> None:
    replies = [[0] * 70, [1] * 66, [0] * 64]
    table = NgramTable(65)
    table.update(tokens_of(replies))
    check(table, count(replies, 65), [(0,) * 64 + (1,)])


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", None])
def test_not_a_length(n: Any) -> None:
    with pytest.raises(UserError, match="expected the number of words in an n-gram, 1 or more"):
        NgramTable(n)
