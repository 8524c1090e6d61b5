"""Tells a criterion the epoch, which fairseq does not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["on_begin_epoch"]


def on_begin_epoch(task: Any, callback: Callable[[int, Any], None]) -> None:
    """Call ``callback(epoch, model)`` whenever the trainer begins an epoch, counted from 1 as in its log.

    The trainer announces an epoch only to the task (``FairseqTask.begin_epoch``), once before the first
    batch: after resuming within an epoch it announces the epoch of the checkpoint, and after
    ``--reset-dataloader`` it announces 1. So this function replaces that method of the task object. The
    alternatives have faults: computing epochs from updates is wrong after ``--reset-dataloader`` and if the
    batch size changes, counting calls of ``train()`` is wrong after resuming, and a task class of this
    package would be a requirement for using the criterion.
    """
    begin_epoch = task.begin_epoch

    @functools.wraps(begin_epoch)
    def announce(epoch: int, model: Any) -> Any:
        callback(epoch, model)
        return begin_epoch(epoch, model)

    task.begin_epoch = announce
