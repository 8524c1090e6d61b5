"""Group accuracies against hand-worked numbers and sums written out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import GroupAccuracy, group_accuracy

# class:       0    1    2   3   4   5
COUNTS = [500, 101, 100, 20, 19, 0]
TARGETS = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
PREDICTIONS = [0, 0, 1, 0, 2, 0, 3, 3, 4, 0, 0, 1]
# accuracy:    1  1/2  1/2   1 1/2   0
EXPECTED = GroupAccuracy(
    all=100 * 7 / 12,
    many=100 * 3 / 4,  # classes 0, 1: more than 100
    medium=100 * 3 / 4,  # classes 2, 3: 20 to 100
    few=100 * 1 / 4,  # classes 4, 5: fewer than 20
    natural=100 * (500 * 1 + 101 / 2 + 100 / 2 + 20 * 1 + 19 / 2 + 0) / 740,
)


@pytest.mark.parametrize(
    "container", [list, tuple, np.array, torch.tensor, lambda x: np.array(x, dtype=np.uint8)]
)
def test_hand_worked(container: Callable[[list[int]], Any]) -> None:
    counts = torch.tensor(COUNTS) if container is torch.tensor else np.array(COUNTS)
    assert group_accuracy(container(PREDICTIONS), container(TARGETS), counts) == pytest.approx(EXPECTED)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_floating_tensors_of_any_precision(dtype: torch.dtype) -> None:
    predictions, targets = torch.tensor(PREDICTIONS, dtype=dtype), torch.tensor(TARGETS, dtype=dtype)
    assert group_accuracy(predictions, targets, COUNTS) == pytest.approx(EXPECTED)


def test_a_tensor_that_requires_grad_is_read() -> None:
    counts = torch.tensor(COUNTS, dtype=torch.float32, requires_grad=True)
    assert group_accuracy(PREDICTIONS, TARGETS, counts) == pytest.approx(EXPECTED)


def test_boundaries_can_be_set() -> None:
    scores = group_accuracy(PREDICTIONS, TARGETS, COUNTS, many=19, few=1)
    assert scores.many == pytest.approx(100 * 6 / 8)  # classes 0 to 3
    assert scores.medium == 50  # class 4
    assert scores.few == 0  # class 5


def test_no_class_needs_to_be_medium() -> None:
    scores = group_accuracy(PREDICTIONS, TARGETS, COUNTS, many=19, few=20)
    assert scores.many == pytest.approx(100 * 6 / 8)  # classes 0 to 3
    assert math.isnan(scores.medium)
    assert scores.few == 25  # classes 4, 5


def test_random_against_sums_written_out() -> None:
    generator = np.random.default_rng(0)
    counts = generator.integers(0, 300, size=30)
    targets = np.concatenate([np.arange(29), generator.integers(0, 29, size=400)])  # class 29 is not tested
    predictions = np.where(
        generator.random(len(targets)) < 0.6, targets, generator.integers(0, 30, len(targets))
    )
    scores = group_accuracy(predictions, targets, counts)
    right = predictions == targets
    frequency = counts[targets]
    natural = sum(counts[c] * right[targets == c].mean() for c in range(29)) / counts[:29].sum()
    expected = (
        right.mean(),
        right[frequency > 100].mean(),
        right[(frequency >= 20) & (frequency <= 100)].mean(),
        right[frequency < 20].mean(),
        natural,
    )
    assert scores == pytest.approx([100 * value for value in expected])


def test_groups_without_test_examples_are_nan() -> None:
    scores = group_accuracy([0], [0], [500, 5])
    assert (scores.all, scores.many, scores.natural) == (100, 100, 100)
    assert math.isnan(scores.medium)
    assert math.isnan(scores.few)
    assert all(math.isnan(value) for value in group_accuracy([], [], [500, 5]))
    assert group_accuracy([0], [0], [1]).natural == 100  # a single training image
    assert math.isnan(group_accuracy([1], [1], [500, 0]).natural)  # only a class unseen in training is tested


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([0, 1], [0], [1, 1]), {}, "2 predictions and 1 targets"),
        (([0], [2], [1, 1]), {}, "target 0 is class 2, expected 0 to 1"),
        (([0, -1], [0, 0], [1, 1]), {}, "prediction 1 is class -1, expected 0 to 1"),
        (([0], [0.5], [1, 1]), {}, "targets: entry 0 is 0.5, expected an integer"),
        (([0], [float("nan")], [1, 1]), {}, "targets: entry 0 is nan"),
        (([[0]], [0], [1, 1]), {}, "predictions has shape .1, 1., expected one dimension"),
        ((["a"], [0], [1, 1]), {}, "predictions holds .*, expected integers"),
        (([0], [0], []), {}, "class_counts must be a non-empty"),
        (([0], [0], [1, -3]), {}, "got -3 for class 1"),
        (([0], [0], [1, float("inf")]), {}, "class_counts: entry 1 is inf"),
        (([0], [0], [1]), {"many": 10, "few": 12}, "few is 12 and many is 10"),
    ],
)
def test_bad_input(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        group_accuracy(*arguments, **options)
