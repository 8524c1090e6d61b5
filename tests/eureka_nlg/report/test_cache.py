"""A result is used again for the same inputs and for no others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eureka_nlg.report.cache import cached


def test_computed_once_for_a_key(tmp_path: Path) -> None:
    path, calls = tmp_path / "new" / "result.json", []

    def compute() -> list[str]:
        calls.append(1)
        return [f"result {len(calls)}", "</script> \u2028 é"]

    first = cached(path, {"checkpoint": "a"}, compute)
    assert cached(path, {"checkpoint": "a"}, compute) == first
    assert len(calls) == 1
    assert cached(path, {"checkpoint": "b"}, compute)[0] == "result 2"
    assert cached(path, {"checkpoint": "a"}, compute)[0] == "result 3"  # the file holds one result
    assert os.listdir(path.parent) == ["result.json"]


@pytest.mark.parametrize(
    "content", ["", "[1, 2]", '{"key": {"a": 1}}', '{"key": {"a": 1}, "result": ', "\x00"]
)
def test_a_damaged_file_is_no_result(tmp_path: Path, content: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(content)
    assert cached(path, {"a": 1}, lambda: "new") == "new"
    assert cached(path, {"a": 1}, lambda: "other") == "new"


def test_an_error_leaves_the_old_result(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    cached(path, {"a": 1}, lambda: "old")
    with pytest.raises(ZeroDivisionError):
        cached(path, {"a": 2}, lambda: 1 / 0)
    assert cached(path, {"a": 1}, lambda: "new") == "old"


def test_a_place_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert cached(tmp_path / "file" / "result.json", {}, lambda: "result") == "result"
