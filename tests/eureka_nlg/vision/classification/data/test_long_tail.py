"""Class sizes against the totals of the literature, and the choice of images."""

from __future__ import annotations

import pytest
import torch

from eureka_nlg.errors import UserError
from eureka_nlg.vision.classification.data.long_tail import choose_images, class_sizes


@pytest.mark.parametrize(
    ("largest", "classes", "degree", "total", "smallest"),
    [
        (5000, 10, 100, 12406, 50),
        (5000, 10, 50, 13996, 100),
        (5000, 10, 10, 20431, 500),
        (500, 100, 100, 10847, 5),
        (500, 100, 50, 12608, 10),
        (500, 100, 10, 19573, 50),
    ],
)
def test_totals_of_long_tailed_cifar(
    largest: int, classes: int, degree: int, total: int, smallest: int
) -> None:
    sizes = class_sizes(largest, classes, degree, "exponential")
    assert (sum(sizes), sizes[0], sizes[-1], len(sizes)) == (total, largest, smallest, classes)
    assert sizes == sorted(sizes, reverse=True)


def test_step_profile() -> None:
    assert class_sizes(5000, 5, 100, "step") == [5000, 5000, 50, 50, 50]


def test_one_class_keeps_all() -> None:
    assert class_sizes(7, 1, 100, "exponential") == [7]


def test_an_empty_class_is_an_error() -> None:
    with pytest.raises(UserError, match="imbalance degree 101 leaves no image in a class of 100"):
        class_sizes(100, 3, 101, "exponential")


def test_choice_is_seeded_and_nested() -> None:
    labels = torch.arange(300) % 3
    chosen = choose_images(labels, [100, 20, 5], seed=1)
    assert torch.equal(chosen, chosen.sort().values)
    assert labels[chosen].bincount().tolist() == [100, 20, 5]
    assert torch.equal(chosen, choose_images(labels, [100, 20, 5], seed=1))
    assert not torch.equal(chosen, choose_images(labels, [100, 20, 5], seed=2))
    assert set(choose_images(labels, [50, 10, 5], seed=1).tolist()) <= set(chosen.tolist())


def test_too_few_images_are_an_error() -> None:
    with pytest.raises(UserError, match="class 1 has 2 images, expected 3 or more"):
        choose_images(torch.tensor([0, 0, 0, 1, 1]), [3, 3], seed=0)
