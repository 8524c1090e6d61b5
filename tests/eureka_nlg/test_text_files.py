"""Lines of text files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from eureka_nlg import text_files
from eureka_nlg.errors import UserError
from eureka_nlg.text_files import TextFile


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


@pytest.mark.parametrize("at", ["first", "middle", "last", "last without line end"])
@pytest.mark.parametrize("bad", ["long", "not UTF-8"])
def test_bad_lines_can_be_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, bad: str
) -> None:
    monkeypatch.setattr(text_files, "LONGEST_LINE", 1000)
    monkeypatch.setattr(text_files, "_BLOCK", 64)
    lines = [f"line {number}".encode() for number in range(40)]
    place = {"first": 0, "middle": 20}.get(at, 39)
    lines[place] = b"x" * 5000 if bad == "long" else b"caf\xe9"
    path = tmp_path / "x.txt"
    path.write_bytes(b"\n".join(lines) + (b"" if at == "last without line end" else b"\n"))
    message = "is longer than 1,000 bytes" if bad == "long" else "byte 4 of the line is 0xe9"
    with pytest.raises(UserError, match=rf"x\.txt:{place + 1}: .*{message}"):
        list(TextFile(path))

    errors: list[UserError] = []
    file = TextFile(path, on_bad=errors.append)
    read = [(file.num_lines, text.encode()) for text in file]
    assert read == [(number + 1, line) for number, line in enumerate(lines) if number != place]
    assert [message in str(error) for error in errors] == [True]
    assert file.num_lines == 40
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_line_of_the_greatest_length_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "LONGEST_LINE", 1000)
    monkeypatch.setattr(text_files, "_BLOCK", 64)
    path = tmp_path / "x.txt"
    lines = ["a" * size for size in (999, 1000, 3, 1000)]
    path.write_text("\n".join(lines))
    assert list(TextFile(path)) == lines


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(TextFile(tmp_path / "missing.txt"))
