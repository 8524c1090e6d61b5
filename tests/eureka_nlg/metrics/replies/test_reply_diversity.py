"""Diversity within replies against hand-worked numbers and nltk's n-grams."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_cases import check_metric
from nltk.util import ngrams as nltk_ngrams

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import reply_diversity

REPLIES = st.lists(st.lists(st.sampled_from("abc"), max_size=9), max_size=12)


def by_nltk(replies: list[list[str]], n: int) -> float:
    grams = [list(nltk_ngrams(reply, n)) for reply in replies if len(reply) >= n]
    return 100 * sum(len(set(own)) / len(own) for own in grams) / len(grams) if grams else 0.0


@pytest.mark.parametrize(
    ("replies", "n", "expected"),
    [
        (["no no no no", "oh well"], 1, 100 * (1 / 4 + 1) / 2),
        (["a b a b", "a b a b"], 2, 100 * 2 / 3),  # the same in another reply is no repetition
        (["a b a b", "a", ""], 2, 100 * 2 / 3),  # too short for a 2-gram: left out
        (["a b c"], 4, 0),
        ([], 1, 0),
    ],
)
def test_hand_worked(replies: list[str], n: int, expected: float) -> None:
    assert reply_diversity(replies, n) == pytest.approx(expected)


def test_default_is_one() -> None:
    assert reply_diversity(["a b a", "c c c"]) == pytest.approx(100 * (2 / 3 + 1 / 3) / 2)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_what_all_metrics_do(n: int) -> None:
    check_metric(f"reply_diversity_{n}", lambda replies, _: by_nltk([text.split() for text in replies], n))


@settings(deadline=None)
@given(replies=REPLIES, n=st.integers(1, 5))
def test_agrees_with_nltk(replies: list[list[str]], n: int) -> None:
    assert reply_diversity(replies, n) == pytest.approx(by_nltk(replies, n))


@pytest.mark.parametrize("n", [0, -1, 2.0])
def test_bad_n(n: Any) -> None:
    with pytest.raises(UserError, match=f"n is {n}"):
        reply_diversity(["a"], n)
