"""Lengths against hand-worked numbers and counting in Python."""

from __future__ import annotations

import pytest
from metric_cases import check_metric

from eureka_nlg.metrics import mean_length


def test_what_all_metrics_do() -> None:
    check_metric("mean_length", lambda replies, _: sum(len(text.split()) for text in replies) / len(replies))


@pytest.mark.parametrize(
    ("replies", "length"), [(["i do not know", "", "no"], 5 / 3), ([], 0), ([["a b"]], 1)]
)
def test_by_hand(replies: list[str], length: float) -> None:
    assert mean_length(replies) == pytest.approx(length)
