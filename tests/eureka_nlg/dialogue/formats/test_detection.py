"""Which format a file is taken for."""

from __future__ import annotations

from pathlib import Path

import pytest

from eureka_nlg.dialogue.formats import detect_format
from eureka_nlg.errors import UserError

PAIRS = "a\tb\n" * 30


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.txt", "1 your persona: x.\n2 a\tb\n", "parlai"),
        ("a.txt", "1 a\tb\nbroken\n", "parlai"),
        ("a", "a\tb\nc\td\n", "tsv"),
        ("a.tsv", "a\tb\nbroken\n", "tsv"),
        ("a.txt", "a\tb\n2 of us\td\ne\tf\n", "tsv"),  # one context begins with a number
        ("a.csv", "whatever", "csv"),
        ("a.txt", "context,reply\n", "csv"),
        ("a.txt", "context\treply\n", "tsv"),
        ("a.JSON", "whatever", "json"),
        ("a.txt", '[{"a": 1}]', "json"),
        ("a.txt", "[laughs]\tha\n", "tsv"),
        ("a.txt", '{"a": 1}\n{"b": 2}\n', "jsonl"),
        ("a.json", '{"messages": []}\n', "jsonl"),
        ("a.json", '{"data": []}', "json"),
        ("a.json", '{"train": [{"a": 1}]}\n', "json"),
        ("a.jsonl", "whatever", "jsonl"),
        ("a.txt", "text:a\tlabels:b\n", "parlai-fields"),
        ("a.tsv", "text:a\tlabels:b\tepisode_done:True\n", "parlai-fields"),
        ("a.txt", "text: is what he said\tyes\nb\tc\n", "tsv"),
        ("a.txt", "a __eou__ b\n", "dailydialog"),
        ("a.txt", "a __eou__ b\tc\n", "tsv"),
        ("a.tsv", "0.0 a EOS 1.0 b\t1.0 c\n", "dialogpt"),
        ("a.tsv", "1.0 is the weight\tof it\n2.5 kilos\ta lot\n", "tsv"),
    ],
)
def test_detection(tmp_path: Path, name: str, text: str, expected: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert detect_format(path) == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "a\tb\n2 c\td\n", "the other lines are numbered"),
        ("a.tsv", "1 a\tb\n", "its name or first line suggests pairs"),
        ("a.txt", "just text\n", "its format cannot be detected from its name"),
        ("a.txt", "\n\n", "has no lines to detect the format from"),
        (
            "a.txt",
            PAIRS + "text:a\tlabels:b\n",
            "looks like two formats (30 of 31 lines like tsv, 1 of 31 lines like parlai-fields)",
        ),
        ("a.txt", PAIRS + "a __eou__ b __eou__\n", "looks like two formats"),
        ("a.txt", PAIRS + "0.0 a\t1.0 b\n", "looks like two formats"),
    ],
)
def test_detection_that_is_unsure_names_the_choices(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        detect_format(path)
    assert message in str(caught.value)
    assert "; give --format, one of parlai, parlai-fields, dailydialog, " in str(caught.value)
