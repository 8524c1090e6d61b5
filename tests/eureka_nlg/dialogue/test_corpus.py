"""Corpora as streams of dialogues."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eureka_nlg.dialogue.corpus import Dialogues
from eureka_nlg.dialogue.formats import detect_format
from eureka_nlg.dialogue.sources import Source, find_sources
from eureka_nlg.errors import UserError

datasets = pytest.importorskip("datasets")


def load(*sources: object, **explicit: Any) -> dict[str, Dialogues]:
    return {split: Dialogues(parts) for split, parts in find_sources(sources, explicit).items()}


def test_a_split_can_be_read_again(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("1 a\tb\n2 c\td\n1 e\tf\n")
    (tmp_path / "valid.tsv").write_text("g\th\n")
    corpus = load(tmp_path)
    assert list(corpus) == ["train", "valid"]
    for _ in range(2):
        assert [row["turns"] for row in corpus["train"]] == [["a", "b", "c", "d"], ["e", "f"]]
    assert list(corpus["valid"]) == [{"persona": [], "partner_persona": [], "turns": ["g", "h"]}]


def test_files_are_read_in_the_order_given(tmp_path: Path) -> None:
    files = []
    for number in (3, 1, 2):
        files.append(tmp_path / f"{number}.txt")
        files[-1].write_text(f"1 {number}\tx\n")
    corpus = load(train=files, valid=files[:1])
    assert [row["turns"][0] for row in corpus["train"]] == ["3", "1", "2"]


def test_reading_is_lazy_and_says_where_it_failed(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("1 a\tb\n1 c\td\nbroken\n")
    rows = iter(load(train=[path], valid=[path])["train"])
    assert next(rows)["turns"] == ["a", "b"]
    with pytest.raises(UserError, match=r"train\.txt:3: the line starts with 'broken'"):
        list(rows)


def personachat(dialogues: int) -> str:
    row = '{"personality": ["i run."], "utterances": [{"history": ["a b c"], "candidates": ["d e f"]}]}'
    return f'{{"train": [{", ".join([row] * dialogues)}]}}'


def messages(dialogues: int) -> str:
    return (
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
        * dialogues
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", lambda dialogues: "1 your persona: i run.\n2 a b c\td e f\n" * dialogues),
        ("a.json", personachat),
        ("a.jsonl", messages),
        ("b.txt", lambda dialogues: "a b c __eou__ d e f __eou__\n" * dialogues),
        ("a.csv", lambda dialogues: "persona,chat\n" + '"i run.","a b c\nd e f"\n' * dialogues),
        ("a.tsv", lambda dialogues: "a b c\td e f\n" * dialogues),
    ],
)
def test_memory_does_not_grow(tmp_path: Path, name: str, content: Callable[[int], str]) -> None:
    def peak(dialogues: int) -> int:
        (tmp_path / name).write_text(content(dialogues))
        source = Source(str(tmp_path / name), detect_format(tmp_path / name), "train")
        corpus = Dialogues([source])
        tracemalloc.start()
        assert sum(1 for _ in corpus) == dialogues
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(10)  # imports, caches
    # both are longer than what is read at a time; 6,000 dialogues more would be over 2 MB
    assert peak(10_000) < peak(4_000) + 300_000


def hub(rows: list[dict[str, Any]]) -> Any:
    def load_dataset(name: str, streaming: bool, cache_dir: str | None) -> Any:
        assert (name, streaming) == ("someone/chats", True)
        data = datasets.Dataset.from_list(rows).to_iterable_dataset()
        return datasets.IterableDatasetDict(train=data, validation=data)

    return load_dataset


@pytest.mark.parametrize(
    "row",
    [
        {
            "personality": ["i run."],
            "utterances": [
                {"candidates": ["z", "b"], "history": ["a"]},
                {"candidates": ["z", "d"], "history": ["a", "b", "c"]},
            ],
        },
        {"Unnamed: 0": 1, "Persona": "i run.", "chat": "a\nb\nc\nd\n"},
    ],
)
def test_rows_of_the_hub(monkeypatch: pytest.MonkeyPatch, row: dict[str, Any]) -> None:
    monkeypatch.setattr(datasets, "load_dataset", hub([row]))
    corpus = load("someone/chats")
    expected = {"persona": ["i run."], "partner_persona": [], "turns": ["a", "b", "c", "d"]}
    assert list(corpus["train"]) == list(corpus["valid"]) == [expected]


def test_columns_of_the_hub_that_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load_dataset", hub([{"q": "a", "a": "b"}]))
    with pytest.raises(UserError, match="someone/chats: train row 1: the columns are q, a;"):
        list(load("someone/chats")["train"])


def test_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, streaming: bool, cache_dir: str | None) -> Any:
        raise ConnectionError("cannot reach the hub\nsecond line")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(UserError, match=r"someone/chats: .*\(cannot reach the hub\)$"):
        load("someone/chats")
