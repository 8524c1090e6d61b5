"""Accuracy by how often a class was seen in training: many, medium, few, and the natural mixture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import UNSEEN, FrequencyBands
from eureka_nlg.metrics.classes.integers import Integers, as_class_counts, as_integers

__all__ = ["GroupAccuracy", "GroupAccuracyStatistics", "group_accuracy"]


class GroupAccuracy(NamedTuple):
    """Accuracies in percent; NaN where there is no test example to judge by.

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


class GroupAccuracyStatistics:
    """Right answers and test examples per class; statistics of shards add up exactly.

    Attributes:
        correct, total: [C] integers.
    """

    def __init__(self, num_classes: int) -> None:
        self.correct: NDArray[np.int64] = np.zeros(num_classes, dtype=np.int64)
        self.total: NDArray[np.int64] = np.zeros(num_classes, dtype=np.int64)

    def update(self, predictions: Integers, targets: Integers) -> GroupAccuracyStatistics:
        """Add predictions [N] and targets [N]; return self."""
        predicted, target = as_integers("predictions", predictions), as_integers("targets", targets)
        if len(predicted) != len(target):
            raise UserError(f"{len(predicted)} predictions and {len(target)} targets: expected one for each")
        num_classes = len(self.total)
        for name, classes in (("prediction", predicted), ("target", target)):
            outside = np.flatnonzero((classes < 0) | (classes >= num_classes))
            if outside.size:
                first = outside[0]
                raise UserError(
                    f"{name} {first} is class {classes[first]}, expected 0 to {num_classes - 1}, "
                    f"since class_counts has {num_classes} entries"
                )
        self.correct += np.bincount(target[predicted == target], minlength=num_classes)
        self.total += np.bincount(target, minlength=num_classes)
        return self

    def __add__(self, other: GroupAccuracyStatistics) -> GroupAccuracyStatistics:
        merged = GroupAccuracyStatistics(len(self.total))
        merged.correct = self.correct + other.correct
        merged.total = self.total + other.total
        return merged

    def compute(self, class_counts: Integers, many: int = 100, few: int = 20) -> GroupAccuracy:
        """The accuracies; see :func:`group_accuracy`."""
        counts = as_class_counts(class_counts)
        if len(counts) != len(self.total):
            raise UserError(
                f"{len(counts)} class counts for {len(self.total)} classes: expected one per class"
            )
        if few > many + 1:
            raise UserError(f"few is {few} and many is {many}: a class would be in both groups")
        bands = FrequencyBands.by_count(counts, (many, few))
        tested = self.total > 0
        weight = counts[tested] / max(counts[tested].sum(), 1)
        accuracy = self.correct[tested] / self.total[tested]
        return GroupAccuracy(
            all=self._accuracy(tested),
            many=self._accuracy(bands.members("many")),
            medium=self._accuracy(bands.members("medium")),
            few=self._accuracy(bands.members("few") | bands.members(UNSEEN)),
            natural=100 * float(weight @ accuracy) if weight.any() else float("nan"),
        )

    def _accuracy(self, classes: NDArray[np.bool_]) -> float:
        total = int(self.total[classes].sum())
        return 100 * int(self.correct[classes].sum()) / total if total else float("nan")


def group_accuracy(
    predictions: Integers, targets: Integers, class_counts: Integers, many: int = 100, few: int = 20
) -> GroupAccuracy:
    """Top-1 accuracy over all classes, by training frequency, and natural (notes, section 4).

    Classes with more than ``many`` training images are "many", those with fewer than ``few`` are "few", the
    others are "medium". A group's accuracy is the share of its test examples that are classified right, which
    on a balanced test set is also the mean of its classes' accuracies. Natural accuracy is
    sum_c (m_c / sum m) * accuracy_c with m the training counts, over the classes that have test examples.

    Args:
        predictions: [N] predicted class of each test example, 0 to C - 1.
        targets: [N] its true class.
        class_counts: [C] training images of each class.
        many: the largest count that is still medium.
        few: the smallest count that is already medium.

    Returns:
        Percentages from 0 to 100. A group without test examples is NaN, and so is natural accuracy if no
        tested class was seen in training.

    Raises:
        UserError: unequal lengths, classes outside 0 to C - 1, negative or fractional counts, no counts.

    >>> group_accuracy([0, 0, 1, 2], [0, 0, 1, 1], class_counts=[150, 50, 5])
    GroupAccuracy(all=75.0, many=100.0, medium=50.0, few=nan, natural=87.5)
    """
    num_classes = len(as_class_counts(class_counts))
    return GroupAccuracyStatistics(num_classes).update(predictions, targets).compute(class_counts, many, few)
