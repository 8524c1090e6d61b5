"""Tokenised text to a fairseq data folder, with fairseq's own dictionary."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.dialogue.quiet import quiet
from eureka_nlg.dialogue.texts import SIDES
from eureka_nlg.dialogue.workers import mapped
from eureka_nlg.errors import require

__all__ = ["SideCounts", "build_dictionary", "binarize"]

_BLOCK = 1 << 22
"""Bytes of text that are binarised at once: some tens of thousands of lines."""


@dataclass(frozen=True)
class SideCounts:
    """What was counted on one side of one split; the end-of-sentence tokens are left out."""

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
    """Write the files that ``fairseq-preprocess`` would write of one side of one split, byte for byte.

    Memory holds blocks of the text, and four bytes for each of its lines.

    Args:
        text: tokens separated by blanks, a sentence a line.
        dictionary: what ``build_dictionary`` returned.
        prefix: path of the files to write, without ``.bin`` and ``.idx``.
        workers: processes; the bytes written do not depend on it.

    Raises:
        UserError: a process ended before its work was done.
    """
    with quiet():
        indexed_dataset = require("fairseq.data.indexed_dataset", extra="fairseq")
    dtype = indexed_dataset.best_fitting_int_dtype(len(dictionary))
    encoder = _Encoder(text, dictionary.indices, dictionary.unk(), dictionary.eos(), dtype)
    sizes: list[NDArray[np.int32]] = []
    num_tokens = num_unknown = 0
    starts = range(0, text.stat().st_size, _BLOCK)
    with open(f"{prefix}.bin", "wb") as file, mapped(encoder, starts, workers) as blocks:
        for block in blocks:
            file.write(block.ids)
            sizes.append(block.sizes)
            num_tokens += int(block.sizes.sum(dtype=np.int64))
            num_unknown += block.num_unknown
    num_sentences = sum(map(len, sizes))
    with open(f"{prefix}.idx", "wb") as file:
        file.write(indexed_dataset.MMapIndexedDataset.Index._HDR_MAGIC)
        file.write(struct.pack("<QBQ", 1, indexed_dataset._dtype_header_code(dtype), num_sentences))
        for part in sizes:
            file.write(part.tobytes())
        before = 0  # ids of the blocks before
        for part in sizes:
            first = before + np.cumsum(part, dtype=np.int64) - part
            file.write((first * np.dtype(dtype).itemsize).tobytes())
            before += int(part.sum(dtype=np.int64))
    return SideCounts(num_sentences, num_tokens - num_sentences, num_unknown)


class _Block(NamedTuple):
    """The ids of some lines, the number of ids of each, and how many of the words are unknown."""

    ids: bytes
    sizes: NDArray[np.int32]
    num_unknown: int


@dataclass(frozen=True)
class _Encoder:
    """Turns blocks of a text into ids: words of a dictionary, and the end of each line."""

    text: Path
    ids: Mapping[str, int]
    unknown: int
    end: int
    dtype: Any

    def __call__(self, start: int) -> _Block:
        """The lines that begin in a block of the file."""
        with open(self.text, "rb") as file:
            if start:  # the line that goes on here is of the block before
                file.seek(start - 1)
                file.readline()
            block = file.read(max(0, start + _BLOCK - file.tell()))
            if block and not block.endswith(b"\n"):
                block += file.readline()
        text = block.decode("utf-8")
        found: list[int] = []
        sizes = []
        for line in text.split("\n")[:-1]:
            words = line.split()
            found.extend(map(self.ids.get, words, repeat(self.unknown)))
            found.append(self.end)
            sizes.append(len(words) + 1)
        ids = np.array(found, dtype=self.dtype)
        num_unknown = int(np.count_nonzero(ids == self.unknown))
        if num_unknown:  # "<unk>" in the text is a word that fairseq knows
            num_unknown -= sum(self.ids.get(word) == self.unknown for word in text.split())
        return _Block(ids.tobytes(), np.array(sizes, dtype=np.int32), num_unknown)
