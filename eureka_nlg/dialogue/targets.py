"""The replies that a model was trained on, from the data folder of its training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from eureka_nlg.dialogue.quiet import quiet
from eureka_nlg.errors import UserError, require
from eureka_nlg.metrics.text.lines import Reply
from eureka_nlg.text_files import TextFile

__all__ = ["training_targets"]


def training_targets(folder: Path) -> tuple[Path, Iterable[Reply]]:
    """The targets of the training split of a fairseq data folder.

    Args:
        folder: what ``eureka prepare`` wrote, which holds them as text, ``references/train.txt``, with the
            tokens of its other references. In any other fairseq folder the binarised targets are read with
            their dictionary; its unknown words are ``<unk>`` there.

    Returns:
        The file that is read, and the targets, streamed.

    Raises:
        UserError: the folder has neither.
    """
    text = folder / "references" / "train.txt"
    if text.is_file():
        return text, TextFile(text, holds="one reply")
    for index in sorted(folder.glob("train.*-*.*.idx")):
        _, pair, language = index.name.removesuffix(".idx").split(".", 2)
        dictionary = folder / f"dict.{language}.txt"
        if pair.endswith(f"-{language}") and dictionary.is_file():
            return index.with_suffix(".bin"), _decode(index.with_suffix(""), dictionary)
    raise UserError(
        f"{folder}: no references/train.txt and no train.SOURCE-TARGET.TARGET.idx with its dictionary; "
        "expected the folder that the model was trained on"
    )


def _decode(prefix: Path, dictionary: Path) -> Iterator[list[str]]:
    with quiet():
        data = require("fairseq.data", extra="fairseq")
        words = data.Dictionary.load(str(dictionary))
        targets = require("fairseq.data.data_utils", extra="fairseq").load_indexed_dataset(str(prefix), words)
    unspoken = {words.bos(), words.pad(), words.eos()}
    for position in range(len(targets)):
        yield [words.symbols[number] for number in targets[position].tolist() if number not in unspoken]
