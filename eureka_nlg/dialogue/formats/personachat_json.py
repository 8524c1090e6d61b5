"""PersonaChat as the JSON that Hugging Face publishes: an object of splits, each a list of dialogues.

{"train": [{"personality": [...], "utterances": [{"history": [...], "candidates": [..., reply]}]}],
 "valid": [...]}
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eureka_nlg.dialogue.formats.base import Dialogue
from eureka_nlg.dialogue.formats.rows import row_reader
from eureka_nlg.errors import UserError, require

__all__ = ["read_personachat_json", "json_splits"]

_EXPECTED = 'expected an object of splits, {"train": [...], "valid": [...]}'


def json_splits(path: Path) -> list[str]:
    """The keys of the outermost object, in order; reads, and so checks, the whole file.

    Raises:
        UserError: broken JSON, with the line of the error, or JSON of another shape.
    """
    ijson = require("ijson", extra="data")
    if not path.stat().st_size:
        raise UserError(f"{path}: the file is empty; {_EXPECTED}")
    with _json_errors(path), open(path, "rb") as file:
        keys = [value for prefix, event, value in ijson.parse(file) if event == "map_key" and not prefix]
    if not keys:
        raise UserError(f"{path}:1: no splits in the JSON; {_EXPECTED}")
    return keys


def read_personachat_json(path: Path, split: str) -> Iterator[Dialogue]:
    """Dialogues of one split, in order, never more than one in memory.

    Args:
        path: the file.
        split: key of the outermost object.

    Raises:
        UserError: broken JSON, no such split, or a dialogue of another shape.
    """
    ijson = require("ijson", extra="data")
    number = 0
    with _json_errors(path), open(path, "rb") as file:
        for number, row in enumerate(ijson.items(file, f"{split}.item"), start=1):
            where = f"{path}: {split} dialogue {number}"
            if not isinstance(row, dict):
                raise UserError(f"{where}: expected an object with personality and utterances")
            yield row_reader(list(row), where)(row, where)
    if not number:
        splits = json_splits(path)
        if split not in splits:
            raise UserError(f"{path}: no split {split!r} in the JSON, which has {', '.join(splits)}")


@contextmanager
def _json_errors(path: Path) -> Iterator[None]:
    """Say where the JSON is broken."""
    ijson = require("ijson", extra="data")
    try:
        yield
    except (ijson.JSONError, UnicodeDecodeError) as error:
        problem = str(error).strip().splitlines()[0]
        raise UserError(f"{path}:{_line_of_error(path)}: broken JSON ({problem}); {_EXPECTED}") from error


def _line_of_error(path: Path) -> int:
    """Number of the line up to which the file is JSON; the parser does not tell, so it gets line by line."""
    ijson = require("ijson", extra="data")
    events = ijson.sendable_list()
    parser = ijson.basic_parse_coro(events)
    lines = 0
    with open(path, "rb") as file:
        try:
            for line in file:
                lines += 1
                parser.send(line)
                events.clear()
        except (ijson.JSONError, UnicodeDecodeError, StopIteration):
            pass
    return lines
