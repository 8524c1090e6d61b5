"""The documents tell the truth: every command they show is taken."""

from __future__ import annotations

import argparse
import importlib
import re
import runpy
import shlex
from pathlib import Path

import pytest

from eureka_nlg.cli.main import COMMANDS
from eureka_nlg.dialogue.training import check_arguments

ROOT = Path(__file__).resolve().parents[1]
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


@pytest.mark.parametrize("document", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_path_that_is_named_is_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    paths = {
        path
        for path in re.findall(r"`([\w./-]+/[\w./-]*)`", text)
        if path.partition("/")[0]
        in {"eureka_nlg", "fairseq_plugins", "tests", "configs", "scripts", "benchmarks", "docs"}
    }
    assert len(paths) > 4
    assert not {path for path in paths if not (ROOT / path).exists()}


def test_every_layer_is_drawn() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    drawing = text.partition("## Imports point one way")[2].partition("## Where")[0]
    rules = runpy.run_path(str(ROOT / "tests/eureka_nlg/test_imports.py"))["MAY_IMPORT"]
    height = {layer: drawing.index(layer) for layer in rules}
    for layer, lower in rules.items():
        for other in lower:
            assert height[layer] < height[other], f"the drawing has {layer} below {other}"
