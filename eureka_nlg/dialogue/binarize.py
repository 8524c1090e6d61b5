"""Tokenised text to a fairseq data folder, by fairseq's own dictionary and binarisation code."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eureka_nlg.errors import require

__all__ = ["CONTEXT", "REPLY", "SideCounts", "import_fairseq", "build_dictionary", "binarize"]

CONTEXT, REPLY = "context", "reply"  # fairseq's source and target language


@dataclass(frozen=True)
class SideCounts:
    """What fairseq counted on one side of one split, end-of-sentence tokens left out."""

    sentences: int
    tokens: int
    unknown: int


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep fairseq from setting up the logging of the whole process, and from warning about its imports."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def import_fairseq(module: str) -> Any:
    """Import a module of fairseq without its noise."""
    with _quiet():
        return require(module, extra="fairseq")


def build_dictionary(text: Path, folder: Path, min_count: int = 1, workers: int = 1) -> Any:
    """The joined dictionary of ``train.context`` and ``train.reply``, saved for both sides.

    Args:
        text: folder with the tokenised text.
        folder: where ``dict.context.txt`` and ``dict.reply.txt`` go.
        min_count: types that occur less often become ``<unk>``.
        workers: processes to count with.

    Returns:
        fairseq's ``Dictionary``.
    """
    task = import_fairseq("fairseq.tasks.translation").TranslationTask
    with _quiet():
        dictionary = task.build_dictionary(
            [str(text / f"train.{side}") for side in (CONTEXT, REPLY)], workers=workers, threshold=min_count
        )
    for side in (CONTEXT, REPLY):
        dictionary.save(str(folder / f"dict.{side}.txt"))
    return dictionary


def binarize(text: Path, split: str, folder: Path, dictionary: Any, workers: int = 1) -> Mapping[str, SideCounts]:
    """Binarise ``{split}.context`` and ``{split}.reply`` as ``fairseq-preprocess`` does.

    Returns:
        The counts per side.
    """
    binarizer = import_fairseq("fairseq.binarizer")
    counts = {}
    for side in (CONTEXT, REPLY):
        with _quiet():
            summary = binarizer.FileBinarizer.multiprocess_dataset(
                str(text / f"{split}.{side}"),
                "mmap",
                binarizer.VocabularyDatasetBinarizer(dictionary, append_eos=True),
                str(folder / f"{split}.{CONTEXT}-{REPLY}.{side}"),
                vocab_size=len(dictionary),
                num_workers=workers,
            )
        counts[side] = SideCounts(summary.num_seq, summary.num_tok - summary.num_seq, summary.num_replaced)
    return counts
