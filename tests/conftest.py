"""What all tests share: reproducible random numbers, and commands run as a user would run them."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch
from forked import Forked
from hypothesis import settings

# The same examples in every run, and no time limit for one: a loaded machine must not fail a test.
settings.register_profile("reproducible", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("reproducible")

# Imports make millions of objects that stay; to look for garbage among them is a fifth of the time before the
# first test.
gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with real trainings come first: one of them at the end would leave the other cores idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """What has been imported stays: the garbage collector need not walk over millions of objects again.

    Hugging Face's Trainer and torch.compile ask for a full collection each time, which would take a second.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_sessionfinish() -> None:
    """Give everything back, or libraries complain of leaks when the interpreter ends."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same random numbers whichever tests ran before."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    """Run Python with the given arguments in the project's folder, or in ``cwd``, on one thread.

    The process is forked from one that has imported torch and fairseq; ``fresh=True`` starts an interpreter.
    """
    forked = Forked(tmp_path_factory.mktemp("forked"))
    yield forked
    forked.close()
