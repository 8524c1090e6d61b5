"""Interruption: a step is finished, and its state saved, before a signal ends the run."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupted", "Signals"]


class Interrupted(Exception):
    """SIGINT or SIGTERM came; the state is in the checkpoint.

    Attributes:
        signal_number: which.
    """

    def __init__(self, signal_number: int, step: int) -> None:
        super().__init__(f"stopped by a signal after step {step}; the same command goes on from there")
        self.signal_number = signal_number


class Signals:
    """Note SIGINT and SIGTERM while inside, so that a step is finished first; a second one acts at once."""

    def __init__(self, enabled: bool) -> None:
        self.received: int | None = None
        # Python lets only the main thread listen.
        self._enabled = enabled and threading.current_thread() is threading.main_thread()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if self._enabled:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.received = number
