"""Worker processes that read image files."""

from __future__ import annotations

import signal

import torch

__all__ = ["leave_interrupts_to_the_parent"]


def leave_interrupts_to_the_parent(worker: int) -> None:
    """For a loader's worker processes: Ctrl-C is the parent's to handle, and one thread is enough."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
