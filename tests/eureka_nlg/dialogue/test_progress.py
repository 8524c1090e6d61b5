"""Lines about the work, by a clock that the test sets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eureka_nlg.dialogue import progress
from eureka_nlg.dialogue.progress import Progress


def test_a_line_after_two_seconds_and_then_every_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    lines: list[str] = []

    def items() -> Iterator[int]:
        nonlocal now
        for number in range(1000):
            yield number
            now += 1 / 64  # 64 items a second

    assert list(Progress(tell=lines.append).over(items(), "train", "dialogues")) == list(range(1000))
    assert lines == ["train: 128 dialogues", "train: 768 dialogues"]


def test_silence_where_it_is_quick_or_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    assert list(Progress(tell=lines.append).over("abc", "train", "dialogues")) == ["a", "b", "c"]
    assert list(Progress().over("abc", "train", "dialogues")) == ["a", "b", "c"]
    assert lines == []


def test_a_bar_instead_of_lines(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    assert list(Progress(bar=True).over("abc", "train", "dialogues")) == ["a", "b", "c"]
    assert "train: " in capsys.readouterr().err
