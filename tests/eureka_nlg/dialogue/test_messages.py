"""Conversations as messages: roles, silence, whole folders, and the way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eureka_nlg.cli.main import main
from eureka_nlg.dialogue.corpus import Dialogues
from eureka_nlg.dialogue.formats import Dialogue
from eureka_nlg.dialogue.messages import conversations
from eureka_nlg.dialogue.sources import find_sources


def dialogue(*turns: str) -> Dialogue:
    return {"persona": ["I row.", "I cook."], "partner_persona": ["I run."], "turns": list(turns)}


def short(messages: list[dict[str, str]]) -> list[str]:
    return [f"{message['role'][0]}:{message['content']}" for message in messages]


@pytest.mark.parametrize(
    ("turns", "options", "expected"),
    [
        (["a", "b", "c", "d"], {}, [["s:I row.\nI cook.", "u:a", "a:b", "u:c", "a:d"]]),
        (["a", "b", "c"], {"persona": False}, [["u:a", "a:b"]]),  # it ends with a reply
        (["", "b"], {"persona": False}, [["a:b"]]),
        (["a", "b", "", "d"], {"persona": False}, [["u:a", "a:b\nd"]]),
        (["a"], {}, []),
        ([], {}, []),
        (
            ["a", "b", "c"],
            {"both_sides": True},
            [["s:I row.\nI cook.", "u:a", "a:b"], ["s:I run.", "a:a", "u:b", "a:c"]],
        ),
    ],
)
def test_roles(turns: list[str], options: dict[str, bool], expected: list[list[str]]) -> None:
    assert [short(messages) for messages in conversations(dialogue(*turns), **options)] == expected


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    row = {
        "messages": [
            {"role": "system", "content": "I row."},
            {"role": "user", "content": "Hi!\n\n  Who is there?"},
            {"role": "assistant", "content": "Me: \u00fc"},
        ]
    }
    (tmp_path / "corpus").mkdir()
    for split, number in (("train", 2300), ("valid", 2)):
        (tmp_path / "corpus" / f"{split}.jsonl").write_text(f"{json.dumps(row)}\n" * number)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("format_out", "ending"), [("messages", "jsonl"), ("messages-parquet", "parquet")])
def test_text_comes_out_as_it_went_in(
    corpus: Path, capsys: pytest.CaptureFixture[str], format_out: str, ending: str
) -> None:
    pytest.importorskip("pyarrow")
    assert main(["prepare", "corpus", "--out", "out", "--format-out", format_out]) == 0
    output = capsys.readouterr().out.splitlines()
    assert output[1].split() == ["train", "2,300", "2,300", "2,300", f"train.{ending}"]
    assert "wrote out" in output
    assert output[-1].split()[:2] == ["eureka", "finetune"]
    assert output[-1].endswith(" data=out")
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "manifest.json",
        f"train.{ending}",
        f"valid.{ending}",
    ]
    if ending == "jsonl":
        rows = [json.loads(line) for line in Path("corpus/valid.jsonl").read_text().splitlines()]
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        assert Path("out/valid.jsonl").read_text().splitlines() == lines
    before, after = (
        [list(Dialogues(find_sources([folder])[split])) for split in ("train", "valid")]
        for folder in ("corpus", "out")
    )
    assert before == after
    assert after[0][0]["turns"] == ["Hi!\n\n  Who is there?", "Me: \u00fc"]
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert manifest["format_out"] == format_out
    assert manifest["splits"]["train"] == {"dialogues": 2300, "conversations": 2300, "exchanges": 2300}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tokenizer", "nltk"], "--tokenizer: is for fairseq data"),
        (["--history-turns", "2"], "--history-turns: is for fairseq data"),
        (["--vectors", "x"], "--vectors x: is for fairseq data"),
    ],
)
def test_options_without_a_meaning(
    corpus: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    command: list[Any] = ["prepare", "corpus", "--out", "out", "--format-out", "messages", *arguments]
    assert main(command) == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_it_is_whole_or_not_there(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open("corpus/valid.jsonl", "a") as file:
        file.write("broken\n")
    command = ["prepare", "corpus", "--out", "out", "--format-out", "messages"]
    assert main(command) == 2
    assert "valid.jsonl:3: broken JSON" in (error := capsys.readouterr().err)
    assert "--skip-bad skips bad entries" in error
    assert sorted(path.name for path in corpus.iterdir()) == ["corpus"]
    assert main([*command, "--skip-bad"]) == 0
    assert json.loads(Path("out/manifest.json").read_text())["splits"]["valid"]["skipped"] == 1
    assert "note: 1 bad entry was skipped:" in capsys.readouterr().err
