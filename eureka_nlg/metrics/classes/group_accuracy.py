"""Accuracy by the training frequency of the class: many, medium, few, and natural."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import UNSEEN, FrequencyBands
from eureka_nlg.metrics.classes.integers import Integers, as_class_counts, as_integers

__all__ = ["GroupAccuracy", "group_accuracy", "group_members"]


class GroupAccuracy(NamedTuple):
    """Accuracies in percent; NaN if there are no test examples for one.

    Attributes:
        all: over all test examples.
        many, medium, few: over the test examples of that group's classes.
        natural: mean of the classes' accuracies, weighted by training counts.
    """

    all: float
    many: float
    medium: float
    few: float
    natural: float


def group_accuracy(
    predictions: Integers, targets: Integers, class_counts: Integers, many: int = 100, few: int = 20
) -> GroupAccuracy:
    """Top-1 accuracy over all classes, by training frequency, and natural accuracy (paper, Tables 2 and 3).

    Classes with more than ``many`` training images are "many", those with fewer than ``few`` are "few", and
    the others are "medium". The accuracy of a group is the share of its test examples that are classified
    correctly; on a balanced test set this is the mean of its classes' accuracies. Natural accuracy is sum_c
    (m_c / sum m) * accuracy_c with the training counts m, over the classes that have test examples.

    Args:
        predictions: [N] predicted class of each test example, 0 to C - 1.
        targets: [N] its true class.
        class_counts: [C] training images of each class.
        many: the largest count of a medium class.
        few: the smallest count of a medium class.

    Returns:
        Percentages from 0 to 100. The accuracy of a group without test examples is NaN, and so is natural
        accuracy if no tested class occurs in training.

    Raises:
        UserError: the lengths differ, a class is outside 0 to C - 1, or the counts are invalid.

    >>> group_accuracy([0, 0, 1, 2], [0, 0, 1, 1], class_counts=[150, 50, 5])
    GroupAccuracy(all=75.0, many=100.0, medium=50.0, few=nan, natural=87.5)
    """
    counts = as_class_counts(class_counts)
    predicted, target = as_integers("predictions", predictions), as_integers("targets", targets)
    if len(predicted) != len(target):
        raise UserError(f"{len(predicted)} predictions and {len(target)} targets: expected one for each")
    for name, classes in (("prediction", predicted), ("target", target)):
        outside = np.flatnonzero((classes < 0) | (classes >= len(counts)))
        if outside.size:
            raise UserError(
                f"{name} {outside[0]} is class {classes[outside[0]]}, expected 0 to {len(counts) - 1}, "
                f"since class_counts has {len(counts)} entries"
            )
    if few > many + 1:
        raise UserError(f"few is {few} and many is {many}: a class would be in both groups")
    correct = np.bincount(target[predicted == target], minlength=len(counts))
    total = np.bincount(target, minlength=len(counts))

    def accuracy(classes: NDArray[np.bool_]) -> float:
        examples = int(total[classes].sum())
        return 100 * int(correct[classes].sum()) / examples if examples else float("nan")

    members = group_members(counts, many, few)
    tested = total > 0
    weight = counts[tested] / max(counts[tested].sum(), 1)
    return GroupAccuracy(
        all=accuracy(tested),
        **{group: accuracy(classes) for group, classes in members.items()},
        natural=100 * float(weight @ (correct[tested] / total[tested])) if weight.any() else float("nan"),
    )


def group_members(counts: NDArray[np.int64], many: int = 100, few: int = 20) -> dict[str, NDArray[np.bool_]]:
    """``many``, ``medium`` and ``few`` -> ``[C]`` whether a class is in the group.

    Classes without training images are in ``few``.
    The arguments are those of :func:`group_accuracy`.
    """
    bands = FrequencyBands.by_count(counts, (many, few))
    members = {group: bands.members(group) for group in ("many", "medium", "few")}
    members["few"] = members["few"] | bands.members(UNSEEN)
    return members
