"""Accuracy, confusion, likelihood and calibration of a classifier by frequency group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eureka_nlg.metrics import group_accuracy
from eureka_nlg.metrics.classes.bands import FrequencyBands
from eureka_nlg.metrics.classes.calibration import bin_of_confidence
from eureka_nlg.metrics.classes.likelihood import GroupLikelihood, group_likelihood
from eureka_nlg.vision.predictions_file import write_predictions

__all__ = [
    "GROUPS",
    "Predictions",
    "evaluate",
    "gold_likelihood",
    "calibration_error",
    "group_confusion",
]

GROUPS = ("many", "medium", "few")


@dataclass
class Predictions:
    """The predictions for N test images, without their logits.

    Attributes:
        predicted: ``[N]`` class with the largest logit.
        confidence: ``[N]`` likelihood of this class.
        gold_log_likelihood: ``[N]`` natural logarithm of the likelihood of the true class.
        labels: ``[N]`` true class.
    """

    predicted: Tensor
    confidence: Tensor
    gold_log_likelihood: Tensor
    labels: Tensor

    @classmethod
    def of_logits(cls, logits: Tensor, labels: Tensor) -> Predictions:
        """Make predictions of logits ``[N, C]`` and true classes ``[N]``."""
        log_likelihood = logits.float().log_softmax(dim=1)
        confidence, predicted = log_likelihood.max(dim=1)
        return cls(predicted, confidence.exp(), log_likelihood.gather(1, labels[:, None])[:, 0], labels)

    @classmethod
    def merged(cls, parts: Sequence[tuple[Tensor, Predictions]]) -> Predictions:
        """Merge parts, each given with the positions ``[n]`` of its images."""
        order = torch.cat([positions for positions, _ in parts]).argsort()
        return cls(
            *(torch.cat([getattr(part, field.name) for _, part in parts])[order] for field in fields(cls))
        )

    def write(self, path: Path, class_counts: Tensor) -> None:
        """Write them, and the training images of each class ``[C]``, for `eureka vision compare`."""
        write_predictions(
            path,
            predicted=self.predicted.numpy(),
            confidence=self.confidence.double().numpy(),
            likelihood=self.gold_log_likelihood.double().exp().numpy(),
            labels=self.labels.numpy(),
            class_counts=class_counts.numpy(),
        )


def evaluate(
    predictions: Predictions,
    class_counts: Tensor,
    bins: int = 15,
    *,
    likelihood: Mapping[str, GroupLikelihood] | None = None,
) -> dict[str, Any]:
    """All scores of a run in percent, as a JSON document; None for a group without test images.

    Args:
        predictions: predictions for the test images.
        class_counts: ``[C]`` training images of each class.
        bins: number of bins of the calibration error.
        likelihood: :func:`gold_likelihood` of the predictions, if it has been computed before.

    Returns:
        ``accuracy`` (all, many, medium, few, natural), ``accuracy_of_class``, ``confusion_of_groups``;
        ``calibration_error`` and ``likelihood`` (mean likelihood of the true class) by group; and the numbers
        of ``test_images`` and the ``class_counts``.
    """
    accuracy = group_accuracy(predictions.predicted, predictions.labels, class_counts)
    right = predictions.predicted == predictions.labels
    bands = FrequencyBands.by_count(class_counts)
    if likelihood is None:
        likelihood = gold_likelihood(predictions, bands)
    groups = torch.from_numpy(bands.of_class)[predictions.labels]
    selections = {"all": torch.ones_like(right), **{g: groups == i for i, g in enumerate(GROUPS)}}
    num_classes = len(class_counts)
    total = torch.bincount(predictions.labels, minlength=num_classes)
    correct = torch.bincount(predictions.labels[right], minlength=num_classes)
    return {
        "accuracy": {name: _number(value) for name, value in accuracy._asdict().items()},
        "accuracy_of_class": [
            _number(100 * float(c) / n) if n else None for c, n in zip(correct, total.tolist())
        ],
        "confusion_of_groups": group_confusion(predictions, bands),
        "calibration_error": {
            name: calibration_error(predictions.confidence[chosen], right[chosen], bins)
            for name, chosen in selections.items()
        },
        "likelihood": {name: _number(100 * group.mean_likelihood) for name, group in likelihood.items()},
        "test_images": {name: int(chosen.sum()) for name, chosen in selections.items()},
        "class_counts": class_counts.tolist(),
    }


def gold_likelihood(predictions: Predictions, bands: FrequencyBands) -> dict[str, GroupLikelihood]:
    """Likelihood of the true class by group: histogram, mean and more (paper, Figures 4 to 6)."""
    right = predictions.predicted == predictions.labels
    return group_likelihood(predictions.labels, predictions.gold_log_likelihood, right, bands)


def calibration_error(confidence: Tensor, right: Tensor, bins: int = 15) -> float | None:
    """Expected calibration error in percent (Guo et al. 2017).

    The mean over the images of |accuracy - mean confidence| in their bin; the bins are those of
    :func:`eureka_nlg.metrics.classes.calibration.bin_of_confidence`.

    Args:
        confidence: ``[N]`` likelihood of the predicted class.
        right: ``[N]`` whether it is the true one.
        bins: number of bins.

    Returns:
        A percentage from 0 to 100; None without images.
    """
    if not len(confidence):
        return None
    sure: NDArray[np.float64] = confidence.double().numpy()
    index = bin_of_confidence(sure, bins)
    gap = np.bincount(index, weights=right.double().numpy() - sure, minlength=bins)
    return 100 * float(np.abs(gap).sum()) / len(sure)


def group_confusion(predictions: Predictions, bands: FrequencyBands) -> dict[str, dict[str, float | None]]:
    """For each group, the percentage of its images in the right class and in wrong classes of each group."""
    group = torch.from_numpy(bands.of_class)
    wrong = predictions.predicted != predictions.labels
    gold, predicted = group[predictions.labels], group[predictions.predicted]
    result: dict[str, dict[str, float | None]] = {}
    for index, name in enumerate(GROUPS):
        of_group = gold == index
        count = int(of_group.sum())
        row = {"right": of_group & ~wrong}
        row |= {f"wrong_{other}": of_group & wrong & (predicted == i) for i, other in enumerate(GROUPS)}
        result[name] = {to: 100 * int(which.sum()) / count if count else None for to, which in row.items()}
    return result


def _number(value: float) -> float | None:
    return None if value != value else value  # JSON has no NaN
