"""Tables of Markdown: read and written."""

from __future__ import annotations

import re

__all__ = ["rows_of", "table"]


def rows_of(text: str, first_cell: str) -> tuple[list[str], dict[str, list[list[str]]]]:
    """The first table whose head begins with a cell: its head, and the rows by their first cell."""
    head: list[str] = []
    rows: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        if not line.startswith("|"):
            if rows:
                break
            head = []
            continue
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
        if not head and cells[0] == first_cell:
            head = cells
        elif head and set(line) - set("|-: "):
            rows.setdefault(cells[0], []).append(cells)
    if not rows:
        raise LookupError(f"no table with the first column {first_cell!r}")
    return head, rows


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """As Markdown."""
    return ["", *(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)), ""]
