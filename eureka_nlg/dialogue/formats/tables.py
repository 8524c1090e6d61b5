"""Corpora as tables: CSV and TSV with named columns, and plain ``context<TAB>reply`` lines."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from eureka_nlg.compressed import open_input
from eureka_nlg.dialogue.formats.base import BadEntry, Dialogue, Findings, Source, numbered_lines
from eureka_nlg.dialogue.formats.rows import Row, dialogues_of_rows, shape_of
from eureka_nlg.dialogue.formats.shapes import context_dialogue
from eureka_nlg.errors import UserError
from eureka_nlg.limits import LONGEST_LINE

__all__ = ["header_of", "read_csv", "read_tsv"]

_DELIMITERS = ",\t;"
_WRAPPED = re.compile(r'\s*"(?:[^"]|"")*"\s*')  # a cell in quotation marks, with doubled ones inside


class Header(NamedTuple):
    """The first row of a table: the names of its columns, and the delimiter."""

    columns: list[str]
    delimiter: str


def header_of(line: str) -> Header | None:
    """The header that a line is, if its columns are those of a known shape of row; else None."""
    for delimiter in _DELIMITERS:
        with suppress(csv.Error, BadEntry):
            columns = next(csv.reader([line], delimiter=delimiter, strict=True), [])
            if len(columns) > 1:
                shape_of(columns, "")
                return Header(columns, delimiter)
    return None


def read_csv(source: Source, findings: Findings) -> Iterator[Dialogue]:
    """Dialogues of a table. The first row names the columns; columns that are not needed are ignored.

    Raises:
        UserError: columns of no known shape, or a quoted cell that does not end.
        BadEntry: a row of another width, or one whose values do not fit its shape.
    """
    return dialogues_of_rows(_rows(source.location, findings), findings)


def read_tsv(source: Source, findings: Findings) -> Iterator[Dialogue]:
    """Dialogues of one context and one reply, separated by a tab, on each line; or of a table with tabs.

    Raises:
        BadEntry: not exactly one tab, or an empty reply.
    """
    path = source.location
    first = next((line for _, line in numbered_lines(path) if line.strip()), "")
    if header_of(first) is not None and "\t" in first:
        yield from read_csv(source, findings)
        return
    if _is_quoted(path, "\t", 2):
        rows = (
            (where, dict(zip(("context", "reply"), row))) for where, row in _quoted(path, "\t", findings, 2)
        )
        yield from dialogues_of_rows(rows, findings)
        return
    for number, line in numbered_lines(path, findings):
        if not line.strip(" "):
            continue
        where, fields = f"{path}:{number}", line.split("\t")
        try:
            if len(fields) != 2:
                raise BadEntry(
                    f"{where}: {len(fields) - 1} tabs in the line; expected one, `context<TAB>reply`"
                )
            yield context_dialogue(fields[0], fields[1], None, None, where)
        except BadEntry as error:
            findings.refuse(error)


def _rows(path: str, findings: Findings) -> Iterator[Row]:
    number, first = next((numbered for numbered in numbered_lines(path) if numbered[1].strip()), (1, ""))
    header = header_of(first)
    if header is None:
        columns = first.split(",")
        try:
            shape_of(columns, f"{path}:{number}")
        except BadEntry as error:
            raise UserError(str(error)) from None  # nothing of the file can be read
        header = Header(columns, ",")
    columns, delimiter = header
    cells = _quoted if _is_quoted(path, delimiter, len(columns)) else _plain
    for where, row in islice(cells(path, delimiter, findings, len(columns)), 1, None):
        yield where, dict(zip(columns, row))


def _is_quoted(path: str, delimiter: str, width: int) -> bool:
    """Whether quotation marks around cells are the table's, not the text's: which way the rows come out even.

    Where both ways do, the marks of a CSV file are the table's. Among tabs, where many write text as it is,
    the marks are the table's if such a cell has doubled marks, or if every cell has marks around it.

    Args:
        path: the file.
        delimiter: what parts the cells.
        width: number of cells in a row.
    """
    if not _has_marks(path):
        return False
    csv.field_size_limit(LONGEST_LINE)
    odd_plain, odd_quoted = 0.0, 0.0
    doubled, all_wrapped = False, True
    line_number, first_line = 0, 1

    def lines() -> Iterator[str]:
        nonlocal odd_plain, doubled, all_wrapped, line_number
        for line_number, line in numbered_lines(path, Findings(skip_bad=True)):  # noqa: B007
            if line.strip():
                odd_plain += line.count(delimiter) != width - 1
                wrapped = [bool(_WRAPPED.fullmatch(cell)) for cell in line.split(delimiter)]
                all_wrapped = all_wrapped and all(wrapped)
                doubled = doubled or any(
                    '""' in cell.strip()[1:-1]
                    for cell, is_wrapped in zip(line.split(delimiter), wrapped)
                    if is_wrapped
                )
            yield _row_text(line)

    passed_on = lines()
    try:
        for row in csv.reader(passed_on, delimiter=delimiter, strict=True):
            odd_quoted += bool(row) and len(row) != width
            first_line = line_number + 1
    except csv.Error:
        odd_quoted = math.inf
        for _ in passed_on:  # count on
            pass
    if delimiter != "\t":
        cut_off = odd_quoted == math.inf and first_line == line_number
        return odd_quoted <= odd_plain or cut_off
    return odd_quoted < odd_plain or (odd_quoted == odd_plain and (doubled or all_wrapped))


def _has_marks(path: str) -> bool:
    with open_input(path) as file:
        return any(b'"' in block for block in iter(lambda: file.read(1 << 20), b""))


def _quoted(path: str, delimiter: str, findings: Findings, width: int) -> Iterator[tuple[str, list[str]]]:
    """Rows of a table whose cells may be quoted, and then hold line breaks and delimiters."""
    csv.field_size_limit(LONGEST_LINE)
    lines = numbered_lines(path, findings)
    current = [0]

    def passed_on() -> Iterator[str]:
        for current[0], line in lines:
            yield _row_text(line)

    first_line = 1
    try:
        for row in csv.reader(passed_on(), delimiter=delimiter, strict=True):
            where, first_line = f"{path}:{first_line}", current[0] + 1
            if row:  # else a blank line
                if len(row) == width:
                    yield where, row
                else:
                    findings.refuse(_wrong_width(where, len(row), width))
    except csv.Error as error:
        raise UserError(
            f"{path}:{first_line}: broken CSV ({error}); expected rows of {width} cells, with quotation "
            "marks around a whole cell or not at all"
        ) from error


def _plain(path: str, delimiter: str, findings: Findings, width: int) -> Iterator[tuple[str, list[str]]]:
    """Rows of a table without quoted cells."""
    for number, line in numbered_lines(path, findings):
        if line.strip():
            where, row = f"{path}:{number}", line.split(delimiter)
            if len(row) == width:
                yield where, row
            else:
                findings.refuse(_wrong_width(where, len(row), width))


def _row_text(line: str) -> str:
    """A line as csv takes it: a carriage return inside, which is white space, would be an error."""
    return line.replace("\r", " ") + "\n"


def _wrong_width(where: str, found: int, expected: int) -> BadEntry:
    return BadEntry(f"{where}: {found} cells in the row; expected {expected}, as in the first row")
