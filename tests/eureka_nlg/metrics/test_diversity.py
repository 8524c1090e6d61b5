"""N-gram diversity against hand-worked numbers and nltk's n-grams."""

from __future__ import annotations

import pickle
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.util import ngrams as nltk_ngrams

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import DiversityStatistics, ngram_diversity
from eureka_nlg.metrics.tokens import Tokeniser

REPLIES = st.lists(st.lists(st.sampled_from("abc"), max_size=7), max_size=12)


def by_nltk(replies: list[list[str]], n: int) -> float:
    grams = [gram for reply in replies for gram in nltk_ngrams(reply, n)]
    return 100 * len(set(grams)) / len(grams) if grams else 0.0


@pytest.mark.parametrize(
    ("replies", "n", "expected"),
    [
        (["i like tea very much", "i like tea very well"], 4, 100 * 3 / 4),
        (["a a a a a"], 4, 50),
        (["a b", "a b"], 1, 50),
        (["a b", "b a"], 2, 100),  # "b b" would lie across the two replies
        (["a b c", "", "d"], 4, 0),
        ([], 4, 0),
    ],
)
def test_hand_worked(replies: list[str], n: int, expected: float) -> None:
    assert ngram_diversity(replies, n) == expected


def test_default_is_four() -> None:
    assert ngram_diversity(["a b c d e", "a b c d"]) == pytest.approx(100 * 2 / 3)


@settings(deadline=None)
@given(replies=REPLIES, n=st.integers(1, 5))
def test_agrees_with_nltk(replies: list[list[str]], n: int) -> None:
    assert ngram_diversity(replies, n) == pytest.approx(by_nltk(replies, n))
    assert ngram_diversity([" ".join(reply) for reply in replies], n) == ngram_diversity(replies, n)


def test_more_replies_than_a_chunk_holds() -> None:
    generator = random.Random(0)
    words = [f"w{number}" for number in range(300)]  # ids beyond one byte
    replies = [generator.choices(words, k=generator.randrange(8)) for _ in range(3000)]
    for n in (1, 2, 4):
        assert ngram_diversity(replies, n) == pytest.approx(by_nltk(replies, n))


@settings(deadline=None)
@given(replies=REPLIES, cut=st.integers(0, 12), n=st.integers(1, 4))
def test_shards_add_up_exactly(replies: list[list[str]], cut: int, n: int) -> None:
    shards = []
    for part in (replies[cut:], replies[:cut]):
        tokenise = Tokeniser()
        shards.append(DiversityStatistics(n, tokenise.words).update(tokenise(part)))
    merged = sum((pickle.loads(pickle.dumps(shard)) for shard in shards), DiversityStatistics(n))
    assert merged.compute() == ngram_diversity(replies, n)
    assert merged.total == shards[0].total + shards[1].total


def test_different_n_do_not_add_up() -> None:
    with pytest.raises(UserError, match="2-grams and of 3-grams"):
        DiversityStatistics(2) + DiversityStatistics(3)


@pytest.mark.parametrize("n", [0, -1, 2.0])
def test_bad_n(n: Any) -> None:
    with pytest.raises(UserError, match=f"n is {n}"):
        ngram_diversity(["a"], n)


def test_a_lone_string_is_refused() -> None:
    with pytest.raises(UserError, match="hypotheses is one string"):
        ngram_diversity("a b c d")
