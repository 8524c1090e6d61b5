"""The data of a run: folders, splits, and all of the training data in several of both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eureka_nlg.dialogue.run_data import RunData, training_shards
from eureka_nlg.dialogue.training_statistics import read_training_statistics
from eureka_nlg.errors import UserError

pytest.importorskip("fairseq")

from fairseq_plugins.criterions.class_counts import class_counts


def write_fairseq_folder(
    folder: Path, targets: list[str], known: dict[str, int], split: str = "train"
) -> None:
    """What fairseq-preprocess writes of the target side."""
    from fairseq.binarizer import FileBinarizer, VocabularyDatasetBinarizer
    from fairseq.data import Dictionary

    folder.mkdir(exist_ok=True)
    dictionary = Dictionary()
    for word, count in known.items():
        dictionary.add_symbol(word, n=count)
    dictionary.finalize()
    dictionary.save(str(folder / "dict.reply.txt"))
    text = folder / "text"
    text.write_text("".join(f"{line}\n" for line in targets), encoding="utf-8")
    binarizer = VocabularyDatasetBinarizer(dictionary, append_eos=True)
    for name in ("context-reply.context", "context-reply.reply"):
        FileBinarizer.multiprocess_dataset(
            str(text),
            "mmap",
            binarizer,
            str(folder / f"{split}.{name}"),
            vocab_size=len(dictionary),
            num_workers=1,
        )


def test_binarised_targets_come_back_as_words(tmp_path: Path) -> None:
    write_fairseq_folder(tmp_path, ["i like tea", "tea ?", "zebra"], {"i": 3, "tea": 2, "like": 1, "?": 1})
    targets = RunData.find(str(tmp_path)).training_targets()
    assert targets.files == [tmp_path / "train.context-reply.reply.bin"]
    assert targets.files[0].is_file()
    assert list(targets.replies) == [["i", "like", "tea"], ["tea", "?"], ["<unk>"]]


def test_text_of_a_prepared_folder_is_preferred(tmp_path: Path) -> None:
    write_fairseq_folder(tmp_path, ["a"], {"a": 1})
    (tmp_path / "references").mkdir()
    (tmp_path / "references/train.txt").write_text("i like tea\n\nyes\n", encoding="utf-8")
    targets = RunData.find(str(tmp_path)).training_targets()
    assert targets.files == [tmp_path / "references" / "train.txt"]
    assert list(targets.replies) == ["i like tea", "", "yes"]


def test_no_targets(tmp_path: Path) -> None:
    (tmp_path / "train.context-reply.context.idx").touch()
    with pytest.raises(UserError, match=r"no references/train\.txt and no train\.SOURCE-TARGET"):
        RunData.find(str(tmp_path)).training_targets()


WORDS = {"a": 3, "b": 2, "c": 1}


@pytest.fixture
def shards(tmp_path: Path) -> RunData:
    """Two data folders with one dictionary; the second has its training data in two files."""
    write_fairseq_folder(tmp_path / "one", ["a b", "a"], WORDS)
    write_fairseq_folder(tmp_path / "one", ["b"], WORDS, "valid")
    write_fairseq_folder(tmp_path / "two", ["c"], WORDS)
    write_fairseq_folder(tmp_path / "two", ["c c b"], WORDS, "train1")
    return RunData.find(f"{tmp_path / 'one'}{os.pathsep}{tmp_path / 'two'}")


def test_training_targets_of_several_folders_and_files(shards: RunData) -> None:
    targets = shards.training_targets()
    assert list(targets.replies) == [["a", "b"], ["a"], ["c"], ["c", "c", "b"]]
    assert [(path.parent.name, path.name) for path in targets.files] == [
        ("one", "train.context-reply.reply.bin"),
        ("two", "train.context-reply.reply.bin"),
        ("two", "train1.context-reply.reply.bin"),
    ]
    statistics = read_training_statistics(str(shards))
    assert statistics.bands is not None
    assert dict(zip(statistics.bands.words, map(int, statistics.bands.counts))) == {"a": 2, "b": 2, "c": 3}
    assert statistics.inputs["train_targets"]["sha256"].count(os.pathsep) == 2


def test_splits_and_their_folders(shards: RunData) -> None:
    one, two = shards.folders
    assert shards.first == one
    assert shards.splits() == ["train", "valid"]
    assert (shards.of_split("train"), shards.of_split("valid")) == ((one, two), (one,))
    assert {path.parent for path in shards.files("train")} == {one, two}
    shards.check_split("valid")
    with pytest.raises(
        UserError, match=r"split test: not in the data folder .*one, .* are train, valid: give"
    ):
        shards.check_split("test")
    assert shards.default_split() == "valid"
    write_fairseq_folder(one, ["a"], WORDS, "other")
    with pytest.raises(UserError, match=r"split test: not in .* are train, valid, other"):
        shards.default_split()
    write_fairseq_folder(one, ["a"], WORDS, "test")
    assert shards.default_split() == "test"


def test_texts_of_the_split(shards: RunData) -> None:
    assert shards.texts("references", "train") is None
    for folder, split, text in (
        (0, "train", "A B\n"),
        (1, "train", "C\n"),
        (0, "valid", "V\n"),
        (1, "valid", "W\n"),
    ):
        path = shards.folders[folder] / "references" / f"{split}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert shards.texts("references", "train") == ["A B", "C"]
    assert shards.texts("references", "valid") == ["V"]


def test_a_folder_that_is_not_there(shards: RunData) -> None:
    with pytest.raises(UserError, match=r"data folder .*three: does not exist; give --data DIR"):
        RunData.find(f"{shards}{os.pathsep}three")
    with pytest.raises(UserError, match="data folder of the training: does not exist"):
        RunData.find("")


def test_the_shards_of_a_task(shards: RunData) -> None:
    """All are seen, and what the task had loaded is there again afterwards."""
    from fairseq.tasks.translation import TranslationConfig, TranslationTask

    config = TranslationConfig(
        data=str(shards),
        source_lang="context",
        target_lang="reply",
        train_subset="train",
        dataset_impl=None,
        required_seq_len_multiple=1,
        upsample_primary=1,
    )
    dictionary = TranslationTask.load_dictionary(str(shards.first / "dict.reply.txt"))
    task = TranslationTask(config, dictionary, dictionary)
    for loaded in (False, True):
        if loaded:
            task.load_dataset("train", combine=True, epoch=2)
        before = task.datasets.get("train")
        found = [
            dictionary.string(dataset[i]["target"])
            for dataset in training_shards(task, "train")
            for i in range(len(dataset))
        ]
        assert found == ["a b", "a", "c", "c c b"]
        assert before is None or task.datasets["train"] is before
    counts = class_counts("targets", task, "train")
    assert [counts[dictionary.index(word)] for word in (*"abc", "</s>")] == [2, 2, 3, 4]
