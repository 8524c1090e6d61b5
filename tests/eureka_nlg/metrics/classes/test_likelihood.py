"""Likelihood by frequency band against a plain loop over the examples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import FrequencyBands
from eureka_nlg.metrics.classes.likelihood import GroupLikelihood, LikelihoodStatistics, group_likelihood

COUNTS = [500, 300, 60, 20, 19, 1, 0, 0]  # many, many, medium, medium, few, few, unseen, unseen
GROUPS = ["many", "many", "medium", "medium", "few", "few", "unseen", "unseen"]
BANDS = FrequencyBands.by_count(COUNTS)
Examples = tuple[np.ndarray, np.ndarray, np.ndarray]


def examples(size: int) -> Examples:
    draw = np.random.default_rng(0)
    likelihoods = draw.beta(0.3, 0.3, size)
    targets = draw.integers(len(COUNTS), size=size)
    return targets, np.log(likelihoods).astype(np.float32), draw.random(size) < likelihoods


def by_hand(targets: Any, logs: Any, correct: Any, group: str) -> GroupLikelihood:
    """One example after the other."""
    chosen = [
        (float(log), bool(hit))
        for target, log, hit in zip(targets, logs, correct)
        if group in ("all", GROUPS[target])
    ]
    likelihoods = [math.exp(log) for log, _ in chosen]
    histogram = [0] * 20
    for likelihood in likelihoods:
        histogram[min(math.floor(likelihood * 20), 19)] += 1
    return GroupLikelihood(
        count=len(chosen),
        mean_likelihood=math.fsum(likelihoods) / len(chosen),
        perplexity=math.exp(-math.fsum(log for log, _ in chosen) / len(chosen)),
        accuracy=100 * sum(hit for _, hit in chosen) / len(chosen),
        share_above_half=100 * sum(likelihood > 0.5 for likelihood in likelihoods) / len(chosen),
        histogram=tuple(histogram),
    )


def assert_equal(found: GroupLikelihood, expected: GroupLikelihood) -> None:
    assert found.histogram == expected.histogram
    for name in ("count", "mean_likelihood", "perplexity", "accuracy", "share_above_half"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-12)


def test_against_a_loop() -> None:
    data = examples(3000)
    found = group_likelihood(*data, BANDS)
    assert list(found) == ["many", "medium", "few", "unseen", "all"]
    for group, numbers in found.items():
        assert_equal(numbers, by_hand(*data, group))


def test_batches_of_tensors_give_the_same_as_the_whole() -> None:
    targets, logs, correct = examples(500)
    whole = LikelihoodStatistics(BANDS).update(targets, logs, correct)
    batched = LikelihoodStatistics(BANDS)
    for start in range(0, 500, 123):
        batch = [torch.from_numpy(values[start : start + 123]) for values in (targets, logs, correct)]
        assert batched.update(*batch) is batched
    for name in ("histogram", "correct", "above_half"):
        assert np.array_equal(getattr(batched, name), getattr(whole, name))
    for group, numbers in batched.compute().items():
        assert_equal(numbers, whole.compute()[group])


def test_half_precision_is_taken() -> None:
    logs = torch.log(torch.tensor([0.25, 0.75])).bfloat16()
    found = group_likelihood([0, 0], logs, torch.tensor([False, True]), BANDS)["many"]
    assert found.mean_likelihood == pytest.approx(0.5, abs=5e-3)


def test_the_ends_of_the_histogram() -> None:
    # p = 0, p = 1, and a logarithm that rounding has lifted above 0
    found = group_likelihood([0, 0, 0], [-np.inf, 0.0, 2e-7], [False, True, True], BANDS)["all"]
    assert found.histogram == (1, *[0] * 18, 2)
    assert found.mean_likelihood == pytest.approx(2 / 3)
    assert found.perplexity == math.inf
    assert found.share_above_half == pytest.approx(200 / 3)


def test_rounding_may_lift_a_logarithm_by_a_ten_thousandth() -> None:
    found = group_likelihood([0], np.array([1e-4]), [True], BANDS)["all"]
    assert (found.mean_likelihood, found.perplexity) == (1, 1)


def test_one_half_itself_is_not_above_it() -> None:
    assert group_likelihood([0], np.log([0.5]), [True], BANDS)["all"].share_above_half == 0.0


def test_a_group_without_examples() -> None:
    found = group_likelihood([0], [-1.0], [True], BANDS)
    assert "unseen" not in found
    assert found["few"].count == sum(found["few"].histogram) == 0
    for name in ("mean_likelihood", "perplexity", "accuracy", "share_above_half"):
        assert math.isnan(getattr(found["few"], name))


@pytest.mark.parametrize("target", range(len(COUNTS)))
def test_unseen_is_a_group_where_it_has_an_example(target: int) -> None:
    found = group_likelihood([target], [-1.0], [True], BANDS)
    assert ("unseen" in found) == (GROUPS[target] == "unseen")
    assert found[GROUPS[target]].count == found["all"].count == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (([0, 1], [-1.0], [True]), "2 targets, 1 log-likelihoods and 1 entries of correct"),
        (([0, 8], [-1.0, -1.0], [True, True]), "target 1 is 8, expected a class from 0 to 7"),
        (([-1], [-1.0], [True]), "target 0 is -1"),
        (([0, 0], [-1.0, math.nan], [True, True]), "log-likelihood 1 is nan"),
        (([0], [0.3], [True]), r"log-likelihood 0 is 0\.3, expected a number up to 0"),
    ],
)
def test_bad_examples(data: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        LikelihoodStatistics(BANDS).update(*data)
