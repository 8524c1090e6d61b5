"""Replies as word ids."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from eureka_nlg.metrics.text.tokens import (
    PerWord,
    Tokeniser,
    Tokens,
    Words,
    matches,
    ngram_ids,
    ngrams,
    overlaps,
)


def test_tokens() -> None:
    tokenise = Tokeniser()
    tokens = tokenise(["a b a", "", ["c", "b"]])
    assert tokens.ids.tolist() == [0, 1, 0, 2, 1]
    assert tokens.lengths.tolist() == [3, 0, 2]
    assert tokens.owners().tolist() == [0, 0, 0, 2, 2]
    assert list(tokenise.words) == ["a", "b", "c"]
    assert tokenise([]).ids.dtype == np.int32


def test_words_of_any_iterable() -> None:
    words = Words()
    assert words.encode(iter(["a", "b", "a"])).tolist() == [0, 1, 0]
    assert words.encode(["b", "c"]).tolist() == [1, 2]


def test_a_number_for_each_word_is_computed_once() -> None:
    words, asked = Words(), []

    def length(word: str) -> int:
        asked.append(word)
        return len(word)

    numbers = PerWord(words, length)
    assert numbers().tolist() == []
    words.encode(["abc", "d"])
    assert numbers().tolist() == [3, 1]
    words.encode(["d", "ef"])
    assert numbers().tolist() == numbers().tolist() == [3, 1, 2]
    assert asked == ["abc", "d", "ef"]


def test_the_ids_of_each_reply() -> None:
    tokenise = Tokeniser()
    assert [ids.tolist() for ids in tokenise(["a b", "", "c", "a"]).each()] == [[0, 1], [], [2], [0]]
    assert tokenise([]).each() == []


def test_lower_case() -> None:
    tokenise = Tokeniser(lowercase=True)
    assert tokenise(["A a", ["A", "B"]]).ids.tolist() == [0, 0, 0, 1]


def test_matches_are_clipped_per_pair() -> None:
    tokenise = Tokeniser()
    found = matches(tokenise(["a a b", "a", "", "c c"]), tokenise(["a a a", "b", "a", "c d c c"]))
    words = list(tokenise.words)
    assert [(pair, words[word], count) for pair, word, count in zip(*(part.tolist() for part in found))] == [
        (0, "a", 2),
        (3, "c", 2),
    ]


def test_no_tokens_no_matches() -> None:
    tokenise = Tokeniser()
    for left, right in (([], []), (["", ""], ["a", ""]), (["a"], [""])):
        assert len(matches(tokenise(left), tokenise(right)).pairs) == 0


def test_ngrams_stay_within_a_reply() -> None:
    tokens = Tokeniser()(["a b c", "d", "", "e f"])
    assert ngrams(tokens, 2).tolist() == [[0, 1], [1, 2], [4, 5]]
    assert ngrams(tokens, 3).tolist() == [[0, 1, 2]]
    assert ngrams(tokens, 7).shape == (0, 7)


def test_ids_of_ngrams_are_common_to_the_sides() -> None:
    tokenise = Tokeniser()
    sides = [tokenise(["a b a b", "", "b a"]), tokenise(["a b", "c", "a b c"])]
    words, pairs = ngram_ids(sides, 2)
    assert [side.lengths.tolist() for side in pairs] == [[3, 0, 1], [1, 0, 2]]
    (ab, ba, again, last), (first, other, bc) = (side.ids.tolist() for side in pairs)
    assert ab == again == first == other
    assert ba == last
    assert len({ab, ba, bc}) == 3
    assert [side.ids.tolist() for side in words] == [side.ids.tolist() for side in sides]


def test_overlaps_keep_pairs_apart() -> None:
    tokenise = Tokeniser()
    sides = [tokenise(["a a b", "a b", ""]), tokenise(["a b b", "b a", "a"])]
    (owners, counts), (owners_of_two, counts_of_two) = overlaps(sides, 2)
    assert sorted(zip(owners.tolist(), *counts.tolist())) == [
        (0, 1, 2),
        (0, 2, 1),
        (1, 1, 1),
        (1, 1, 1),
        (2, 0, 1),
    ]
    found = sorted(zip(owners_of_two.tolist(), *counts_of_two.tolist()))
    assert found == [(0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]


def random_sides(seed: int, number: int) -> tuple[list[list[list[int]]], list[Tokens]]:
    """Replies of several sides, as lists of ids and as tokens; the first side has the largest id."""
    random = np.random.default_rng(seed)
    sides = [
        [random.integers(0, 3, random.integers(0, 7)).tolist() for _ in range(40)] for _ in range(number)
    ]
    sides[seed % number][7].append(4)
    return sides, [
        Tokens(
            np.array([word for reply in side for word in reply], dtype=np.int32),
            np.array([len(reply) for reply in side], dtype=np.int64),
        )
        for side in sides
    ]


@pytest.mark.parametrize("seed", range(4))
def test_matches_equal_counters(seed: int) -> None:
    (left, right), tokens = random_sides(seed, 2)
    expected = [
        (pair, word, shared)
        for pair, (one, other) in enumerate(zip(left, right))
        for word, shared in sorted((Counter(one) & Counter(other)).items())
    ]
    found = matches(*tokens)
    assert list(zip(*(part.tolist() for part in found))) == expected
    sums = [(Counter(one) & Counter(other)).total() for one, other in zip(left, right)]
    assert found.by_pair(40).tolist() == sums


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("apart", [False, True])
def test_ids_of_ngrams_equal_tuples(seed: int, apart: bool) -> None:
    sides, tokens = random_sides(seed, 3)
    orders = 0
    for order, grams in enumerate(ngram_ids(tokens, 4, apart=apart), start=1):
        names: dict[int, tuple[int, ...]] = {}
        for side, found in zip(sides, grams):
            expected = [
                (pair if apart else 0, *reply[start : start + order])
                for pair, reply in enumerate(side)
                for start in range(len(reply) - order + 1)
            ]
            assert found.lengths.tolist() == [max(len(reply) - order + 1, 0) for reply in side]
            assert len(found.ids) == len(expected)
            for id, gram in zip(found.ids.tolist(), expected):
                assert names.setdefault(id, gram) == gram
        assert len(set(names.values())) == len(names)
        orders = order
    assert orders == 4


@pytest.mark.parametrize("seed", range(4))
def test_overlaps_equal_counters(seed: int) -> None:
    sides, tokens = random_sides(seed, 3)
    for order, (owners, counts) in enumerate(overlaps(tokens, 3), start=1):
        expected = []
        for pair, replies in enumerate(zip(*sides)):
            each = [
                Counter(
                    tuple(reply[start : start + order]) for start in range(max(len(reply) - order + 1, 0))
                )
                for reply in replies
            ]
            expected += [(pair, *(one[gram] for one in each)) for gram in set().union(*each)]
        assert sorted(zip(owners.tolist(), *counts.tolist())) == sorted(expected)


def test_no_words_have_no_ngrams() -> None:
    tokenise = Tokeniser()
    found = list(overlaps([tokenise(["", ""]), tokenise(["a", ""])], 2))
    assert [owners.tolist() for owners, _ in found] == [[0], []]
    assert [counts.shape for _, counts in found] == [(2, 1), (2, 0)]


def test_a_reply_that_is_one_ngram() -> None:
    tokens = Tokeniser()(["a b c"])
    assert ngrams(tokens, 3).tolist() == [[0, 1, 2]]
    assert ngrams(tokens, 4).shape == (0, 4)
