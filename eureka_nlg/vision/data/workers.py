"""Worker processes that read image files, and the transfer of their errors."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import Dataset

from eureka_nlg.errors import UserError

__all__ = ["ErrorsAsItems", "collate_or_error", "leave_interrupts_to_the_parent", "without_errors"]

T = TypeVar("T")


def leave_interrupts_to_the_parent(worker: int) -> None:
    """Set up a worker process: it ignores Ctrl-C, which its parent handles, and uses one thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


class ErrorsAsItems(Dataset[Any], Generic[T]):
    """A data set that returns the errors of another data set, for :func:`without_errors` to raise.

    If a worker process raised an error, its message would contain the traceback of that process.
    """

    def __init__(self, images: Any) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: Any) -> T | UserError:
        try:
            return self.images[item]
        except UserError as error:
            return error


def collate_or_error(collate: Callable[[list[Any]], T]) -> Callable[[list[Any]], T | UserError]:
    """A collate function that returns the first error among its examples, if there is one."""
    return partial(_collate_or_error, collate)


def _collate_or_error(collate: Callable[[list[Any]], T], examples: list[Any]) -> T | UserError:
    for example in examples:
        if isinstance(example, UserError):
            return example
    return collate(examples)


def without_errors(batches: Iterable[T | UserError]) -> Iterator[T]:
    """The batches; raises an error that is among them."""
    for batch in batches:
        if isinstance(batch, UserError):
            raise batch
        yield batch
