"""A run of fairseq and one of transformers on one page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers")
pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytest.importorskip("sacrebleu")

from tiny_model import save_model, write_conversations

import eureka_nlg.runs.fairseq_run
from eureka_nlg.cli.main import main
from eureka_nlg.dialogue.options import PrepareOptions
from eureka_nlg.metrics.text.generated import Generated
from eureka_nlg.report.dialogue import DialogueReport

SAID = [("Hello?", "I'm fine, thanks."), ("How are you?", "There you are!")]
CONTEXTS = ["<partner> hello ?", "<partner> how are you ?"]
REFERENCES = ["i 'm fine , thanks .", "there you are !"]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A checkpoint whose data were prepared from the corpus of a model of transformers."""
    data = tmp_path / "data"
    for side, lines in (
        ("contexts", ["<partner> hello ?", "<partner> how are you ?"]),
        ("references", REFERENCES),
    ):
        (data / side).mkdir(parents=True)
        for split in ("train", "test"):
            (data / side / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines))
    (data / "test.context-reply.reply.idx").write_bytes(b"indices")
    options = {**vars(PrepareOptions(tokenizer="nltk")), "skip_bad": False}
    (data / "manifest.json").write_text(json.dumps({"options": options}))
    fairseq, model = tmp_path / "fairseq", tmp_path / "transformers"
    fairseq.mkdir()
    task = {"_name": "translation", "data": str(data)}
    state = {"cfg": {"task": task, "criterion": {"_name": "eureka"}}, "model": {"weight": torch.zeros(2, 3)}}
    torch.save(state, fairseq / "checkpoint_best.pt")
    save_model(model, scale=8.0)
    conversations = write_conversations(tmp_path / "messages", SAID, ("train", "test"))
    record = {
        "options": {"data": str(conversations), "model": "tiny"},
        "arguments": {"seed": 7},
        "versions": {},
    }
    (model / "finetune.json").write_text(json.dumps(record))
    history = [
        {"step": 1, "epoch": 0.5, "loss": 1.0, "nll": 2.0, "reward": -0.5},
        {"step": 2, "epoch": 1.0, "loss": 1.0, "nll": 4.0, "reward": -0.7},
        {"step": 2, "epoch": 1.0, "eval_loss": 3.0},
    ]
    state = {"epoch": 1.0, "global_step": 2, "log_history": history}
    (model / "trainer_state.json").write_text(json.dumps(state))

    def generate(run: Any, split: str, options: list[str]) -> Generated:
        return Generated([0, 1], ["hello ?"] * 2, ["i am", "you !"], None)

    monkeypatch.setattr(eureka_nlg.runs.fairseq_run, "generate", generate)
    return [str(fairseq), str(model)]


@pytest.mark.parametrize("first", ["fairseq", "transformers"])
def test_both_kinds_side_by_side(runs: list[str], first: str) -> None:
    """Words of the one are those of the other, whichever comes first."""
    report = DialogueReport.of(runs if first == "fairseq" else runs[::-1]).collect()
    assert report.references == REFERENCES
    assert report.contexts == CONTEXTS
    systems = {system.name: system for system in report.systems}
    assert all(reply == reply.lower() for reply in systems["transformers"].replies)
    assert systems["transformers"].facts["seed"] == "7"
    curves = systems["transformers"].log.curves
    assert curves["ppl"] == {
        "train": {1: pytest.approx(20.0855, rel=1e-4)},
        "valid": {1: pytest.approx(20.0855, rel=1e-4)},
    }
    assert curves["reward"]["train"] == {1: pytest.approx(-0.6)}
    assert report.rare is not None
    assert "'m" in report.rare.known  # words of the training replies, in the same form
    assert report.scores is not None
    assert any("different vocabularies" in line for line in report.missing["likelihood"])


def test_only_fairseqs_runs_are_adjusted(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = str(tmp_path / "page.html")
    for command in (["generate"], ["chat"], ["serve", "--port", "0"], ["report", "--out", page]):
        assert main([*command, runs[1], "--logit-adjustment", "0.2"]) == 2
        assert "--logit-adjustment: is for runs of `eureka train`" in capsys.readouterr().err
    assert not Path(page).exists()


def test_the_words_of_a_folder(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`generate --like` writes what `evaluate` can set beside the other's replies."""
    out = tmp_path / "replies.txt"
    like = ["--like", str(tmp_path / "data"), "--beam", "1", "--max-len-b", "3", "--out", str(out)]
    assert main(["generate", runs[1], *like]) == 0
    assert (tmp_path / "references.test.txt").read_text().splitlines() == REFERENCES
    assert main(["generate", runs[0], *like]) == 2
    assert "--like" in capsys.readouterr().err
    assert main(["report", *runs, "--out", str(tmp_path / "page.html")]) == 0
    assert "split as in the data of the others" in (tmp_path / "page.html").read_text()
