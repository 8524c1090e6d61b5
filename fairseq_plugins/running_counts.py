"""Counts that grow with every update of a training, and survive its being resumed."""

from __future__ import annotations

from typing import Any

from fairseq.logging import metrics
from fairseq.logging.meters import SumMeter
from torch import Tensor

__all__ = ["RunningCounts"]


class RunningCounts:
    """Counts of classes ``[C]`` float64, summed over the updates.

    They are a meter of fairseq's: of the state of a criterion and of a task fairseq restores nothing when a
    training goes on, but its meters are in each checkpoint and come back with it, unless ``--reset-meters``
    is given. And what a criterion or task logs is summed over the batches of an update and over processes,
    dummy batches left out, before it comes here: all processes hold the same counts.

    Args:
        name: under which they are in the checkpoint.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def add(self, counts: Tensor | None) -> None:
        """Add the counts of an update; to be called in ``reduce_metrics``."""
        if counts is None:
            return
        # a root of its own: no log line is to hold a vector
        with metrics.aggregate(self.name, new_root=True):
            metrics.log_custom(SumMeter, "counts", counts.double())

    def total(self) -> Tensor | None:
        """Counts of all updates before this one; None before the first."""
        meter: Any = metrics.get_meter(self.name, "counts")
        return None if meter is None else meter.sum
