"""Corpora as parquet files, whose rows are like those of JSON and are read in batches."""

from __future__ import annotations

from collections.abc import Iterator

from eureka_nlg.dialogue.formats.base import Dialogue, Findings, Source
from eureka_nlg.dialogue.formats.rows import Row, dialogues_of_rows
from eureka_nlg.errors import UserError, require

__all__ = ["read_parquet"]

_ROWS = 256  # in memory at a time


def read_parquet(source: Source, findings: Findings) -> Iterator[Dialogue]:
    """Dialogues of a parquet file, in order.

    Raises:
        UserError: a broken file.
        BadEntry: a row of no known shape, or one whose values do not fit its shape.
    """
    return dialogues_of_rows(_rows(source.location), findings)


def _rows(path: str) -> Iterator[Row]:
    arrow = require("pyarrow", extra="data")
    parquet = require("pyarrow.parquet", extra="data")
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", row
    except (arrow.ArrowException, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"{path}: after row {number}: broken parquet file ({reason})") from error
