"""Vocabulary files and counts of words."""

from __future__ import annotations

from pathlib import Path

import pytest

from eureka_nlg.errors import UserError
from eureka_nlg.metrics import read_vocabulary, read_word_counts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the 120\ncat 3\nmadeupword0000 0\nmadeupword0001 0\n", ["the", "cat"]),
        ("the\ncat\n7\n", ["the", "cat", "7"]),
        ("<s> 5 #fairseq:overwrite\n7 9\n", ["<s>", "7"]),
        ("madeupword0000 2\nrare 0\n", ["madeupword0000", "rare"]),
    ],
)
def test_forms(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "dict.txt"
    path.write_text(text, encoding="utf-8")
    assert read_vocabulary(path) == words


@pytest.mark.parametrize("line", ["", "two words", "word 1 2", " word", "word 1.5", "word -1"])
def test_bad_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "dict.txt"
    path.write_text(f"the 3\n{line}\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"dict.txt:2: .* is no entry of a vocabulary, expected `word` or `word count`"
    ):
        read_vocabulary(path)


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "dict.txt"
    path.touch()
    with pytest.raises(UserError, match="empty, expected one word per line"):
        read_vocabulary(path)


def test_counts(tmp_path: Path) -> None:
    path = tmp_path / "dict.txt"
    path.write_text("the 120\n7\t9\nrare 0\n<s> 5 #fairseq:overwrite\nmadeupword0000 0\n", encoding="utf-8")
    assert read_word_counts(path) == {"the": 120, "7": 9, "rare": 0, "<s>": 5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 3\ncat\n", "dict.txt:2: 'cat' has no count, expected `word count`"),
        ("the 3\na b c\n", "dict.txt:2: 'a b c' is no entry of a vocabulary, expected `word count`"),
        ("the 3\ncat 1\nthe 4\n", "dict.txt:3: a second entry for 'the'"),
    ],
)
def test_bad_counts(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "dict.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_word_counts(path)
