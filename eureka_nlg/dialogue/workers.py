"""Work that is divided over processes, with the results in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from types import FrameType
from typing import Any, TypeVar

from eureka_nlg.children import end_with_parent
from eureka_nlg.errors import UserError

__all__ = ["check_shared_memory", "mapped"]

T = TypeVar("T")
R = TypeVar("R")


def check_shared_memory(option: str, without: str) -> None:
    """Refuse to start processes on a system without shared memory.

    Args:
        option: the option that asks for processes, with its value.
        without: the option with the value that asks for none.

    Raises:
        UserError: locks between processes cannot be made, as where there is no /dev/shm.
    """
    try:
        multiprocessing.get_context().Lock()
    except OSError as error:
        raise UserError(
            f"{option}: processes need shared memory, and /dev/shm cannot be used here ({error.strerror}): "
            f"give {without}"
        ) from error


@contextmanager
def mapped(work: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[Iterator[R]]:
    """``map(work, items)`` over at most so many processes, or in this one if that is enough.

    Memory holds at most two items and results for each process.

    Raises:
        UserError: a process ended before its work was done.
    """
    iterator = iter(items)
    first = list(islice(iterator, workers))
    items = chain(first, iterator)
    workers = len(first)  # no more than there is work for
    if workers <= 1:
        yield (work(item) for item in items)
        return
    with _silent_workers():
        pool = ProcessPoolExecutor(workers, initializer=_begin, initargs=(os.getpid(), work))
        try:
            yield _in_order(pool, items, 2 * workers)
        except BrokenProcessPool as error:
            reason = "a process ended before its work was done; give fewer if memory was short"
            raise UserError(f"--workers {workers}: {reason}") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, items: Iterable[Any], ahead: int) -> Iterator[Any]:
    waiting: deque[Future[Any]] = deque()
    for item in items:
        waiting.append(pool.submit(_do, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


_work: Callable[[Any], Any] | None = None  # of this process, if it is a worker


def _begin(parent: int, work: Callable[[Any], Any]) -> None:
    global _work
    end_with_parent(parent)  # else it would wait for work for ever if the parent is killed
    _work = work


def _do(item: Any) -> Any:
    assert _work is not None
    return _work(item)


@contextmanager
def _silent_workers() -> Iterator[None]:
    """Let an interrupt end forked workers without a traceback each; this process sees it as always."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    parent, before = os.getpid(), signal.getsignal(signal.SIGINT)

    def interrupted(signum: int, frame: FrameType | None) -> None:
        if os.getpid() != parent:
            os._exit(130)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
