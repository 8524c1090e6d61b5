"""Worker processes that read image files, and the errors that they send back."""

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
    """For a loader's worker processes: Ctrl-C is the parent's to handle, and one thread is enough."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


class ErrorsAsItems(Dataset[Any], Generic[T]):
    """A data set that returns the errors of another one, for :func:`without_errors` to raise.

    Raised in a worker process, an error would come with that process' traceback in its message.
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
    """A collate function that hands on the first error among its examples."""
    return partial(_collate_or_error, collate)


def _collate_or_error(collate: Callable[[list[Any]], T], examples: list[Any]) -> T | UserError:
    for example in examples:
        if isinstance(example, UserError):
            return example
    return collate(examples)


def without_errors(batches: Iterable[T | UserError]) -> Iterator[T]:
    """The batches; an error among them is raised."""
    for batch in batches:
        if isinstance(batch, UserError):
            raise batch
        yield batch
