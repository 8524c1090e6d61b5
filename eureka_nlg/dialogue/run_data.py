"""The data of a run: its folders, their splits, and all of the training targets.

fairseq takes several data folders, ``first:second``, and trains on one of them per epoch, in turn. They share
their dictionaries; validation and test data are in the first. *The training data* are therefore those of all
folders, each of which may hold them in several files, ``train``, ``train1`` ...
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.dialogue.quiet import quiet
from eureka_nlg.errors import UserError, require
from eureka_nlg.metrics.text.lines import Reply
from eureka_nlg.text_files import TextFile
from eureka_nlg.units import is_punctuation

__all__ = ["RunData", "TargetCounts", "TrainingTargets", "training_shards"]

TRAIN = "train"
_AT_ONCE = 10_000  # targets


@dataclass(frozen=True)
class RunData:
    """The data folders of a run.

    Attributes:
        folders: one or more; the first has the validation and test data.
    """

    folders: tuple[Path, ...]

    @classmethod
    def find(cls, data: str, remedy: str = "give --data DIR") -> RunData:
        """The folders of fairseq's option ``data``, where several are separated by ``:``.

        Raises:
            UserError: one does not exist.
        """
        folders = tuple(Path(folder) for folder in data.split(os.pathsep))
        for folder in folders:
            if not data or not folder.is_dir():
                name = folder if data else "of the training"
                raise UserError(f"data folder {name}: does not exist; {remedy}")
        return cls(folders)

    @property
    def first(self) -> Path:
        """Where validation and test data, dictionaries and the SentencePiece model are."""
        return self.folders[0]

    def __str__(self) -> str:
        return os.pathsep.join(map(str, self.folders))

    def of_split(self, split: str) -> tuple[Path, ...]:
        """The folders that hold a split: all for the training data, the first for any other."""
        return self.folders if split == TRAIN else self.folders[:1]

    def splits(self) -> list[str]:
        """Names of the splits in the first folder."""
        names = {
            path.name.partition(".")[0]
            for pattern in ("*.idx", "*.bin")
            for path in self.first.glob(pattern)
            if path.name.count(".") >= 3
        }
        return sorted(
            names, key=lambda name: (not name.startswith(TRAIN), not name.startswith("valid"), name)
        )

    def check_split(self, split: str) -> None:
        """Raise UserError if a split does not exist; the message names those that do."""
        for folder in self.of_split(split):
            if not any(folder.glob(f"{split}.*.idx")):
                known = ", ".join(self.splits()) or "none"
                raise UserError(
                    f"split {split}: not in the data folder {folder}, whose splits are {known}: give --split"
                )

    def default_split(self) -> str:
        """``test``, or the only split besides the training data.

        Raises:
            UserError: there is none, or there are several and none is ``test``.
        """
        others = [name for name in self.splits() if not name.startswith(TRAIN)]
        if "test" in others or len(others) != 1:
            self.check_split("test")
            return "test"
        return others[0]

    def texts(self, side: str, split: str) -> list[str] | None:
        """The texts that ``eureka prepare`` wrote, which also hold the words that a model sees as ``<unk>``.

        Args:
            side: ``"contexts"`` or ``"references"``.
            split: name of the split.

        Returns:
            One line for each example, or None if there is no such text.
        """
        paths = [folder / side / f"{split}.txt" for folder in self.of_split(split)]
        if not all(path.is_file() for path in paths):
            return None
        return [line for path in paths for line in TextFile(path)]

    def files(self, split: str) -> list[Path]:
        """The binarised files of a split; for the training data, of all its parts."""
        pattern = f"{split}*.*" if split == TRAIN else f"{split}.*"
        return [path for folder in self.of_split(split) for path in sorted(folder.glob(pattern))]

    def target_counts(self) -> TargetCounts:
        """How often each word of the target dictionary is a target in the binarised training data.

        Raises:
            UserError: a folder has no training data.
        """
        with quiet():
            load = require("fairseq.data.data_utils", extra="fairseq").load_indexed_dataset
            dictionaries = require("fairseq.data", extra="fairseq").Dictionary
            found = [(folder, _binarised_targets(folder)) for folder in self.folders]
            counts: NDArray[np.int64] | None = None
            for folder, binarised in found:
                if binarised is None:
                    raise UserError(
                        f"{folder}: no train.SOURCE-TARGET.TARGET.idx with its dictionary to count words "
                        "in; expected the folder that the model was trained on"
                    )
                prefixes, dictionary = binarised
                words = dictionaries.load(str(dictionary))
                if counts is None:
                    counts = np.zeros(len(words), dtype=np.int64)
                for prefix in prefixes:
                    targets = load(str(prefix), words)
                    for start in range(0, len(targets), _AT_ONCE):
                        part = range(start, min(start + _AT_ONCE, len(targets)))
                        tokens = np.concatenate([targets[index].numpy() for index in part])
                        counts += np.bincount(tokens, minlength=len(counts))
        assert counts is not None
        marks = tuple(index for index, token in enumerate(words.symbols) if is_punctuation(token))
        return TargetCounts(counts, words.eos(), marks)

    def training_targets(self) -> TrainingTargets:
        """All targets of the training data, streamed.

        A folder of ``eureka prepare`` holds them as text in ``references/train.txt``, tokenised like its
        other references. In any other fairseq folder the binarised targets are read with their dictionary,
        and unknown words are ``<unk>``.

        Raises:
            UserError: a folder has neither.
        """
        found = [_targets_of(folder) for folder in self.folders]
        return TrainingTargets(
            [path for targets in found for path in targets.files],
            (reply for targets in found for reply in targets.replies),
        )


@dataclass(frozen=True)
class TrainingTargets:
    """The replies that a model was trained on.

    Attributes:
        files: where the replies come from.
        replies: the replies; can be iterated over once.
    """

    files: list[Path]
    replies: Iterable[Reply]


class TargetCounts(NamedTuple):
    """Counts of the training targets.

    Attributes:
        counts: [C] int64, in the order of the target dictionary.
        end: index of the token that ends each target.
        marks: indices of the tokens that are punctuation.
    """

    counts: NDArray[np.int64]
    end: int
    marks: tuple[int, ...] = ()


def training_shards(task: Any, subset: str) -> Iterator[Any]:
    """The training data of a fairseq task, one dataset for each of its data folders.

    fairseq loads one of them per epoch; what was loaded before is put back at the end.

    Raises:
        FileNotFoundError: a folder has no such split.
    """
    from fairseq.utils import split_paths

    data = getattr(getattr(task, "cfg", None), "data", None)
    number = len(split_paths(data)) if isinstance(data, str) and data else 1
    if number == 1 and subset in task.datasets:
        yield task.dataset(subset)
        return
    before = task.datasets.get(subset)
    try:
        for epoch in range(1, number + 1):
            # as the trainer does: the data of an epoch may be in several files
            task.load_dataset(subset, combine=True, epoch=epoch)
            yield task.dataset(subset)
    finally:
        if before is not None:
            task.datasets[subset] = before


def _targets_of(folder: Path) -> TrainingTargets:
    text = folder / "references" / "train.txt"
    if text.is_file():
        return TrainingTargets([text], TextFile(text, holds="one reply"))
    binarised = _binarised_targets(folder)
    if binarised is not None:
        prefixes, dictionary = binarised
        files = [prefix.parent / f"{prefix.name}.bin" for prefix in prefixes]
        return TrainingTargets(files, _decode(prefixes, dictionary))
    raise UserError(
        f"{folder}: no references/train.txt and no train.SOURCE-TARGET.TARGET.idx with its dictionary; "
        "expected the folder that the model was trained on"
    )


def _binarised_targets(folder: Path) -> tuple[list[Path], Path] | None:
    """Paths of the binarised training targets, without their suffix, and their dictionary."""
    for index in sorted(folder.glob(f"{TRAIN}.*-*.*.idx")):
        _, pair, language = index.name.removesuffix(".idx").split(".", 2)
        dictionary = folder / f"dict.{language}.txt"
        if pair.endswith(f"-{language}") and dictionary.is_file():
            parts = [index]
            while (part := folder / f"{TRAIN}{len(parts)}.{pair}.{language}.idx").is_file():
                parts.append(part)
            return [part.with_suffix("") for part in parts], dictionary
    return None


def _decode(prefixes: Sequence[Path], dictionary: Path) -> Iterator[list[str]]:
    with quiet():
        words = require("fairseq.data", extra="fairseq").Dictionary.load(str(dictionary))
        load = require("fairseq.data.data_utils", extra="fairseq").load_indexed_dataset
    unspoken = {words.bos(), words.pad(), words.eos()}
    for prefix in prefixes:
        targets = load(str(prefix), words)
        for position in range(len(targets)):
            yield [words.symbols[number] for number in targets[position].tolist() if number not in unspoken]
