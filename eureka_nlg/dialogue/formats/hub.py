"""Dialogue data sets of the Hugging Face hub, read as a stream."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from eureka_nlg.datasets_cache import cache_dir
from eureka_nlg.dialogue.formats.base import Dialogue, Findings, Source
from eureka_nlg.dialogue.formats.rows import Row, dialogues_of_rows
from eureka_nlg.errors import UserError, require

__all__ = ["hub_splits", "read_hub"]


def hub_splits(name: str) -> list[str]:
    """The splits of a data set of the hub.

    Raises:
        UserError: there is no such data set, or no network.
    """
    return list(_load(name))


def read_hub(source: Source, findings: Findings) -> Iterator[Dialogue]:
    """Dialogues of one split of a data set of the hub, in order.

    Raises:
        UserError: the network failed.
        BadEntry: a row of no known shape, or one whose values do not fit its shape.
    """
    return dialogues_of_rows(_rows(source.location, source.split), findings)


def _rows(name: str, split: str) -> Iterator[Row]:
    rows = iter(_load(name)[split])
    number = 0
    while True:
        number += 1
        try:
            row = next(rows, None)
        except Exception as error:
            raise _unreadable(name, error) from error
        if row is None:
            return
        yield f"{name}: {split} row {number}", row


def _load(name: str) -> Any:
    library = require("datasets", extra="data")
    client = logging.getLogger("huggingface_hub")
    level = client.level
    client.setLevel(logging.ERROR)  # it warns of each try, and the error says the same once
    try:
        return library.load_dataset(name, streaming=True, cache_dir=cache_dir())
    except Exception as error:
        raise _unreadable(name, error) from error
    finally:
        client.setLevel(level)


def _unreadable(name: str, error: Exception) -> UserError:
    # The hub's client raises errors of several libraries, which change from version to version.
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UserError(
        f"{name}: is neither a file nor a folder, and cannot be read as a data set of the Hugging Face hub "
        f"({reason})"
    )
