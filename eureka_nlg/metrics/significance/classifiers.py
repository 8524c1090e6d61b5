"""Resampling tests of two or more classifiers on the same test images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import FrequencyBands
from eureka_nlg.metrics.classes.calibration import bin_of_confidence
from eureka_nlg.metrics.classes.group_accuracy import GroupAccuracy, group_accuracy, group_members
from eureka_nlg.metrics.classes.integers import Integers, as_class_counts, as_integers
from eureka_nlg.metrics.classes.shares import wilson_interval
from eureka_nlg.metrics.replies.setting import Metric, Resampling
from eureka_nlg.metrics.replies.totals import Entries, Values, by_pair, ratio
from eureka_nlg.metrics.significance.comparison import Resamples, compare_matrices
from eureka_nlg.metrics.significance.matrices import Matrices
from eureka_nlg.metrics.significance.results import Comparison, Estimate

__all__ = ["compare_classifiers", "compare_predictions"]

Floats = Any
"""One number per item, as a sequence, a numpy array, or a torch tensor on any device."""

_FEWEST = 10  # test images of a group: with fewer, one resample in 22,000 or more has none
_STEPS = 1 << 24  # likelihoods are counted in whole steps of 6e-8, so that their sums are exact

_SHARES = "accuracies except natural have Wilson's interval (1927)"
_GROUPS = ("many", "medium", "few")
_METRICS = {
    metric.key: metric
    for metric in (
        Metric("accuracy_all", "accuracy", "of all test images"),
        *(
            Metric(f"accuracy_{group}", f"accuracy, {group}", "of the test images of this group's classes")
            for group in _GROUPS
        ),
        Metric(
            "accuracy_natural", "accuracy, natural", "mean over the classes, weighted by training frequency"
        ),
        Metric("likelihood", "likelihood of the right class", "mean over the test images"),
        Metric(
            "calibration_error",
            "calibration error",
            "mean distance of accuracy and confidence (Guo et al. 2017)",
            better="less",
            resampling="jackknife",
        ),
    )
}


def compare_classifiers(
    predictions: Mapping[str, Integers],
    targets: Integers,
    class_counts: Integers,
    *,
    confidences: Mapping[str, Floats] | None = None,
    likelihoods: Mapping[str, Floats] | None = None,
    bins: int = 15,
    num_resamples: int = 1000,
    seed: int = 1,
    confidence: float = 95,
    baseline: str | None = None,
    randomisation: bool = True,
) -> Comparison:
    """Score classifiers on the same test images, with confidence intervals and tests of their differences.

    The metrics are the accuracies of :func:`eureka_nlg.metrics.group_accuracy` and, where these are given,
    the mean likelihood of the true class and the expected calibration error. All classifiers are evaluated
    on the same resamples of the images. :mod:`eureka_nlg.metrics.significance` explains intervals and
    p-values; here the classifiers swap their predictions for an image. The accuracies of all images and of
    groups have Wilson's interval; their differences, and the other scores, have those of the resamples.

    Args:
        predictions: name of each classifier -> ``[N]`` predicted classes, 0 to C - 1.
        targets: ``[N]`` true classes.
        class_counts: ``[C]`` training images of each class.
        confidences: name -> ``[N]`` likelihood of the predicted class, 0 to 1; None for no calibration error.
        likelihoods: name -> ``[N]`` likelihood of the true class, 0 to 1; None for none.
        bins: number of bins of the calibration error.
        num_resamples: R, the number of resamples of each kind. The smallest possible p-value is 1 / (R + 1).
        seed: seed of the resamples; the same seed gives the same numbers.
        confidence: confidence level of the intervals, in percent.
        baseline: the classifier that the others are compared with; default: the first.
        randomisation: whether to also test by approximate randomisation.

    Returns:
        Scores and differences in percent. Groups with fewer than ten test images have none;
        ``unavailable`` says so.

    Raises:
        UserError: there is no classifier, or fewer than two images; lengths differ; a class, a likelihood or
            an option is out of range.

    >>> targets = [0] * 50 + [1] * 50
    >>> compared = compare_classifiers(
    ...     {"A": [0] * 100, "B": [0] * 45 + [1] * 55}, targets, class_counts=[900, 100]
    ... )
    >>> compared.scores["accuracy_all"]["A"].value, compared.scores["accuracy_natural"]["A"].value
    (50.0, 90.0)
    >>> difference = compared.differences["accuracy_all"]["B"]
    >>> difference.value, difference.p_randomisation < 0.01
    (45.0, True)
    """
    return compare_predictions(
        predictions,
        targets,
        class_counts,
        Resamples(num_resamples, seed, confidence, baseline, randomisation),
        confidences=confidences,
        likelihoods=likelihoods,
        bins=bins,
    )


def compare_predictions(
    predictions: Mapping[str, Integers],
    targets: Integers,
    class_counts: Integers,
    resamples: Resamples,
    *,
    confidences: Mapping[str, Floats] | None = None,
    likelihoods: Mapping[str, Floats] | None = None,
    bins: int = 15,
) -> Comparison:
    """As :func:`compare_classifiers`, with the options of the resamples in one."""
    if not predictions:
        raise UserError("there is no classifier to compare: give the predictions of one or more")
    counts, labels = as_class_counts(class_counts), as_integers("targets", targets)
    if len(labels) < 2:
        raise UserError(f"there are {len(labels)} test images, expected 2 or more: one cannot be resampled")
    names = tuple(predictions)
    predicted = {name: as_integers(name, predictions[name]) for name in names}
    accuracies = {name: _accuracy(name, predicted[name], labels, counts) for name in names}

    keys, unavailable = _tested_groups(labels, counts)
    matrices = [_matrices(_Accuracy(counts, labels, keys), predicted)]
    if likelihoods is not None:
        keys.append("likelihood")
        matrices.append(_matrices(_Likelihood(), _probabilities("likelihoods", likelihoods, predicted)))
    if confidences is not None:
        keys.append("calibration_error")
        sure = _probabilities("confidences", confidences, predicted)
        both = {name: (sure[name], predicted[name] == labels) for name in names}
        matrices.append(_matrices(_Calibration(bins), both))
    once = np.ones((len(labels), 1), dtype=np.int32)
    values = {}
    for system, name in enumerate(names):
        found = {f"accuracy_{group}": value for group, value in accuracies[name]._asdict().items()}
        for one in matrices[1:]:
            found |= {key: value.item() for key, value in one.score(one.totals(system, once)).items()}
        values[name] = {key: found[key] for key in keys}
    comparison = compare_matrices(
        values,
        matrices,
        len(labels),
        resamples,
        signature={"shares": _SHARES, "groups": FrequencyBands.by_count(counts).rule, "bins": bins},
        unavailable=unavailable,
        warnings={},
        metrics=_METRICS,
        tested_on="images",
    )
    return replace(comparison, scores={**comparison.scores, **_shares(comparison, labels, counts)})


def _shares(
    comparison: Comparison, labels: NDArray[np.int64], counts: NDArray[np.int64]
) -> dict[str, dict[str, Estimate]]:
    """The accuracies that are shares of images, with the interval of a share; resamples of 0 % are all 0."""
    images = {"accuracy_all": len(labels)} | {
        f"accuracy_{group}": int(classes[labels].sum()) for group, classes in group_members(counts).items()
    }
    return {
        key: {
            name: Estimate(score.value, *wilson_interval(score.value, images[key], comparison.confidence))
            for name, score in scores.items()
        }
        for key, scores in comparison.scores.items()
        if key in images
    }


def _accuracy(
    name: str, predicted: NDArray[np.int64], labels: NDArray[np.int64], counts: NDArray[np.int64]
) -> GroupAccuracy:
    try:
        return group_accuracy(predicted, labels, counts)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def _tested_groups(labels: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[list[str], dict[str, str]]:
    """The accuracies that have enough test images; and key -> reason for the groups that have too few."""
    keys, unavailable = ["accuracy_all"], {}
    for group, classes in group_members(counts).items():
        images = int(classes[labels].sum())
        if images >= _FEWEST:
            keys.append(f"accuracy_{group}")
        elif images:
            unavailable[f"accuracy_{group}"] = f"{images} test images, expected {_FEWEST} or more"
    if counts[labels].any():
        keys.append("accuracy_natural")
    return keys, unavailable


def _probabilities(
    what: str, given: Mapping[str, Floats], predicted: Mapping[str, NDArray[np.int64]]
) -> dict[str, NDArray[np.float64]]:
    """The likelihoods of each classifier, in its order, checked."""
    found = {}
    for name, classes in predicted.items():
        if name not in given:
            raise UserError(f"{what}: none of {name}, expected those of each classifier")
        values = given[name]
        if hasattr(values, "detach"):  # a tensor
            values = values.detach().cpu().double().numpy()
        array = np.asarray(values, dtype=np.float64)
        if array.shape != classes.shape:
            raise UserError(f"{what} of {name}: shape {list(array.shape)}, expected {list(classes.shape)}")
        wrong = np.flatnonzero(~((array >= 0) & (array <= 1 + 1e-6)))  # NaN, too
        if wrong.size:
            raise UserError(f"{what} of {name}: entry {wrong[0]} is {array[wrong[0]]}, expected 0 to 1")
        found[name] = array
    return found


def _matrices(totals: Any, classifiers: Mapping[str, Any]) -> Matrices:
    entries = [totals.entries(one) for one in classifiers.values()]
    return Matrices(totals, entries, int(entries[0].pairs.max()) + 1)


class _Accuracy:
    """Totals of each class: its images, and those that are predicted rightly."""

    resampling: Resampling = "bootstrap"

    def __init__(self, counts: NDArray[np.int64], labels: NDArray[np.int64], keys: Sequence[str]) -> None:
        self.num_rows: int | None = 2 * len(counts)
        self._counts, self._labels, self._keys = counts, labels, list(keys)
        self._members = {"all": np.ones(len(counts), dtype=bool), **group_members(counts)}

    def entries(self, predicted: NDArray[np.int64]) -> Entries:
        images = np.arange(len(self._labels))
        right = np.flatnonzero(predicted == self._labels)
        rows = np.concatenate([self._labels, len(self._counts) + self._labels[right]])
        return Entries(rows, np.concatenate([images, right]), np.ones(len(rows), dtype=np.int64))

    def score(self, totals: NDArray[Any]) -> dict[str, Values]:
        images, right = np.split(totals, 2)
        values = {
            f"accuracy_{group}": ratio(right[classes].sum(axis=0), images[classes].sum(axis=0))
            for group, classes in self._members.items()
        }
        weights = np.where(images > 0, self._counts[:, None], 0)  # of the classes that are in the resample
        shares = right / np.maximum(images, 1)
        values["accuracy_natural"] = ratio((weights * shares).sum(axis=0), weights.sum(axis=0))
        return {key: values[key] for key in self._keys if key in values}


class _Likelihood:
    """Totals: the images, and the likelihood of their classes."""

    resampling: Resampling = "bootstrap"
    num_rows: int | None = 2

    def entries(self, likelihood: NDArray[np.float64]) -> Entries:
        return by_pair(np.ones(len(likelihood), dtype=np.int64), _steps(likelihood))

    def score(self, totals: NDArray[Any]) -> dict[str, Values]:
        return {"likelihood": ratio(totals[1] / _STEPS, totals[0])}


class _Calibration:
    """Totals: the images; and of each bin the confidence, and the predictions that are right."""

    # In a bootstrap resample the bins are noisier than in any test set: for a calibrated classifier and 2,000
    # images its error was 2.7 % on average, where that of test sets is 1.9 and of jackknife resamples 2.0.
    resampling: Resampling = "jackknife"

    def __init__(self, bins: int) -> None:
        self._bins, self.num_rows = bins, 1 + 2 * bins

    def entries(self, both: tuple[NDArray[np.float64], NDArray[np.bool_]]) -> Entries:
        confidence, right = both
        images, bins = np.arange(len(right)), bin_of_confidence(confidence, self._bins)
        return Entries.join(
            [
                Entries(np.zeros_like(images), images, np.ones_like(images)),
                Entries(1 + bins, images, _steps(confidence)),
                Entries(1 + self._bins + bins, images, right.astype(np.int64)),
            ]
        )

    def score(self, totals: NDArray[Any]) -> dict[str, Values]:
        confidence, right = np.split(totals[1:], 2)
        gap = np.abs(right - confidence / _STEPS).sum(axis=0)
        return {"calibration_error": ratio(gap, totals[0])}


def _steps(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.asarray(np.rint(values * _STEPS), dtype=np.int64)
