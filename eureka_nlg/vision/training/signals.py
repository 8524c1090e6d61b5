"""Interruption by a signal: the current step is finished and saved before the run ends."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupted", "Signals"]


class Interrupted(Exception):
    """SIGINT or SIGTERM arrived, and the state has been saved in the checkpoint.

    Attributes:
        signal_number: number of the signal.
    """

    def __init__(self, signal_number: int, step: int) -> None:
        super().__init__(f"stopped by a signal after step {step}; the same command goes on from there")
        self.signal_number = signal_number


class Signals:
    """Context in which SIGINT and SIGTERM are only recorded; a second signal ends the process at once."""

    def __init__(self, enabled: bool) -> None:
        self.received: int | None = None
        # Python allows only the main thread to set signal handlers.
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
