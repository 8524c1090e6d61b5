"""The likelihood of the right class under a model, by the training frequency of the class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import UNSEEN, FrequencyBands
from eureka_nlg.metrics.classes.integers import Integers, as_integers

__all__ = ["ALL", "NUM_BINS", "GroupLikelihood", "LikelihoodStatistics", "group_likelihood"]

ALL = "all"
"""Name of the group of all classes, including unseen ones."""

NUM_BINS = 20
"""Number of bins of the histogram, of equal width over [0, 1]; the last one includes likelihood 1."""

Values = Any
"""One number per item, as a sequence, a numpy array, or a torch tensor on any device."""


@dataclass(frozen=True)
class GroupLikelihood:
    """The likelihood of the right class over the examples (or target tokens) of one group.

    Attributes:
        count: number of examples. If there are none, the next four numbers are NaN.
        mean_likelihood: arithmetic mean of the likelihood p, from 0 to 1.
        perplexity: exp of the mean negative log-likelihood.
        accuracy: percentage of examples whose right class is the likeliest.
        share_above_half: percentage of examples with p > 0.5.
        histogram: examples in each of 20 bins of p.
    """

    count: int
    mean_likelihood: float
    perplexity: float
    accuracy: float
    share_above_half: float
    histogram: tuple[int, ...]


class LikelihoodStatistics:
    """Sums over the examples of each frequency band, and over those of unseen classes.

    Args:
        bands: the band of each class.

    Attributes:
        histogram: [bands + 1, 20] examples by likelihood; the last row is that of unseen classes.
        correct: [bands + 1] examples whose right class is the likeliest.
        above_half: [bands + 1] examples with p > 0.5.
        likelihood, log_likelihood: [bands + 1] sums of p and of log p, float64.
    """

    def __init__(self, bands: FrequencyBands) -> None:
        self.bands = bands
        size = len(bands.names) + 1
        self.histogram: NDArray[np.int64] = np.zeros((size, NUM_BINS), dtype=np.int64)
        self.correct: NDArray[np.int64] = np.zeros(size, dtype=np.int64)
        self.above_half: NDArray[np.int64] = np.zeros(size, dtype=np.int64)
        self.likelihood: NDArray[np.float64] = np.zeros(size)
        self.log_likelihood: NDArray[np.float64] = np.zeros(size)

    def update(self, targets: Integers, log_likelihoods: Values, correct: Values) -> LikelihoodStatistics:
        """Add examples; return self.

        Args:
            targets: [N] right class of each example, 0 to C - 1.
            log_likelihoods: [N] natural logarithm of the model's probability of that class; -inf is p = 0.
            correct: [N] whether that class is the likeliest.

        Raises:
            UserError: the lengths differ, a class has no band, or a log-likelihood is NaN or above 0.
        """
        classes, logs, hits = as_integers("targets", targets), _array(log_likelihoods), _array(correct)
        if not len(classes) == len(logs) == len(hits):
            raise UserError(
                f"{len(classes)} targets, {len(logs)} log-likelihoods and {len(hits)} entries of correct: "
                "expected one of each per example"
            )
        outside = np.flatnonzero((classes < 0) | (classes >= len(self.bands.of_class)))
        if outside.size:
            raise UserError(
                f"target {outside[0]} is {classes[outside[0]]}, expected a class from 0 to "
                f"{len(self.bands.of_class) - 1}"
            )
        wrong = np.flatnonzero(~(logs <= 1e-4))  # log 1 may be rounded to slightly above 0; finds NaN too
        if wrong.size:
            raise UserError(f"log-likelihood {wrong[0]} is {logs[wrong[0]]}, expected a number up to 0")
        logs = np.minimum(logs, 0.0)
        likelihoods = np.exp(logs)
        size = len(self.bands.names) + 1
        group = self.bands.of_class[classes].astype(np.int64) % size  # -1 (unseen) becomes the last group
        bins = np.minimum((likelihoods * NUM_BINS).astype(np.int64), NUM_BINS - 1)
        cells = np.bincount(group * NUM_BINS + bins, minlength=size * NUM_BINS)
        self.histogram += cells.reshape(size, NUM_BINS)
        self.correct += np.bincount(group[hits.astype(bool)], minlength=size)
        self.above_half += np.bincount(group[likelihoods > 0.5], minlength=size)
        self.likelihood += np.bincount(group, weights=likelihoods, minlength=size)
        self.log_likelihood += np.bincount(group, weights=logs, minlength=size)
        return self

    def compute(self) -> dict[str, GroupLikelihood]:
        """Each band, then ``"unseen"`` if there are such examples, then ``"all"``."""
        groups: dict[str, Any] = {name: index for index, name in enumerate(self.bands.names)}
        if self.histogram[-1].any():
            groups[UNSEEN] = -1
        groups[ALL] = slice(None)
        return {name: self._of(group) for name, group in groups.items()}

    def _of(self, group: int | slice) -> GroupLikelihood:
        histogram = self.histogram[group].reshape(-1, NUM_BINS).sum(axis=0)
        count = int(histogram.sum())

        def mean(sums: NDArray[Any]) -> float:
            return float(np.sum(sums[group])) / count if count else float("nan")

        return GroupLikelihood(
            count=count,
            mean_likelihood=mean(self.likelihood),
            perplexity=_exp(-mean(self.log_likelihood)),
            accuracy=100 * mean(self.correct),
            share_above_half=100 * mean(self.above_half),
            histogram=tuple(histogram.tolist()),
        )


def group_likelihood(
    targets: Integers, log_likelihoods: Values, correct: Values, bands: FrequencyBands
) -> dict[str, GroupLikelihood]:
    """Likelihood of the right class by training frequency (paper, Figures 4 to 6).

    Args:
        targets: [N] right class of each example, 0 to C - 1.
        log_likelihoods: [N] natural logarithm of the model's probability of that class.
        correct: [N] whether that class is the likeliest.
        bands: the band of each of the C classes.

    Returns:
        Name of the group -> its numbers: each band, ``"unseen"`` if there are such examples, and ``"all"``.

    Raises:
        UserError: the lengths differ, a class has no band, or a log-likelihood is NaN or above 0.

    >>> bands = FrequencyBands.by_count([500, 5])
    >>> found = group_likelihood([0, 1, 1], np.log([0.9, 0.8, 0.2]), [True, True, False], bands)
    >>> round(found["few"].mean_likelihood, 3), found["few"].accuracy, round(found["few"].perplexity, 3)
    (0.5, 50.0, 2.5)
    """
    return LikelihoodStatistics(bands).update(targets, log_likelihoods, correct).compute()


def _exp(value: float) -> float:
    with np.errstate(over="ignore"):  # infinite then, as for a log-likelihood of -inf
        return float(np.exp(value))


def _array(values: Values) -> NDArray[np.float64]:
    if hasattr(values, "detach"):  # a tensor; importing torch for the check would take a second
        values = values.detach().double().cpu().numpy()  # numpy has no bfloat16
    return np.asarray(values, dtype=np.float64)
