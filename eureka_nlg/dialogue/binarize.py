"""Tokenised text to a fairseq data folder, by fairseq's own dictionary and binarisation code."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from eureka_nlg.children import end_with_parent
from eureka_nlg.dialogue.quiet import quiet
from eureka_nlg.dialogue.texts import SIDES
from eureka_nlg.errors import require

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SideCounts", "build_dictionary", "binarize"]


@dataclass(frozen=True)
class SideCounts:
    """What fairseq counted on one side of one split; the end-of-sentence tokens are left out."""

    sentences: int
    tokens: int
    unknown: int


def build_dictionary(counts: Mapping[str, int], folder: Path, min_count: int = 1) -> Any:
    """The joined dictionary, as ``fairseq-preprocess --joined-dictionary`` makes it, saved for both sides.

    Args:
        counts: token -> occurrences in contexts and replies of the training split.
        folder: where ``dict.context.txt`` and ``dict.reply.txt`` go.
        min_count: tokens that occur less often become ``<unk>``.

    Returns:
        fairseq's ``Dictionary``.
    """
    with quiet():
        dictionary = require("fairseq.data", extra="fairseq").Dictionary()
    for token, count in counts.items():
        dictionary.add_symbol(token, n=count)
    dictionary.finalize(threshold=min_count)  # sorts by count, then by the alphabet
    for side in SIDES:
        dictionary.save(str(folder / f"dict.{side}.txt"))
    return dictionary


def binarize(text: Path, dictionary: Any, prefix: Path, workers: int = 1) -> SideCounts:
    """Binarise one side of one split as ``fairseq-preprocess`` does.

    Args:
        text: tokens separated by blanks, a sentence a line.
        dictionary: what ``build_dictionary`` returned.
        prefix: path of the files to write, without ``.bin`` and ``.idx``.
        workers: processes; the bytes written do not depend on it.
    """
    with quiet():
        binarizer = require("fairseq.binarizer", extra="fairseq")
    line_binarizer = _LineBinarizer(dictionary.indices, dictionary.unk(), dictionary.eos())
    with quiet(), _silent_workers(), _workers_that_end(binarizer):
        summary = binarizer.FileBinarizer.multiprocess_dataset(
            str(text),
            "mmap",
            line_binarizer,
            str(prefix),
            vocab_size=len(dictionary),
            num_workers=workers,
        )
    return SideCounts(summary.num_seq, summary.num_tok - summary.num_seq, summary.num_replaced)


@dataclass(frozen=True)
class _LineBinarizer:
    """What fairseq's ``VocabularyDatasetBinarizer`` does for a line, without a call for each word."""

    ids: Mapping[str, int]
    unknown: int
    end: int

    def binarize_line(self, line: str, summary: Any) -> Tensor:
        """The ids of a line's words, counted in fairseq's summary."""
        import torch

        words = line.split()
        ids = [self.ids.get(word, self.unknown) for word in words]
        if summary.replaced is None:
            summary.replaced = Counter()
        if self.unknown in ids:
            # "<unk>" in the text is fairseq's own symbol, which it does not count as replaced
            summary.replaced.update(word for word in words if word not in self.ids)
        summary.num_seq += 1
        summary.num_tok += len(ids) + 1
        ids.append(self.end)
        return torch.from_numpy(np.array(ids, dtype=np.int32))  # a quarter of the time of torch.tensor


@contextmanager
def _workers_that_end(binarizer: Any) -> Iterator[None]:
    """Let the workers end with this process: if it is killed, they would wait for work for ever."""
    pool = binarizer.Pool
    binarizer.Pool = functools.partial(pool, initializer=end_with_parent, initargs=(os.getpid(),))
    try:
        yield
    finally:
        binarizer.Pool = pool


@contextmanager
def _silent_workers() -> Iterator[None]:
    """Let an interrupt end forked workers without a traceback each; this process sees it as always."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    parent, before = os.getpid(), signal.getsignal(signal.SIGINT)

    def interrupted(signum: int, frame: FrameType | None) -> None:
        if os.getpid() != parent:
            os._exit(130)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
