"""The command itself: help, version, one line for what went wrong, the extra that is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import eureka_nlg
from eureka_nlg.cli.main import COMMANDS, main


def test_no_arguments_show_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"eureka-nlg {eureka_nlg.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    assert f"usage: eureka {name}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["analyze", "--help"], ["help", "analyse"], ["help", "analyze"]])
def test_other_ways_to_ask(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(arguments)
    assert "usage: eureka analyse" in capsys.readouterr().out


def test_options_may_stand_after_a_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("arch: lstm_convai2\n")
    orders = (["--print-only", str(config), "data=d"], [str(config), "--print-only", "data=d"])
    shown = []
    for order in orders:
        assert main(["train", *order, "lr=1"]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert "--lr 1" in shown[0]
    with pytest.raises(SystemExit, match="2"):
        main(["train"])
    assert "required: CONFIG\n" in capsys.readouterr().err  # and not the overrides


def test_unknown_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["prepair"])
    assert "invalid choice: 'prepair'" in capsys.readouterr().err


def test_plugin_dir(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugin-dir"]) == 0
    assert (Path(capsys.readouterr().out.strip()) / "criterions").is_dir()


def test_bad_input_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(tmp_path / "no.yaml")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("eureka train: error: config ")
    assert captured.err.count("\n") == 1

    assert main(["generate", str(tmp_path / "no-run")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("yaml", ["train", "CONFIG"], "fairseq"),
        (
            "nltk.tokenize.destructive",
            ["prepare", "--train", "PAIRS", "--valid", "PAIRS", "--out", "OUT", "--tokenizer", "nltk"],
            "data",
        ),
    ],
)
def test_missing_extra_is_named(
    module: str,
    arguments: list[str],
    extra: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "CONFIG").write_text("data: d\n")
    (tmp_path / "PAIRS").write_text("hello\thi\n")
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    given = [str(tmp_path / word) if word.isupper() else word for word in arguments]
    assert main(given) == 2
    assert f"pip install 'eureka-nlg[{extra}]'" in capsys.readouterr().err
