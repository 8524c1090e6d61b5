"""Positional arguments behind options, in commands and in their subcommands."""

from __future__ import annotations

from pathlib import Path

import pytest

from eureka_nlg.cli import vision
from eureka_nlg.cli.intermixed import IntermixedParser


@pytest.fixture
def parser() -> IntermixedParser:
    parser = IntermixedParser(prog="eureka vision")
    vision.add_arguments(parser)
    return parser


def test_overrides_behind_options(parser: IntermixedParser) -> None:
    for order in (
        ["evaluate", "RUN", "a=1", "b=2", "--json", "OUT"],
        ["evaluate", "RUN", "a=1", "--json", "OUT", "b=2"],
        ["evaluate", "--json", "OUT", "RUN", "a=1", "b=2"],
        ["evaluate", "RUN", "--json=OUT", "a=1", "b=2"],
    ):
        args = parser.parse_args(order)
        assert (args.folder, args.overrides, args.json) == (Path("RUN"), ["a=1", "b=2"], Path("OUT"))
    args = parser.parse_args(["sweep", "one.yaml", "--jobs", "2", "two.yaml", "seeds=1,2"])
    assert (args.items, args.jobs) == (["one.yaml", "two.yaml", "seeds=1,2"], 2)
    assert parser.parse_args(["options", "detection"]).task == "detection"


@pytest.mark.parametrize("arguments", [["evaluate"], ["evaluate", "RUN", "--jsn", "x"], ["nothing"], []])
def test_what_is_wrong_is_refused(
    arguments: list[str], parser: IntermixedParser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args(arguments)
    assert stopped.value.code == 2
    assert "usage: eureka vision" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "detect", "evaluate", "sweep", "options"])
def test_every_subcommand_has_an_example(
    command: str, parser: IntermixedParser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser.parse_args([command, "--help"])
    assert f"\n    eureka vision {command}" in capsys.readouterr().out
