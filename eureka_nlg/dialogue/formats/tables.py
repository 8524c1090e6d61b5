"""Corpora as tables: CSV with the columns persona and chat, and plain ``context<TAB>reply`` lines."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from eureka_nlg.dialogue.formats.base import Dialogue, numbered_lines
from eureka_nlg.dialogue.formats.rows import pair_dialogue, row_reader
from eureka_nlg.errors import UserError

__all__ = ["read_csv", "read_tsv"]

_LONGEST_CELL = 1 << 24  # characters; csv's own limit of 131072 is short for a long chat


def read_csv(path: Path) -> Iterator[Dialogue]:
    """Dialogues of a CSV file, one a row; the first row names the columns, others than these are ignored.

    Raises:
        UserError: missing columns, a row of another width, broken quoting, an empty chat.
    """
    csv.field_size_limit(_LONGEST_CELL)
    rows = csv.reader((f"{line}\n" for _, line in numbered_lines(path)), strict=True)
    columns: list[str] = []
    first_line = 1
    try:
        for row in rows:
            where, first_line = f"{path}:{first_line}", rows.line_num + 1
            if not row:  # a blank line
                continue
            if not columns:
                columns = row
                read = row_reader(columns, where)
                continue
            if len(row) != len(columns):
                raise UserError(
                    f"{where}: {len(row)} cells in the row; expected {len(columns)}, as in the first row"
                )
            yield read(dict(zip(columns, row)), where)
    except csv.Error as error:
        raise UserError(
            f"{path}:{first_line}: broken CSV ({error}); expected rows of {', '.join(columns)}"
        ) from error


def read_tsv(path: Path) -> Iterator[Dialogue]:
    """Dialogues of one context and one reply, one a line, a tab between them.

    Raises:
        UserError: not exactly one tab, or an empty reply.
    """
    for number, line in numbered_lines(path):
        if not line.strip(" "):
            continue
        fields = line.split("\t")
        if len(fields) != 2:
            raise UserError(
                f"{path}:{number}: {len(fields) - 1} tabs in the line; expected one, `context<TAB>reply`"
            )
        yield pair_dialogue(fields[0], fields[1], f"{path}:{number}")
