"""Copies and lengths against hand-worked numbers and counting in Python."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eureka_nlg.metrics import CopyStatistics, LengthStatistics, copied_replies, mean_length
from eureka_nlg.metrics.text.tokens import Tokeniser

REPLIES = st.lists(st.lists(st.sampled_from(["a", "b", "é"]), max_size=3), max_size=12)


@pytest.mark.parametrize(
    ("replies", "copies", "length"),
    [
        (["i do not know", "i  do not know", "i sail", "no"], 50, 11 / 4),
        (["a b", "b a", "a", "ab"], 0, 6 / 4),
        (["", " ", "a"], 100 * 2 / 3, 1 / 3),
        (["a", "a", "a"], 100, 1),
        ([], 0, 0),
    ],
)
def test_hand_worked(replies: list[str], copies: float, length: float) -> None:
    assert copied_replies(replies) == pytest.approx(copies)
    assert mean_length(replies) == pytest.approx(length)


@settings(deadline=None)
@given(replies=REPLIES)
def test_agrees_with_counting(replies: list[list[str]]) -> None:
    counts = Counter(map(tuple, replies))
    copies = sum(counts[tuple(reply)] > 1 for reply in replies)
    assert copied_replies(replies) == pytest.approx(100 * copies / max(len(replies), 1))
    assert mean_length(replies) == pytest.approx(sum(map(len, replies)) / max(len(replies), 1))


@settings(deadline=None)
@given(replies=REPLIES, cut=st.integers(0, 12))
def test_shards_add_up_exactly(replies: list[list[str]], cut: int) -> None:
    copies, lengths = CopyStatistics(), LengthStatistics()
    for part in (replies[cut:], replies[:cut]):
        tokenise = Tokeniser()
        tokens = tokenise(part)
        copies += pickle.loads(pickle.dumps(CopyStatistics(tokenise.words).update(tokens)))
        lengths += LengthStatistics().update(tokens)
    assert copies.compute() == copied_replies(replies)
    assert lengths.compute() == mean_length(replies)
