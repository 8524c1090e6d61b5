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
        "train": [Source(str(path), "personachat-json", "train")],
        "valid": [Source(str(path), "personachat-json", "validation")],
    }
    assert find_sources(explicit={"train": [path], "valid": [path]}) == find_sources([path])
    with pytest.raises(UserError, match="has no split test; its splits are train, validation"):
        find_sources([path], {"test": [path]})


def test_data_set_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(
        datasets, "load_dataset", lambda name, streaming: {"train": [], "test": [], "dev": []}
    )
    assert find_sources(["someone/chats"]) == {
        "train": [Source("someone/chats", "hub", "train")],
        "valid": [Source("someone/chats", "hub", "dev")],
        "test": [Source("someone/chats", "hub", "test")],
    }


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["train-1.txt"], r"split valid is missing \(found only train\); give --valid FILE"),
        (["dev.txt"], "split train is missing"),
        ([], "split train is missing .no source is given"),
        (["notes"], "tell the format"),
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
