"""Detect the format of a file from all of its content, as the first lines may not be enough."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from eureka_nlg.compressed import open_input, plain_name
from eureka_nlg.dialogue.formats.base import Findings, numbered_lines
from eureka_nlg.dialogue.formats.json_rows import is_json_lines
from eureka_nlg.dialogue.formats.lines import DIALOGPT
from eureka_nlg.dialogue.formats.parlai import FIELDS, NUMBERED
from eureka_nlg.dialogue.formats.tables import header_of
from eureka_nlg.errors import UserError

__all__ = ["detect", "looks_like"]

_PARQUET = b"PAR1"
_JSON_START = re.compile(rb'(\xef\xbb\xbf)?\s*(\[\s*[\[{"\]]|\{\s*["}])')
_LEAST_SHARE = 0.5  # at least this share of the lines must look like the format
_OTHER_SHARE = 0.02  # if more than this share look like another format, it is not by chance


def detect(path: Path, choices: Sequence[str]) -> str:
    """Name of the format of a file.

    Args:
        path: the file.
        choices: names of formats to offer in the error.

    Raises:
        UserError: the content looks like no format, or like two.
    """
    found, problem = looks_like(path)
    if found is None:
        raise UserError(f"{path}: {problem}; give --format, one of {', '.join(choices)}")
    return found


def looks_like(path: Path) -> tuple[str | None, str]:
    """Name of the format of a file, or None and the reason why it cannot be detected."""
    suffix = plain_name(path).suffix.lower()
    with open_input(path) as file:
        head = file.read(1 << 12)
    if head.startswith(_PARQUET) or suffix == ".parquet":
        return "parquet", ""
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl", ""
    if suffix == ".json" or _JSON_START.match(head):
        return ("jsonl" if is_json_lines(str(path)) else "json"), ""
    return _by_lines(path, suffix)


def _by_lines(path: Path, suffix: str) -> tuple[str | None, str]:
    lines, header, starts_at_one = 0, None, False
    votes = dict.fromkeys(("parlai", "parlai-fields", "dailydialog", "dialogpt", "tsv"), 0)
    # Each of these lines occurs in one format only, so that no format is taken for another.
    for _, line in numbered_lines(path, Findings(skip_bad=True)):
        if not line.strip():
            continue
        lines += 1
        if lines == 1:
            header, starts_at_one = header_of(line), line.startswith("1 ")
        tabs = line.count("\t")
        if tabs and FIELDS.match(line):
            votes["parlai-fields"] += 1
        elif tabs == 1 and DIALOGPT.match(line):
            votes["dialogpt"] += 1
        elif not tabs and ("__eou__" in line or "__eot__" in line):
            votes["dailydialog"] += 1
        elif NUMBERED.match(line):
            votes["parlai"] += 1
        elif tabs == 1:
            votes["tsv"] += 1
    if not lines:
        return None, "the file has no lines to detect the format from"
    if header is not None or suffix == ".csv":
        return ("tsv" if header is not None and header.delimiter == "\t" else "csv"), ""
    if not starts_at_one and votes["parlai"] < _LEAST_SHARE * lines:
        votes["tsv"] += votes.pop("parlai")  # contexts that begin with a number
    best = max(votes, key=lambda name: votes[name])
    others = {name: count for name, count in votes.items() if name != best and count > _OTHER_SHARE * lines}
    if votes[best] < _LEAST_SHARE * lines:
        return None, "its format cannot be detected from its name and its lines"
    if best == "parlai" and (suffix == ".tsv" or not starts_at_one):
        return None, "its name or first line suggests pairs, but the other lines are numbered like ParlAI's"
    if others and best != "parlai":
        counts = ", ".join(
            f"{count:,} of {lines:,} lines like {name}"
            for name, count in {best: votes[best], **others}.items()
        )
        return None, f"looks like two formats ({counts})"
    return best, ""
