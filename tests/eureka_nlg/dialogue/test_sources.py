"""Which split a file belongs to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eureka_nlg.dialogue.sources import Source, find_sources
from eureka_nlg.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("train-2.txt", "train-1.txt", "Valid_x.txt", "dev.txt", "test.tsv", "training.md.bak"):
        (tmp_path / name).write_text("1 a\tb\n" if name.endswith("txt") else "a\tb\n")
    for name in ("value.txt", "testimony.txt", "notes", ".train.txt"):
        (tmp_path / name).write_text("not a corpus")
    (tmp_path / "training.md.bak").unlink()
    return tmp_path


def names(found: dict[str, list[Source]]) -> dict[str, list[str]]:
    return {split: [Path(source.location).name for source in sources] for split, sources in found.items()}


def test_folder_by_file_name(folder: Path) -> None:
    found = find_sources([folder])
    assert names(found) == {
        "train": ["train-1.txt", "train-2.txt"],
        "valid": ["Valid_x.txt", "dev.txt"],
        "test": ["test.tsv"],
    }
    assert [found[split][0].format for split in found] == ["parlai", "parlai", "tsv"]


def test_explicit_files_keep_their_order(folder: Path) -> None:
    explicit = {"valid": [folder / "test.tsv"], "train": [folder / "train-2.txt", folder / "train-1.txt"]}
    assert names(find_sources(explicit=explicit)) == {
        "train": ["train-2.txt", "train-1.txt"],
        "valid": ["test.tsv"],
    }


def test_named_files_and_explicit_ones_together(folder: Path) -> None:
    found = find_sources([folder / "train-1.txt"], {"valid": [folder / "train-2.txt"]})
    assert names(found) == {"train": ["train-1.txt"], "valid": ["train-2.txt"]}


def test_split_given_twice(folder: Path) -> None:
    with pytest.raises(UserError, match=r"--train .*already given by .*train-1"):
        find_sources([folder], {"train": [folder / "train-1.txt"]})


def test_json_holds_its_splits(tmp_path: Path) -> None:
    path = tmp_path / "personachat.json"
    path.write_text(json.dumps({"train": [], "validation": []}))
    assert find_sources([path]) == {
        "train": [Source(str(path), "json", "train")],
        "valid": [Source(str(path), "json", "validation")],
    }
    assert find_sources(explicit={"train": [path], "valid": [path]}) == find_sources([path])
    with pytest.raises(UserError, match="has no split test; its splits are train, validation"):
        find_sources([path], {"test": [path]})


def test_old_name_of_a_format(tmp_path: Path) -> None:
    (tmp_path / "x.data").write_text('{"train": [], "valid": []}')
    explicit = {split: [tmp_path / "x.data"] for split in ("train", "valid")}
    found = find_sources(explicit=explicit, format="personachat-json")
    assert {source.format for sources in found.values() for source in sources} == {"json"}


def test_one_array_of_any_name_is_any_split(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"data": []}')
    found = find_sources(explicit={"train": [path], "valid": [path]})
    assert found["train"] == [Source(str(path), "json", "data")]


@pytest.mark.parametrize(
    ("contexts", "replies"),
    [
        ("train.src", "train.tgt"),
        ("src-train.txt", "tgt-train.txt"),
        ("train_source.txt.gz", "train_target.txt.gz"),
        ("train.context", "train.reply"),
        ("train.post", "train.resp"),
    ],
)
def test_two_files_side_by_side(tmp_path: Path, contexts: str, replies: str) -> None:
    for name in (contexts, replies):
        (tmp_path / name).write_text("a\n")
        (tmp_path / name.replace("train", "valid")).write_text("a\n")
    found = find_sources([tmp_path])
    assert found["train"] == [Source(str(tmp_path / contexts), "parallel", "train", str(tmp_path / replies))]
    assert found["valid"][0].partner == str(tmp_path / replies.replace("train", "valid"))
    explicit = {
        split: [path for name in (replies, contexts) for path in (tmp_path / name,)] for split in found
    }
    assert find_sources(explicit=explicit)["train"] == found["train"]


def test_two_files_side_by_side_by_order(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).write_text("a\n")
    explicit = {split: [tmp_path / "x", tmp_path / "y"] for split in ("train", "valid")}
    found = find_sources(explicit=explicit, format="parallel")
    assert found["train"] == [Source(str(tmp_path / "x"), "parallel", "train", str(tmp_path / "y"))]
    with pytest.raises(UserError, match="--format parallel: 1 files for the split train"):
        find_sources(explicit={split: [tmp_path / "x"] for split in ("train", "valid")}, format="parallel")


def test_compressed_files_keep_their_names(tmp_path: Path) -> None:
    import gzip

    for split in ("train", "valid"):
        (tmp_path / f"{split}.jsonl.gz").write_bytes(gzip.compress(b'{"prompt": "a", "completion": "b"}\n'))
    found = find_sources([tmp_path])
    assert [found[split][0].format for split in found] == ["jsonl", "jsonl"]


def test_data_set_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(
        datasets, "load_dataset", lambda name, streaming, cache_dir: {"train": [], "test": [], "dev": []}
    )
    assert find_sources(["someone/chats"]) == {
        "train": [Source("someone/chats", "hub", "train")],
        "valid": [Source("someone/chats", "hub", "dev")],
        "test": [Source("someone/chats", "hub", "test")],
    }


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["train-1.txt"], r"split valid is missing \(found only train\): give --valid FILE"),
        (["dev.txt"], "split train is missing"),
        ([], "split train is missing .no source is given"),
        (["notes"], "its format cannot be detected"),
        (["nowhere.txt"], "nowhere.txt: no such file or folder"),
        (["no/such/place"], "no such file or folder"),
    ],
)
def test_what_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, sources: list[str], message: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=message):
        find_sources(sources)


def test_name_that_tells_no_split(folder: Path) -> None:
    with pytest.raises(
        UserError, match=r"value\.txt: the name does not tell the split; give it with --train"
    ):
        find_sources([folder / "value.txt"], format="tsv")
