"""Counts that grow with every update of a training and are kept when it is resumed."""

from __future__ import annotations

from typing import Any

from fairseq.logging import metrics
from fairseq.logging.meters import SumMeter
from torch import Tensor

__all__ = ["RunningCounts"]


class RunningCounts:
    """Counts of classes ``[C]`` float64, summed over the updates.

    They are stored in a meter of fairseq. When a training is resumed, fairseq does not restore the state of
    criterions and tasks, but it restores its meters, unless ``--reset-meters`` is given. What a criterion or
    a task logs is summed over the batches of an update and over the processes, without dummy batches, before
    it comes here. So all processes have the same counts.

    Args:
        name: name of the counts in the checkpoint.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def add(self, counts: Tensor | None) -> None:
        """Add the counts of an update (None: nothing); to be called in ``reduce_metrics``."""
        if counts is None:
            return
        # in a separate root, so that the vector is not printed in log lines
        with metrics.aggregate(self.name, new_root=True):
            metrics.log_custom(SumMeter, "counts", counts.double())

    def total(self) -> Tensor | None:
        """Counts of all earlier updates; None before the first update."""
        meter: Any = metrics.get_meter(self.name, "counts")
        return None if meter is None else meter.sum
