"""Replies as word ids."""

from __future__ import annotations

import numpy as np

from eureka_nlg.metrics.text.tokens import Tokeniser, matches, ngram_ids, ngrams, overlaps


def test_tokens() -> None:
    tokenise = Tokeniser()
    tokens = tokenise(["a b a", "", ["c", "b"]])
    assert tokens.ids.tolist() == [0, 1, 0, 2, 1]
    assert tokens.lengths.tolist() == [3, 0, 2]
    assert tokens.owners().tolist() == [0, 0, 0, 2, 2]
    assert list(tokenise.words) == ["a", "b", "c"]
    assert tokenise([]).ids.dtype == np.int32


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
