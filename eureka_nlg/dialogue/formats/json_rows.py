"""Corpora as JSON: an array of rows, an object with an array for each split, or a row per line.

The keys of a row tell what it holds; see ``rows``. PersonaChat as Hugging Face publishes it is one object::

    {"train": [{"personality": [...], "utterances": [{"history": [...], "candidates": [..., reply]}]}],
     "valid": [...]}
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

from eureka_nlg.compressed import open_input
from eureka_nlg.dialogue.formats.base import BadEntry, Dialogue, Findings, Source, numbered_lines
from eureka_nlg.dialogue.formats.rows import Row, dialogues_of_rows, shape_of
from eureka_nlg.errors import UserError
from eureka_nlg.limits import LONGEST_LINE, parse_json, parse_json_at

__all__ = ["is_json_lines", "json_splits", "read_json", "read_json_lines"]

_BLOCK = 1 << 16
_EXPECTED = (
    'expected an array of rows, [{...}, ...], or an object of splits, {"train": [...], "valid": [...]}'
)
_SPACE = re.compile(r"[ \t\r\n]*")


class _Item(NamedTuple):
    """A row of the file.

    Attributes:
        split: key of the outermost object; None in an array.
        number: place in its array, from 1.
        value: the row.
    """

    split: str | None
    number: int
    value: Any


def json_splits(path: str) -> list[str] | None:
    """The keys of the outermost object, in order; None for an array, which is one split.

    This reads the whole file, and so checks it.

    Raises:
        UserError: broken JSON, with the line of the error, or JSON of another shape.
    """
    text = _Text(path)
    if text.next_character() == "[":
        return None
    splits: dict[str, None] = {}
    for item in _items(text):
        assert item.split is not None
        splits[item.split] = None
    if not splits:
        raise UserError(f"{path}:1: no splits in the JSON; {_EXPECTED}")
    return list(splits)


def read_json(source: Source, findings: Findings) -> Iterator[Dialogue]:
    """Dialogues of a file, or of one of its splits, in order. Memory holds one row at a time.

    Raises:
        UserError: broken JSON, or no such split.
        BadEntry: a row of another shape.
    """
    found: dict[str | None, None] = {}

    def rows() -> Iterator[Row]:
        for split, number, value in _items(_Text(source.location)):
            found[split] = None
            if split in (None, source.split) and number:
                name = "row" if split is None else f"{split} dialogue"
                where = f"{source.location}: {name} {number}"
                if isinstance(value, dict):
                    yield where, value
                else:
                    findings.refuse(BadEntry(f"{where}: {str(value)[:40]!r} is not an object; {_EXPECTED}"))

    yield from dialogues_of_rows(rows(), findings)
    if not {None, source.split} & found.keys():
        splits = ", ".join(str(split) for split in found)
        raise UserError(
            f"{source.location}: no split {source.split!r} in the JSON, which has {splits or 'none'}"
        )


def read_json_lines(source: Source, findings: Findings) -> Iterator[Dialogue]:
    """Dialogues of a file with a JSON object in each line, in order.

    Raises:
        BadEntry: a line that is not a JSON object, or a row of another shape.
    """

    def rows() -> Iterator[Row]:
        for number, line in numbered_lines(source.location, findings):
            if not line.strip():
                continue
            where = f"{source.location}:{number}"
            try:
                row = parse_json(line)
                if not isinstance(row, dict):
                    raise BadEntry(f"{where}: the line is not an object; expected a row such as {{...}}")
            except BadEntry as error:
                findings.refuse(error)
            except ValueError as error:
                findings.refuse(
                    BadEntry(f"{where}: broken JSON ({_reason(error)}); expected an object in each line")
                )
            else:
                yield where, row

    return dialogues_of_rows(rows(), findings)


def is_json_lines(path: str) -> bool:
    """Whether the file holds a row per line, judged by its first two lines."""
    lines = [line for _, line in islice(numbered_lines(path, Findings(skip_bad=True)), 2) if line.strip()]
    rows = []
    for line in lines:
        with suppress(ValueError):
            rows.append(parse_json(line))
    if not rows or not all(isinstance(row, dict) for row in rows):
        return False
    if len(rows) == 1:  # a row, or an object of splits
        with suppress(BadEntry):
            return bool(shape_of(tuple(rows[0]), path))
    return len(rows) > 1


def _reason(error: ValueError) -> str:
    return str(error).partition("\n")[0]


def _items(text: _Text) -> Iterator[_Item]:
    """The rows of the outermost array or object of arrays; each split also once, with the number 0."""
    start = text.next_character()
    if start == "[":
        text.take("[")
        yield from _array(text, None)
    elif start == "{":
        text.take("{")
        if text.next_character() != "}":
            while True:
                split = text.value()
                if not isinstance(split, str):
                    raise text.broken("expected the name of a split")
                text.take(":")
                text.take("[")
                yield _Item(split, 0, None)
                yield from _array(text, split)
                if text.next_character() != ",":
                    break
                text.take(",")
        text.take("}")
    else:
        raise text.broken("neither an array nor an object")
    if text.next_character():
        raise text.broken("more text after its end")


def _array(text: _Text, split: str | None) -> Iterator[_Item]:
    """The values of an array whose opening bracket was taken already."""
    if text.next_character() != "]":
        number = 0
        while True:
            number += 1
            yield _Item(split, number, text.value())
            if text.next_character() != ",":
                break
            text.take(",")
    text.take("]")


class _Text:
    """JSON text, read piece by piece."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._blocks = self._decoded()
        self._buffer, self._at = "", 0
        self._lines = 1  # up to the start of the buffer
        self._ended = self._taken = False

    def _decoded(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        with open_input(self.path) as file:
            while block := file.read(_BLOCK):
                try:
                    yield decoder.decode(block)
                except UnicodeDecodeError as error:
                    line = self._lines + self._buffer.count("\n") + error.object[: error.start].count(b"\n")
                    raise UserError(
                        f"{self.path}:{line}: byte 0x{error.object[error.start]:02x} is not UTF-8: convert "
                        "the file to UTF-8"
                    ) from None

    def _more(self) -> bool:
        """Read on, at least as much as is already in the buffer; False at the end of the file."""
        self._lines += self._buffer.count("\n", 0, self._at)
        pieces, size = [self._buffer[self._at :]], len(self._buffer) - self._at
        wanted, self._at = max(2 * size, 1), 0
        for piece in self._blocks:
            pieces.append(piece)
            size += len(piece)
            if size >= wanted:
                break
        else:
            self._ended = True
        self._buffer = "".join(pieces)
        return not self._ended

    def next_character(self) -> str:
        """The next character after white space; empty at the end of the file."""
        while True:
            match = _SPACE.match(self._buffer, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if self._ended:
                return ""
            self._more()

    def take(self, character: str) -> None:
        """Skip a character that must come next."""
        if self.next_character() != character:
            raise self.broken(f"expected {character!r}")
        self._at += 1
        self._taken = True

    def value(self) -> Any:
        """The next JSON value."""
        self.next_character()
        while True:
            try:
                value, end = parse_json_at(self._buffer, self._at)
            except ValueError as error:
                if not isinstance(error, json.JSONDecodeError):  # beyond a bound
                    raise self.broken(_reason(error)) from None
                size = len(self._buffer) - self._at
                if self._ended or size > LONGEST_LINE:
                    problem = (
                        f"a row of more than {LONGEST_LINE:,} characters"
                        if size > LONGEST_LINE
                        else error.msg
                    )
                    self._at = min(error.pos, len(self._buffer))
                    raise self.broken(problem) from None
            else:
                if end < len(self._buffer) or self._ended:  # else a number may go on
                    self._at = end
                    return value
            self._more()

    def broken(self, problem: str) -> UserError:
        """An error with the line that was reached."""
        if not self._buffer and self._ended and not self._taken:
            return UserError(f"{self.path}: the file is empty; {_EXPECTED}")
        line = self._lines + self._buffer.count("\n", 0, self._at)
        return UserError(f"{self.path}:{line}: broken JSON ({problem}); {_EXPECTED}")
