"""Intervals of shares against scipy."""

from __future__ import annotations

import pytest

from eureka_nlg.metrics.classes.shares import wilson_interval

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("confidence", [50, 90, 95, 99.9])
@pytest.mark.parametrize(("right", "count"), [(0, 5), (1, 7), (2000, 2000), (1, 2), (777, 1000)])
def test_wilson(right: int, count: int, confidence: float) -> None:
    expected = stats.binomtest(right, count).proportion_ci(confidence / 100, method="wilson")
    found = wilson_interval(100 * right / count, count, confidence)
    assert found == pytest.approx((100 * expected.low, 100 * expected.high), rel=1e-9, abs=1e-9)


def test_a_share_of_nothing_or_all_ends_there() -> None:
    """Without care, rounding puts the bound of 0 of 2,000 at -1e-17, which prints as -0.00."""
    for count in (3, 7, 9, 2000, 10_000, 12_345):
        low, high = wilson_interval(0, count)[0], wilson_interval(100, count)[1]
        assert 0 <= low < 1e-12
        assert 100 - 1e-9 < high <= 100
        assert f"{low:.2f}" == "0.00"
