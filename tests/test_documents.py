"""The documents tell the truth: every config, every command they show."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

from eureka_nlg.cli.main import COMMANDS
from eureka_nlg.dialogue.training import check_arguments, fairseq_arguments, read_config, shown_command

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "configs" / "dialogue").rglob("*.yaml"))
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "data").rglob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


def commands_in(document: Path, program: str) -> list[str]:
    """Indented command lines of a document, continued lines joined, comments dropped."""
    text = re.sub(r"\\\n\s*", " ", document.read_text(encoding="utf-8"))
    return re.findall(rf"^ {{4,}}({re.escape(program)} [^\n#]*?)\s*(?:#.*)?$", text, flags=re.MULTILINE)


EUREKA = [(document.name, line) for document in DOCUMENTS for line in commands_in(document, "eureka")]
FAIRSEQ = [(document.name, line) for document in DOCUMENTS for line in commands_in(document, "fairseq-train")]


def test_commands_were_found() -> None:
    assert len(EUREKA) >= 4
    assert len(FAIRSEQ) >= 1
    assert len(CONFIGS) >= 6


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_header_of_a_config_is_its_command(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    header = [line[1:].strip() for line in config.read_text().splitlines() if line.startswith("#")]
    assert f"eureka train {config.relative_to(ROOT)}" in header
    assert shown_command(fairseq_arguments(read_config(config))) in header


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_fairseq_takes_the_config(config: Path, tmp_path: Path) -> None:
    pytest.importorskip("fairseq")
    (tmp_path / "dict.reply.txt").write_text("word 1\n")
    check_arguments(fairseq_arguments(read_config(config, [f"data={tmp_path}", f"save_dir={tmp_path}"])))


@pytest.mark.parametrize(("document", "line"), EUREKA, ids=lambda value: value[:60])
def test_eureka_takes_the_command(document: str, line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    command = importlib.import_module(f"eureka_nlg.cli.{COMMANDS[name][0]}")
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    parser.parse_args(arguments)  # exits on anything it does not know
    if name == "train":
        assert (ROOT / arguments[0]).is_file()


@pytest.mark.parametrize(("document", "line"), FAIRSEQ, ids=lambda value: value[:60])
def test_fairseq_takes_the_command(
    document: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fairseq")
    monkeypatch.chdir(ROOT)
    (tmp_path / "dict.reply.txt").write_text("word 1\n")
    check_arguments([str(tmp_path), *shlex.split(line)[2:], "--save-dir", str(tmp_path)])
