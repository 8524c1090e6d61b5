"""Counts of the training targets, of the dictionary and of files, and what is said when they are bad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fairseq.data import LanguagePairDataset

from eureka_nlg.errors import UserError
from fairseq_plugins.criterions.class_counts import class_counts, count_targets


def test_targets_are_counted_by_hand(task: Any, dictionary: Any, target_counts: Any) -> None:
    counts = class_counts("targets", task, "train")
    assert counts.dtype == np.int64
    assert counts.tolist() == target_counts.tolist()
    assert counts[dictionary.eos()] == 4  # once a sentence, though the dictionary has it once in all
    assert counts[dictionary.unk()] == 1
    assert counts[dictionary.index("only-in-source")] == 0  # in the joined dictionary, never a target
    assert counts[dictionary.index("madeupword0000")] == 0


def test_padding_is_never_counted(task: Any, dictionary: Any) -> None:
    dataset = task.dataset("train")
    dataset.tgt[0][0] = dictionary.pad()
    assert class_counts("targets", task, "train")[dictionary.pad()] == 0


def test_more_sentences_than_are_counted_at_once(
    monkeypatch: pytest.MonkeyPatch, task: Any, target_counts: Any
) -> None:
    monkeypatch.setattr("fairseq_plugins.criterions.class_counts._SENTENCES_AT_ONCE", 3)
    assert class_counts("targets", task, "train").tolist() == target_counts.tolist()


def test_another_training_subset(task: Any) -> None:
    task.datasets["half"] = task.datasets.pop("train")
    assert class_counts("targets", task, "half").sum() == 15


def test_dictionary(task: Any, dictionary: Any) -> None:
    counts = class_counts("dictionary", task, "train")
    # what dict.txt holds; the special symbols are not in it. "the" 3 + 5, "a" 2 + 2, ...
    assert counts.tolist() == [0, 0, 0, 0, 8, 4, 3, 2, 3, 0, 0]


@pytest.mark.parametrize("suffix", [".txt", ".npy"])
def test_file(task: Any, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"counts{suffix}"
    expected = list(range(11))
    if suffix == ".npy":
        np.save(path, np.array(expected, dtype=np.uint16))
    else:
        path.write_text("".join(f"{count}\n" for count in expected))
    counts = class_counts(str(path), task, "train")
    assert counts.dtype == np.int64
    expected[task.target_dictionary.pad()] = 0  # never a target
    assert counts.tolist() == expected


ELEVEN = b"5\n" * 11


def npy(array: Any) -> Any:
    return lambda path: np.save(path, np.array(array))


BAD_FILES: list[tuple[str, Any, str]] = [
    ("empty.txt", b"", "0 counts.* 11 entries"),
    ("short.txt", b"5\n" * 10, "10 counts.* 11 entries"),
    ("long.txt", b"5\n" * 12, "12 counts.* 11 entries"),
    ("negative.txt", b"5\n" * 3 + b"-2\n" + b"5\n" * 7, "line 4.*'-2'"),
    ("fraction.txt", b"2.5\n" + b"5\n" * 10, r"line 1.*'2\.5'"),
    ("word.txt", b"5\nthe 5\n" + b"5\n" * 9, "line 2.*'the 5'"),
    ("blank.txt", b"5\n\n" + b"5\n" * 9, "line 2.*''"),
    ("latin.txt", b"\xff5\n" + b"5\n" * 10, "utf-8"),
    ("huge.txt", b"9" * 30 + b"\n" + b"5\n" * 10, "too large"),
    ("zero.txt", b"0\n" * 11, "zero"),
    ("short.npy", npy([1, 2, 3]), "3 counts.* 11 entries"),
    ("negative.npy", npy([1, -7, *[0] * 9]), "-7"),
    ("fraction.npy", npy([0.5] * 11), "float64"),
    ("square.npy", npy([[1] * 11]), r"one-dimensional|\[1, 11\]|\(1, 11\)"),
    ("scalar.npy", npy(11), r"one-dimensional|\[\]|\(\)"),
    ("zero.npy", npy([0] * 11), "zero"),
    ("text.npy", ELEVEN, "npy"),
    ("empty.npy", b"", "npy"),
    ("archive.npy", lambda path: np.savez(path.open("wb"), counts=np.ones(11, dtype=int)), "npy"),
    ("pickle.npy", npy([object()] * 11), "npy"),
    ("texts.npy", npy(["5"] * 11), "expected non-negative integers, got <U1"),
    ("dates.npy", npy(np.zeros(11, "M8[s]")), "expected non-negative integers, got datetime64"),
    ("complex.npy", npy([1j] * 11), "expected non-negative integers, got complex128"),
    ("long_line.txt", b"5 " * 3000, "line 1: expected one non-negative integer, got '5 5 .{0,40}$"),
    ("digits.txt", b"9" * 5000, "line 1: expected one non-negative integer, got '9{40}'$"),
]


@pytest.mark.parametrize(("name", "content", "named"), BAD_FILES, ids=[case[0] for case in BAD_FILES])
def test_bad_files(task: Any, tmp_path: Path, name: str, content: Any, named: str) -> None:
    path = tmp_path / name
    if callable(content):
        content(path)
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=named) as caught:
        class_counts(str(path), task, "train")
    message = str(caught.value)
    assert message.startswith(f"--class-counts {path}")
    assert "\n" not in message


def test_files_that_cannot_be_read(task: Any, tmp_path: Path) -> None:
    for source, named in [
        ("no/such/file", "No such file"),
        (str(tmp_path), "directory"),
        ("target", "'targets'"),
    ]:
        with pytest.raises(UserError, match=named) as caught:
            class_counts(source, task, "train")
        assert f"--class-counts {source}" in str(caught.value)


def test_no_training_split(task: Any) -> None:
    with pytest.raises(UserError, match=r"'trian'.*--class-counts"):
        class_counts("targets", task, "trian")


def test_empty_training_split(task: Any, dictionary: Any) -> None:
    task.datasets["train"] = LanguagePairDataset([], [], dictionary, [], [], dictionary)
    with pytest.raises(UserError, match=r"'train'.*no target"):
        class_counts("targets", task, "train")


def test_empty_dictionary(task: Any, dictionary: Any) -> None:
    dictionary.count = [0] * len(dictionary)
    with pytest.raises(UserError, match="dictionary"):
        class_counts("dictionary", task, "train")


def test_data_without_targets(task: Any, dictionary: Any) -> None:
    sources = task.dataset("train").src
    without = LanguagePairDataset(sources, [len(line) for line in sources], dictionary)
    for dataset in (without, [{"source": line} for line in sources]):
        with pytest.raises(UserError, match=r"target.*--class-counts"):
            count_targets(dataset, len(dictionary))


def test_task_without_a_target_dictionary(task: Any) -> None:
    task.tgt_dict = None
    with pytest.raises(UserError, match="TranslationTask"):
        class_counts("targets", task, "train")
