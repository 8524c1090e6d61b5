"""Tell a criterion the epoch, which fairseq never does."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["on_begin_epoch"]


def on_begin_epoch(task: Any, callback: Callable[[int, Any], None]) -> None:
    """Call ``callback(epoch, model)`` whenever the trainer begins an epoch, counted from 1 as in its log.

    The trainer announces an epoch to the task alone (``FairseqTask.begin_epoch``), once before the first
    batch of every epoch: also after a resume in the middle of one, when it is the epoch of the checkpoint,
    and after ``--reset-dataloader``, when it is 1 again. So this listens on the one task object that the
    criterion was built with. The alternatives fail somewhere: counting epochs from updates is wrong after
    ``--reset-dataloader`` and when the batch size changes, counting calls of ``train()`` is wrong after a
    resume, and a task of our own would tie the criterion to it.
    """
    begin_epoch = task.begin_epoch

    @functools.wraps(begin_epoch)
    def announce(epoch: int, model: Any) -> Any:
        callback(epoch, model)
        return begin_epoch(epoch, model)

    task.begin_epoch = announce
