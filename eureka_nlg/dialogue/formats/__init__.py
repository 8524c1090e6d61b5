"""The corpus formats, one reader each, and how to tell them apart."""

from __future__ import annotations

from pathlib import Path

from eureka_nlg.dialogue.formats.base import BadEntry, Dialogue, Findings, Format, Source
from eureka_nlg.dialogue.formats.detection import detect, looks_like
from eureka_nlg.dialogue.formats.hub import hub_splits, read_hub
from eureka_nlg.dialogue.formats.json_rows import json_splits, read_json, read_json_lines
from eureka_nlg.dialogue.formats.lines import read_dialogpt, read_eou, read_parallel
from eureka_nlg.dialogue.formats.parlai import read_parlai, read_parlai_fields
from eureka_nlg.dialogue.formats.parquet import read_parquet
from eureka_nlg.dialogue.formats.tables import read_csv, read_tsv
from eureka_nlg.errors import UserError

__all__ = [
    "FORMATS",
    "FILE_FORMATS",
    "HUB",
    "PARALLEL",
    "BadEntry",
    "Dialogue",
    "Findings",
    "Format",
    "Source",
    "detect_format",
    "format_named",
    "what_it_looks_like",
]

HUB, PARALLEL = "hub", "parallel"

# The formats of `--format`. A new one is a reader and a line here (and, to be detected, a line in
# `detection`). A new kind of row in JSON, CSV, TSV, parquet and on the hub is an entry of `rows.SHAPES`.
FORMATS = {
    "parlai": Format("ParlAI's numbered lines", read_parlai),
    "parlai-fields": Format("ParlAI's lines of text: and labels:", read_parlai_fields),
    "dailydialog": Format("a dialogue per line, with __eou__ after each utterance", read_eou),
    "dialogpt": Format("DialoGPT's turns with weights", read_dialogpt),
    "tsv": Format("lines of context<TAB>reply, or a table with tabs", read_tsv),
    "csv": Format("a table with the names of its columns", read_csv),
    "json": Format("an array of rows, or an object of splits", read_json, json_splits),
    "jsonl": Format("a JSON object per line", read_json_lines),
    "parquet": Format("a parquet file of rows", read_parquet),
    PARALLEL: Format("two files, contexts and replies line by line", read_parallel),
    HUB: Format("a data set of the Hugging Face hub", read_hub, hub_splits),
}

FILE_FORMATS = tuple(name for name in FORMATS if name != HUB)
_OLD_NAMES = {"personachat-json": "json"}


def format_named(name: str) -> str:
    """The format that a user names.

    Raises:
        UserError: there is no format of this name.
    """
    name = _OLD_NAMES.get(name, name)
    if name not in FILE_FORMATS:
        raise UserError(f"--format {name}: expected one of {', '.join(FILE_FORMATS)}")
    return name


def detect_format(path: Path) -> str:
    """Detect the format of a file from its content.

    Raises:
        UserError: the content looks like no format, or like two.
    """
    return detect(Path(path), FILE_FORMATS)


def what_it_looks_like(source: Source) -> str | None:
    """The format that the content of a file suggests; None if it suggests none, or for a pair of files."""
    if source.format in (HUB, PARALLEL):
        return None
    return looks_like(Path(source.location))[0]
