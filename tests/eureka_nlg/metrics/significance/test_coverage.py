"""How often an interval holds the true value, for metrics of what occurs at all: a small simulation."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from eureka_nlg.metrics.significance import compare

METRICS = ["macro_f", "diversity_1", "diversity_2", "copies", "micro_f"]
NUM_PAIRS, NUM_TRIALS = 150, 100


def draw_pairs(
    rng: np.random.Generator, num_pairs: int
) -> tuple[dict[str, list[list[str]]], list[list[str]]]:
    """Pairs from a population: Zipf words, some kept by a system, and a long tail of stock replies."""
    zipf = 1 / np.arange(1, 2001)
    zipf /= zipf.sum()

    def text() -> list[int]:
        return rng.choice(2000, size=rng.integers(4, 10), p=zipf).tolist()

    references = [text() for _ in range(num_pairs)]
    systems = {}
    for name, kept, stock in (("first", 0.4, 0.5), ("second", 0.45, 0.35)):
        replies = []
        for reference in references:
            if rng.random() < stock:
                number = int(rng.choice(2000, p=zipf))
                replies.append([number, (7 * number) % 2000, (11 * number) % 2000, 1])
            else:
                replies.append(
                    [word if rng.random() < kept else int(rng.choice(2000, p=zipf)) for word in reference]
                )
        systems[name] = [list(map(str, reply)) for reply in replies]
    return systems, [list(map(str, reference)) for reference in references]


def test_coverage_of_differences() -> None:
    """The jackknife holds close to 95 %; the bootstrap does where it is used, and not where it is not."""
    rng = np.random.default_rng(1)
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    values: dict[str, list[float]] = defaultdict(list)
    for trial in range(NUM_TRIALS):
        systems, references = draw_pairs(rng, NUM_PAIRS)
        for kind in ("bootstrap", "jackknife"):
            comparison = compare(
                *(systems, references, METRICS),
                num_resamples=199,
                seed=trial,
                randomisation=False,
                resampling=kind,
            )
            for metric in METRICS:
                difference = comparison.differences[metric]["second"]
                found[kind, metric].append((difference.low, difference.high))
                if kind == "jackknife":
                    values[metric].append(difference.value)
    coverage, width = {}, {}  # how many intervals hold the true value; mean width, 1 where it should be
    for (kind, metric), intervals in found.items():
        low, high = np.array(intervals).T
        coverage[kind, metric] = np.mean((low <= np.mean(values[metric])) & (np.mean(values[metric]) <= high))
        width[kind, metric] = np.mean(high - low) / (2 * 1.96 * np.std(values[metric]))
    assert coverage["bootstrap", "micro_f"] == pytest.approx(0.95, abs=0.05)
    assert width["bootstrap", "micro_f"] == pytest.approx(1, abs=0.12)
    for metric in METRICS:
        assert coverage["jackknife", metric] >= 0.9, metric
        assert 0.85 < width["jackknife", metric] < 1.35, metric
    for metric in ("macro_f", "diversity_1", "diversity_2", "copies"):
        assert width["bootstrap", metric] < 0.85, metric
