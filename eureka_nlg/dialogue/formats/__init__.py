"""The corpus formats, one reader each, and how to tell them apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from eureka_nlg.dialogue.formats.base import Dialogue, numbered_lines
from eureka_nlg.dialogue.formats.hub import hub_splits, read_hub
from eureka_nlg.dialogue.formats.parlai import read_parlai
from eureka_nlg.dialogue.formats.personachat_json import json_splits, read_personachat_json
from eureka_nlg.dialogue.formats.tables import read_csv, read_tsv
from eureka_nlg.errors import UserError

__all__ = ["FORMATS", "FILE_FORMATS", "HUB", "Dialogue", "Format", "detect_format"]

HUB = "hub"
_LOOKED_AT = 20  # lines
_NUMBERED = re.compile(r"\d+ ")


@dataclass(frozen=True)
class Format:
    """A way to write dialogues down.

    Attributes:
        description: for the help text.
        read: dialogues of (file or hub name, split within it).
        splits: names of the splits within one file or data set; None if a file is one split.
    """

    description: str
    read: Callable[[str, str], Iterator[Dialogue]]
    splits: Callable[[str], list[str]] | None = None


# What `--format` offers. A new format is one reader and one line here.
FORMATS = {
    "parlai": Format("ParlAI text", lambda path, split: read_parlai(Path(path))),
    "personachat-json": Format(
        "JSON of personality and utterances",
        lambda path, split: read_personachat_json(Path(path), split),
        lambda path: json_splits(Path(path)),
    ),
    "csv": Format("CSV with the columns persona and chat", lambda path, split: read_csv(Path(path))),
    "tsv": Format("lines of context<TAB>reply", lambda path, split: read_tsv(Path(path))),
    HUB: Format("a data set of the Hugging Face hub", read_hub, hub_splits),
}

FILE_FORMATS = tuple(name for name in FORMATS if name != HUB)


def detect_format(path: Path) -> str:
    """Name of the format of a file, by its extension and its first lines.

    Raises:
        UserError: they do not tell, or contradict each other.
    """
    suffix = path.suffix.lower()
    if suffix in (".csv", ".json"):
        return {".csv": "csv", ".json": "personachat-json"}[suffix]
    lines = [line for _, line in islice(numbered_lines(path), _LOOKED_AT) if line.strip()]
    starts_at_one = bool(lines) and lines[0].startswith("1 ")
    if starts_at_one and suffix != ".tsv":
        return "parlai"
    pairs = all(line.count("\t") == 1 for line in lines) and not any(map(_NUMBERED.match, lines))
    if lines and (pairs or (suffix == ".tsv" and not starts_at_one)):
        return "tsv"
    raise UserError(
        f"{path}: neither its extension nor its first lines tell the format; "
        f"give --format, one of {', '.join(FILE_FORMATS)}"
    )
