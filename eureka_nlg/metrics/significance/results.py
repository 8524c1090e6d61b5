"""The results of a comparison of systems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.replies.catalogue import find_metric
from eureka_nlg.metrics.replies.setting import Metric, Resampling

__all__ = ["Comparison", "Correction", "Difference", "Estimate", "TestedOn", "holm"]

Correction = Literal["holm"]
"""Corrections for many comparisons."""

TestedOn = Literal["pairs", "images"]
"""What a test set consists of: pairs of reply and reference, or images."""


@dataclass(frozen=True)
class Estimate:
    """Value of a metric for a system, with its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Estimate):
    """Score of a system minus score of the baseline, with its confidence interval and two-sided p-values.

    Attributes:
        p_resampling: p-value of the paired bootstrap or jackknife.
        p_randomisation: p-value of approximate randomisation; None if it was not requested.
    """

    p_resampling: float
    p_randomisation: float | None


@dataclass(frozen=True)
class Comparison:
    """Scores of systems on the same test set, and the significance of their differences.

    Attributes:
        scores: metric -> system -> value and interval.
        differences: metric -> system other than the baseline -> its difference from the baseline.
        systems: names of the systems.
        baseline: name of the system that the others are compared with.
        resampling: metric -> method of its intervals and of ``p_resampling``.
        num_pairs: N, the number of pairs or images.
        signature: all settings that define the numbers.
        unavailable: requested metric that cannot be computed here -> the reason.
        warnings: system -> reasons why its scores are meaningless.
        metrics: metric -> its description, where :func:`eureka_nlg.metrics.find_metric` does not know it.
        tested_on: what the test set consists of.
    """

    scores: dict[str, dict[str, Estimate]]
    differences: dict[str, dict[str, Difference]]
    systems: tuple[str, ...]
    baseline: str
    resampling: dict[str, Resampling]
    num_pairs: int
    signature: dict[str, Any]
    unavailable: dict[str, str]
    warnings: dict[str, list[str]] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    tested_on: TestedOn = "pairs"

    @property
    def confidence(self) -> float:
        """Coverage of the intervals, in percent."""
        return float(self.signature["confidence"])

    def metric(self, key: str) -> Metric:
        """The description of a metric; one without a label or a better direction if it is not known."""
        return self.metrics.get(key) or find_metric(key) or Metric(key, most=math.inf, better=None)

    def p_values(self, correction: Correction | None = None) -> dict[str, dict[str, float]]:
        """metric -> system -> p-value of approximate randomisation or, without it, of the resampling test.

        Args:
            correction: ``"holm"`` corrects for all comparisons in the table; None does not correct.

        Raises:
            UserError: the correction is unknown.
        """
        cells = {
            (metric, system): difference.p_resampling
            if difference.p_randomisation is None
            else difference.p_randomisation
            for metric, by_system in self.differences.items()
            for system, difference in by_system.items()
        }
        if correction == "holm":
            cells = dict(zip(cells, holm(list(cells.values()))))
        elif correction is not None:
            raise UserError(f"correction is {correction!r}, expected 'holm' or None")
        table: dict[str, dict[str, float]] = {metric: {} for metric in self.differences}
        for (metric, system), p_value in cells.items():
            table[metric][system] = p_value
        return table

    def to_dict(self) -> dict[str, Any]:
        """The comparison as a JSON document."""
        corrected = self.p_values("holm")
        return {
            "scores": {
                metric: {system: asdict(estimate) for system, estimate in by_system.items()}
                for metric, by_system in self.scores.items()
            },
            "differences": {
                metric: {
                    system: asdict(difference) | {"p_holm": corrected[metric][system]}
                    for system, difference in by_system.items()
                }
                for metric, by_system in self.differences.items()
            },
            "baseline": self.baseline,
            "resampling": self.resampling,
            f"num_{self.tested_on}": self.num_pairs,
            "unavailable": self.unavailable,
            "warnings": self.warnings,
            "signature": self.signature,
        }


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down correction, which bounds the probability of any false positive.

    Returns:
        Corrected p-values in the same order, to be compared with the uncorrected level.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p_value) for p_value in corrected]
