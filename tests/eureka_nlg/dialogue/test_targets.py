"""Training targets read back from data folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from eureka_nlg.dialogue.targets import training_targets
from eureka_nlg.errors import UserError

pytest.importorskip("fairseq")


def write_fairseq_folder(folder: Path, targets: list[str], known: dict[str, int]) -> None:
    """What fairseq-preprocess writes of the target side."""
    from fairseq.binarizer import FileBinarizer, VocabularyDatasetBinarizer
    from fairseq.data import Dictionary

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
            str(folder / f"train.{name}"),
            vocab_size=len(dictionary),
            num_workers=1,
        )


def test_binarised_targets_come_back_as_words(tmp_path: Path) -> None:
    write_fairseq_folder(tmp_path, ["i like tea", "tea ?", "zebra"], {"i": 3, "tea": 2, "like": 1, "?": 1})
    path, targets = training_targets(tmp_path)
    assert path == tmp_path / "train.context-reply.reply.bin"
    assert path.is_file()
    assert list(targets) == [["i", "like", "tea"], ["tea", "?"], ["<unk>"]]


def test_text_of_a_prepared_folder_is_preferred(tmp_path: Path) -> None:
    write_fairseq_folder(tmp_path, ["a"], {"a": 1})
    (tmp_path / "references").mkdir()
    (tmp_path / "references/train.txt").write_text("i like tea\n\nyes\n", encoding="utf-8")
    path, targets = training_targets(tmp_path)
    assert path == tmp_path / "references" / "train.txt"
    assert list(targets) == ["i like tea", "", "yes"]


def test_no_targets(tmp_path: Path) -> None:
    (tmp_path / "train.context-reply.context.idx").touch()
    with pytest.raises(UserError, match=r"no references/train\.txt and no train\.SOURCE-TARGET"):
        training_targets(tmp_path)
