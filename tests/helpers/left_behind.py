"""Whether the children of a process that is killed go on without it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

_PATIENCE = 60.0  # seconds


def live(fifo: str | os.PathLike[str]) -> None:
    """What a child does: say that it is there, and stay for longer than any test."""
    with open(fifo, "wb", buffering=0) as alive:
        alive.write(b"x")
        time.sleep(10 * _PATIENCE)


def ends_its_children(work: Callable[[], object], fifo: Path, number: signal.Signals) -> bool:
    """Kill a process whose children are at work; say whether these end too.

    Args:
        work: run in a process of its own; starts children that :func:`live`.
        fifo: named pipe of these; open for as long as one of them is there.
        number: the signal.
    """
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    process = os.fork()
    if process == 0:
        os.setsid()
        try:
            work()
        finally:
            os._exit(1)
    try:
        deadline = time.monotonic() + _PATIENCE
        while not select.select([reader], [], [], 0.1)[0] or not os.read(reader, 1):
            assert time.monotonic() < deadline, "no child has begun"
        os.kill(process, number)
        os.waitpid(process, 0)
        while time.monotonic() < deadline:
            if select.select([reader], [], [], 0.1)[0] and not os.read(reader, 1):
                return True
        return False
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
