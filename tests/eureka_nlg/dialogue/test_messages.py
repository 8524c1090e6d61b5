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
from eureka_nlg.dialogue.tokenizers import is_tokenized, nltk_detokenizer, nltk_tokenizer


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


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("Say , Jim , how about a few beers ?", "Say, Jim, how about a few beers?"),
        (
            "i 'm fine , do n't worry . i ca n't ; it 's ( really ) ok !",
            "i'm fine, don't worry. i can't; it's (really) ok!",
        ),
        (
            "Don \u2019 t you think we \u2019 ve met , Mr . Lee ?",
            "Don\u2019t you think we\u2019ve met, Mr. Lee?",
        ),
        ("Well ... all right . I see \u2026", "Well... all right. I see\u2026"),
        ('She said " hi there " and left .', 'She said "hi there" and left.'),
        ("It costs $ 5 , or 3 % of it .", "It costs $5, or 3% of it."),
        ("Two lines ,\nboth of them .", "Two lines,\nboth of them."),
        ("Hello, I'm here. It's \"fine\" (really)!", "Hello, I'm here. It's \"fine\" (really)!"),
        ("", ""),
    ],
)
def test_tokens_are_joined_as_people_write(text: str, joined: str) -> None:
    join = nltk_detokenizer()
    assert join(text) == joined
    assert join(join(text)) == join(text)


def test_joined_text_has_the_same_words() -> None:
    """On the bundled corpus: NLTK splits joined text into the tokens that it was joined from.

    It leaves a full stop that ends no text at its word.
    """
    file = Path(__file__).resolve().parents[3] / "data/sample/test.txt"
    texts = [text for line in file.read_text().splitlines() for text in line.split(" ", 1)[1].split("\t")]
    assert len(texts) > 800
    tokenize, join = nltk_tokenizer().tokenize, nltk_detokenizer()
    joined = [join(text) for text in texts]
    for before, after in zip(texts, joined):
        assert "".join(after.split()) == "".join(before.split())
        if " . " not in before:
            assert tokenize(after) == tokenize(before)
    assert sum(map(is_tokenized, texts)) > 0.9 * len(texts)
    assert not any(map(is_tokenized, joined))


def test_tokenised_replies_are_told_and_joined(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "Say , Jim ! __eou__ Do n't ask . __eou__ Why ? __eou__ No idea __eou__\n"
    for split in ("train", "valid"):
        (corpus / "corpus" / f"{split}.jsonl").unlink()
        (corpus / "corpus" / f"{split}.txt").write_text(text)
    command = ["prepare", "corpus", "--out", "out", "--format-out", "messages"]
    assert main(command) == 0
    assert "1 of 2 training replies have spaces before commas" in capsys.readouterr().err
    assert "Say , Jim !" in Path("out/train.jsonl").read_text()
    assert main([*command, "--detokenize", "--overwrite"]) == 0
    assert "--detokenize joins" not in capsys.readouterr().err
    (row,) = Path("out/train.jsonl").read_text().splitlines()
    contents = [message["content"] for message in json.loads(row)["messages"]]
    assert contents == ["Say, Jim!", "Don't ask.", "Why?", "No idea"]
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert manifest["options"]["detokenize"] is True
    assert manifest["splits"]["train"] == {"dialogues": 1, "conversations": 1, "exchanges": 2}


def test_data_for_fairseq_stay_tokens(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "corpus", "--out", "out", "--detokenize"]) == 2
    assert "--detokenize: is for --format-out messages" in capsys.readouterr().err
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
