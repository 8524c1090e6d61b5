"""What scripts/smollm2 draws and scores, on made-up conversations and replies."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from eureka_nlg.finetune.conversations import read_messages
from eureka_nlg.metrics import score_replies

pytest.importorskip("nltk")

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "smollm2"


def conversation(number: int, turns: int) -> dict[str, Any]:
    roles = ("user", "assistant")
    said = [f"Turn {turn} of {number}, isn't it?" for turn in range(turns)]
    return {"messages": [{"role": roles[turn % 2], "content": content} for turn, content in enumerate(said)]}


@pytest.fixture
def part(tmp_path: Path, load_script: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    whole = tmp_path / "whole"
    whole.mkdir()
    for split in ("train", "valid", "test"):
        rows = [json.dumps(conversation(number, 6)) for number in range(20)]
        (whole / f"{split}.jsonl").write_text("\n".join(rows) + "\n")
    numbers = ["--train", "8", "--valid", "30", "--contexts", "10"]
    monkeypatch.setattr(sys, "argv", ["sample.py", str(whole), str(tmp_path / "part"), *numbers])
    load_script(SCRIPTS / "sample.py").main()
    return tmp_path / "part"


def test_a_part_of_a_corpus(part: Path) -> None:
    drawn = {split: list(read_messages(part, split)) for split in ("train", "valid", "test")}
    assert [len(found) for found in drawn.values()] == [8, 20, 4]
    assert len({messages[0]["content"] for messages in drawn["train"]}) == 8
    assert [len(messages) // 2 for messages in drawn["test"]] == [3, 3, 3, 1]


def test_scores_beside_cross_entropy(
    part: Path,
    tmp_path: Path,
    load_script: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables = load_script(SCRIPTS / "tables.py")
    said = {"ce/seed1": "Turn 1.", "dft/seed1": "Turn 1 of 3, isn't it?", "base": "What?"}
    for name, reply in said.items():
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "replies.test.txt").write_text((reply + "\n") * 10)
    history = [{"step": 2, "nll": 3.0, "likelihood": 0.2, "loss": 3.0}, {"eval_loss": 2.5}]
    (tmp_path / "runs/ce/seed1/trainer_state.json").write_text(json.dumps({"log_history": history}))
    out = tmp_path / "scores.json"
    monkeypatch.setattr(sys, "argv", ["tables.py", str(tmp_path / "runs"), str(part), "--json", str(out)])
    tables.main()
    by_name = {one["name"]: one for one in json.loads(out.read_text())}
    assert list(by_name) == ["base", "ce", "dft"]
    assert by_name["ce"]["valid_nll"] == 2.5
    assert by_name["ce"]["curve"] == [{"step": 2, "nll": 3.0, "likelihood": 0.2}]
    # the references, lower-cased and split by hand
    references = [
        message["content"].lower().replace(",", " ,").replace("isn't", "is n't").replace("?", " ?")
        for messages in read_messages(part, "test")
        for message in messages[1::2]
    ]
    known = score_replies(
        ["turn 1 of 3 , is n't it ?"] * 10, references, metrics=["macro_f", "micro_f"]
    ).scores
    for metric, value in known.items():
        assert by_name["dft"]["scores"][metric] == pytest.approx(value)
        gain = by_name["dft"]["scores"][metric] - by_name["ce"]["scores"][metric]
        assert by_name["dft"]["against_ce"][metric]["value"] == pytest.approx(gain)
    assert by_name["dft"]["stock_replies"] == 100.0
    assert tables.repeats("oh no i see oh no i see") is True
    assert tables.repeats("oh no i see oh no i") is False
    assert "| DFT | 1 |" in capsys.readouterr().out
