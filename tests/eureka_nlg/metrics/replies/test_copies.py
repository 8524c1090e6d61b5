"""Copies against hand-worked numbers and counting in Python."""

from __future__ import annotations

from collections import Counter

import pytest
from metric_cases import check_metric

from eureka_nlg.metrics import copied_replies


def by_counting(replies: list[str], _: list[str]) -> float:
    counts = Counter(tuple(reply.split()) for reply in replies)
    return 100 * sum(count for count in counts.values() if count > 1) / max(len(replies), 1)


def test_what_all_metrics_do() -> None:
    check_metric("copies", by_counting)


@pytest.mark.parametrize(
    ("replies", "copies"),
    [
        (["i do not know", "i  do not know", "i sail", "no"], 50),
        (["a b", "b a", "a", "ab"], 0),
        (["", " ", "a"], 100 * 2 / 3),
        (["a", "a", "a"], 100),
        ([], 0),
    ],
)
def test_by_hand(replies: list[str], copies: float) -> None:
    assert copied_replies(replies) == pytest.approx(copies)
