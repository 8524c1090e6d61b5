"""The examples of docs/corpora.md, read as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from eureka_nlg.dialogue.corpus import Dialogues
from eureka_nlg.dialogue.exchanges import ContextOptions, exchanges
from eureka_nlg.dialogue.formats import FILE_FORMATS
from eureka_nlg.dialogue.formats.rows import SHAPES
from eureka_nlg.dialogue.sources import find_sources

DOCUMENT = (Path(__file__).parents[4] / "docs" / "corpora.md").read_text(encoding="utf-8")


class Example(NamedTuple):
    format: str
    files: dict[str, str]
    dialogues: int
    exchanges: int


def examples() -> list[Example]:
    found = []
    for section in re.split(r"^### ", DOCUMENT, flags=re.MULTILINE)[1:]:
        format = re.match(r"`([a-z-]+)`", section)
        assert format is not None
        for part in re.finditer(
            r"(.*?)^(\d+) dialogues, (\d+) exchanges\.$", section, re.MULTILINE | re.DOTALL
        ):
            files = dict(re.findall(r"^```(\S+)\n(.*?)^```$", part[1], re.MULTILINE | re.DOTALL))
            found.append(Example(format[1], files, int(part[2]), int(part[3])))
    return found


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.format)
def test_example(example: Example, tmp_path: Path) -> None:
    assert example.files
    for name, text in example.files.items():
        for split in ("train", "valid"):
            path = tmp_path / name.replace("train", split)
            path.write_text(text.replace("<TAB>", "\t"), encoding="utf-8")
    sources = find_sources([tmp_path])
    assert {source.format for source in sources["train"]} == {example.format}
    dialogues = list(Dialogues(sources["train"]))
    assert len(dialogues) == example.dialogues
    replies = [reply for d in dialogues for reply in exchanges(d, str.split, ContextOptions())]
    assert len(replies) == example.exchanges


def test_every_format_is_described_and_has_an_example() -> None:
    described = set(re.findall(r"^### `([a-z-]+)`", DOCUMENT, re.MULTILINE))
    assert described == set(FILE_FORMATS)
    assert {example.format for example in examples()} == set(FILE_FORMATS) - {"parquet"}


def test_every_kind_of_row_is_described() -> None:
    table = DOCUMENT.split("| columns | what they are |")[1].split("\n\n")[0]
    for shape in SHAPES.values():
        assert all(any(f"`{name}`" in table for name in names) for names in shape.columns), shape
