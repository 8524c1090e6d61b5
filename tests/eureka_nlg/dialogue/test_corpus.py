"""Corpora as streamed data sets."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eureka_nlg.dialogue.corpus import stream_dialogues
from eureka_nlg.dialogue.formats import detect_format
from eureka_nlg.dialogue.sources import Source, find_sources
from eureka_nlg.errors import UserError

datasets = pytest.importorskip("datasets")


def load_dialogues(*sources: object, **explicit: Any) -> Any:
    return stream_dialogues(find_sources(sources, explicit))


def test_splits_are_iterable_data_sets(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("1 a\tb\n2 c\td\n1 e\tf\n")
    (tmp_path / "valid.tsv").write_text("g\th\n")
    corpus = load_dialogues(tmp_path)
    assert isinstance(corpus, datasets.IterableDatasetDict)
    assert list(corpus) == ["train", "valid"]
    counted = corpus["train"].map(lambda row: {"count": len(row["turns"])}, remove_columns=["turns"])
    assert [row["count"] for row in counted] == [4, 2]
    assert [row["turns"] for row in corpus["train"]] == [["a", "b", "c", "d"], ["e", "f"]]  # again
    assert list(corpus["valid"]) == [{"persona": [], "partner_persona": [], "turns": ["g", "h"]}]


def test_files_are_read_in_the_order_given(tmp_path: Path) -> None:
    files = []
    for number in (3, 1, 2):
        files.append(tmp_path / f"{number}.txt")
        files[-1].write_text(f"1 {number}\tx\n")
    corpus = load_dialogues(train=files, valid=files[:1])
    assert [row["turns"][0] for row in corpus["train"]] == ["3", "1", "2"]


def test_reading_is_lazy_and_says_where_it_failed(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("1 a\tb\n1 c\td\n1 broken\n")
    rows = iter(load_dialogues(train=[path], valid=[path])["train"])
    assert next(rows)["turns"] == ["a", "b"]
    with pytest.raises(UserError, match=r"train\.txt:3: no tab"):
        list(rows)


def personachat(dialogues: int) -> str:
    row = '{"personality": ["i run."], "utterances": [{"history": ["a b c"], "candidates": ["d e f"]}]}'
    return f'{{"train": [{", ".join([row] * dialogues)}]}}'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", lambda dialogues: "1 your persona: i run.\n2 a b c\td e f\n" * dialogues),
        ("a.json", personachat),
        ("a.csv", lambda dialogues: "persona,chat\n" + '"i run.","a b c\nd e f"\n' * dialogues),
        ("a.tsv", lambda dialogues: "a b c\td e f\n" * dialogues),
    ],
)
def test_memory_does_not_grow(tmp_path: Path, name: str, content: Callable[[int], str]) -> None:
    def peak(dialogues: int) -> int:
        (tmp_path / name).write_text(content(dialogues))
        source = Source(str(tmp_path / name), detect_format(tmp_path / name), "train")
        corpus = stream_dialogues({"train": [source]})["train"]
        tracemalloc.start()
        assert sum(1 for _ in corpus) == dialogues
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(10)  # imports, caches
    # both are longer than what is read at a time; 6,000 dialogues more would be over 2 MB
    assert peak(10_000) < peak(4_000) + 300_000


def hub(rows: list[dict[str, Any]]) -> Any:
    def load_dataset(name: str, streaming: bool) -> Any:
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
    corpus = load_dialogues("someone/chats")
    expected = {"persona": ["i run."], "partner_persona": [], "turns": ["a", "b", "c", "d"]}
    assert list(corpus["train"]) == list(corpus["valid"]) == [expected]


def test_columns_of_the_hub_that_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load_dataset", hub([{"question": "a", "answer": "b"}]))
    with pytest.raises(UserError, match="someone/chats: train row 1: the columns are question, answer"):
        list(load_dialogues("someone/chats")["train"])


def test_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, streaming: bool) -> Any:
        raise ConnectionError("cannot reach the hub\nsecond line")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(UserError, match=r"someone/chats: .*\(cannot reach the hub\)$"):
        load_dialogues("someone/chats")
