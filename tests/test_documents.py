"""The documents tell the truth: every command they show is taken."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

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


@pytest.mark.parametrize("document", ["docs/architecture.md", "docs/paper.md", "CONTRIBUTING.md"])
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
    height = {layer: drawing.find(layer) for layer in rules}
    assert not {layer for layer in rules if height[layer] < 0}, "draw what is new in docs/architecture.md"
    for layer, lower in rules.items():
        for other in lower:
            assert height[layer] < height[other], f"the drawing has {layer} below {other}"


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if ":" in file:
            continue
        linked = document.parent / file if file else document
        assert linked.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), flags=re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in anchors, target


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 120


def test_the_options_of_the_criterion_are_documented() -> None:
    pytest.importorskip("fairseq")
    from fairseq_plugins.criterions.eureka import EurekaCriterionConfig

    text = (ROOT / "docs/dialogue.md").read_text(encoding="utf-8")
    table = text.partition("| option | default | meaning |")[2].partition("\n\n")[0]
    shown = {
        option
        for row in table.splitlines()
        for option in re.findall(r"`--([a-z-]+)`", row.partition(" | ")[0])
    }
    fields = {field.name.replace("_", "-") for field in dataclasses.fields(EurekaCriterionConfig)}
    assert shown == fields - {"-name", "sentence-avg", "train-subset"}


def balanced_accuracy(loss_function: torch.nn.Module) -> tuple[float, float]:
    """Of a small network trained on four Gaussian classes with the README's counts; and its last loss."""
    torch.manual_seed(0)
    counts = [9000, 700, 50, 4]
    centres = 1.2 * torch.tensor([[1.0, 1], [-1, 1], [-1, -1], [1, -1]])
    target = torch.repeat_interleave(torch.arange(4), torch.tensor(counts))
    points = centres[target] + torch.randn(len(target), 2)
    network = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(8):
        for part in torch.randperm(len(target)).split(256):
            optimiser.zero_grad()
            loss = loss_function(network(points[part]), target[part])
            loss.backward()
            optimiser.step()
    balanced = torch.arange(4).repeat(500)
    found = network(centres[balanced] + torch.randn(2000, 2)).argmax(1)
    return float((found == balanced).double().mean()), loss.item()


def test_the_first_snippet_cannot_run_away() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = text.partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(first, names)
    accuracy, loss = balanced_accuracy(names["loss_function"])
    plain, _ = balanced_accuracy(torch.nn.CrossEntropyLoss())
    assert loss > -10
    assert accuracy > plain
    exact = names["EurekaLoss"].from_counts(names["class_counts"], beta=0.999)
    assert balanced_accuracy(exact)[1] < -100  # what the cap is for
