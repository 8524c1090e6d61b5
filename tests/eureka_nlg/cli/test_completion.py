"""What the shell is told when it asks: commands, options, and configs that come with the package."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

pytest.importorskip("argcomplete")

import argcomplete

from eureka_nlg.cli import completion
from eureka_nlg.cli.main import COMMANDS


def completions(line: str) -> list[str]:
    """As argcomplete answers a line with the cursor at its end."""
    words = line.split(" ")
    parser = completion.completion_parser(COMMANDS, words[1])
    finder = argcomplete.CompletionFinder(parser, always_complete_options=True)
    found = finder._get_completions(words[:-1], words[-1], "", None)
    return [word.strip() for word in found]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("eureka ev", ["evaluate"]),
        ("eureka report --no-a", ["--no-analysis"]),
        ("eureka train configs/dialogue/sample/e", ["configs/dialogue/sample/el.yaml"]),
    ],
)
def test_what_fits(line: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where no configs lie
    assert completions(line) == expected


def test_nothing_happens_unless_the_shell_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "completion_parser", lambda *_: pytest.fail("asked"))
    monkeypatch.delenv("_ARGCOMPLETE", raising=False)
    completion.answer(COMMANDS)


def test_without_argcomplete_the_command_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    completion.answer(COMMANDS)
