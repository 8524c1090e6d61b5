"""Lines of text files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.text.lines import TextFile


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\n\r\nb\r\n", ["a", "", "b"]),
        (b"\n", [""]),
        ("a\u2028b\x0b\x0c\x1c\x85\rc\n".encode(), ["a\u2028b\x0b\x0c\x1c\x85\rc"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
        (b"a\r\r\n", ["a\r"]),
    ],
)
def test_lines_end_at_line_feeds_only(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    file = TextFile(path)
    for _ in range(2):
        assert list(file) == lines
        assert file.num_lines == len(lines)
        assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert file.name == "x.txt"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x.txt: the file is empty, expected one reply per line"),
        (b"a\nb\xe9 c\n", "x.txt:2: byte 2 of the line is 0xe9, which is not UTF-8"),
        ("a\n".encode("utf-16"), "x.txt:1: byte 1 of the line is 0xff, which is not UTF-8"),
    ],
)
def test_bad_input(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        list(TextFile(path))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_long_files(tmp_path: Path, end: str) -> None:
    path = tmp_path / "x.txt"
    lines = [f"é line {number} " + "x" * (number % 300) for number in range(3000)]
    path.write_bytes("".join(line + end for line in lines).encode())
    file = TextFile(path)
    numbers = []
    for line, expected in zip(file, lines, strict=True):
        assert line == expected
        numbers.append(file.num_lines)
    assert numbers == list(range(1, 3001))
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()

    path.write_bytes(path.read_bytes().replace(b"line 2900", b"l\xe9ne 2900"))
    read = []
    with pytest.raises(UserError, match=r"x.txt:2901: byte 5 of the line is 0xe9"):
        read.extend(TextFile(path))
    assert read == lines[:2900]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(TextFile(tmp_path / "missing.txt"))
