"""How often each word of the target dictionary is a training target."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from eureka_nlg.dialogue.run_data import training_shards
from eureka_nlg.errors import UserError
from eureka_nlg.limits import MOST_DIGITS

__all__ = ["class_counts", "count_targets"]

logger = logging.getLogger(__name__)

_SENTENCES_AT_ONCE = 10_000


def class_counts(source: str, task: Any, train_subset: str) -> np.ndarray:
    """Counts of the classes, ``[len(dictionary)]`` int64, in the order of the target dictionary.

    Args:
        source: ``"targets"`` counts the targets of the training data in all data folders, including ``</s>``,
            once per sentence, and ``<unk>``. ``"dictionary"`` takes fairseq's counts from dict.txt. They
            include the source side of a joined dictionary, but not the special symbols, which have count 0
            and thus no encouragement. Any other value is the path of a text file with one count per line,
            including the special symbols, or of a one-dimensional ``.npy`` array.
        task: the fairseq task; its training data are loaded if necessary.
        train_subset: name of the training split.

    Raises:
        UserError: the counts cannot be obtained, or do not fit the dictionary.
    """
    dictionary = task.target_dictionary
    if dictionary is None:
        raise UserError(
            f"this criterion counts the words of a target dictionary; task {type(task).__name__} has none"
        )
    if source == "targets":
        counts = _count_training_targets(task, train_subset, len(dictionary))
        if not counts.any():
            raise UserError(f"the training split {train_subset!r} has no target tokens to count")
    elif source == "dictionary":
        counts = np.array(dictionary.count, dtype=np.int64)
        counts[: dictionary.nspecial] = 0
    else:
        counts = _read_counts(source, dictionary)
    counts[dictionary.pad()] = 0  # padding is never a target, even if the data or the file contain it
    if not counts.any():
        raise UserError(f"--class-counts {source}: the counts of all {len(counts)} classes are zero")
    logger.info(
        f"class counts from {source}: {np.count_nonzero(counts):,} of {len(counts):,} classes occur, "
        f"{counts.sum():,} tokens, {counts[dictionary.eos()]:,} of them </s>, "
        f"{counts[dictionary.unk()]:,} <unk>"
    )
    return counts


def count_targets(dataset: Any, num_classes: int) -> np.ndarray:
    """Count the target tokens of a fairseq dataset whose items have a ``"target"``.

    Returns:
        int64 array ``[num_classes]``.

    Raises:
        UserError: the items have no target.
    """
    counts = np.zeros(num_classes, dtype=np.int64)
    for start in range(0, len(dataset), _SENTENCES_AT_ONCE):
        indices = range(start, min(start + _SENTENCES_AT_ONCE, len(dataset)))
        try:
            targets = np.concatenate([dataset[index]["target"] for index in indices])
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise UserError(
                f"cannot count targets in a {type(dataset).__name__}, whose items have none: "
                "give --class-counts dictionary, or a file of counts"
            ) from error
        counts += np.bincount(targets, minlength=num_classes)
    return counts


def _count_training_targets(task: Any, train_subset: str, num_classes: int) -> np.ndarray:
    """Count the targets in all data folders; fairseq loads only the folder of the current epoch."""
    counts = np.zeros(num_classes, dtype=np.int64)
    try:
        for dataset in training_shards(task, train_subset):
            counts += count_targets(dataset, num_classes)
        return counts
    except FileNotFoundError as error:
        raise UserError(
            f"the training split {train_subset!r}, whose targets are to be counted, is not there ({error}): "
            "give --class-counts dictionary, or a file of counts"
        ) from error


def _read_counts(path: str, dictionary: Any) -> np.ndarray:
    try:
        counts = _read_array(path) if path.endswith(".npy") else _read_lines(path)
    except OSError as error:
        raise UserError(
            f"--class-counts {path}: {error.strerror or error} "
            "(expected 'targets', 'dictionary' or a file of counts)"
        ) from error
    except (ValueError, OverflowError) as error:
        raise UserError(f"--class-counts {path}: {error}") from error
    if counts.ndim != 1:
        raise UserError(f"--class-counts {path}: expected a one-dimensional array, got shape {counts.shape}")
    if counts.shape != (len(dictionary),):
        raise UserError(
            f"--class-counts {path}: {counts.size} counts, but the target dictionary has {len(dictionary)} "
            f"entries (its words and {dictionary.nspecial} special symbols, which come first)"
        )
    if counts.dtype.kind not in "iu":
        raise UserError(
            f"--class-counts {path}: expected non-negative integers, got {str(counts.dtype)[:40]}"
        )
    if (counts < 0).any() or (counts > np.iinfo(np.int64).max).any():
        raise UserError(
            f"--class-counts {path}: expected non-negative integers, got {counts.dtype} {counts.min()} to "
            f"{counts.max()}"
        )
    return np.array(counts, dtype=np.int64)


def _read_array(path: str) -> np.ndarray:
    try:
        # memory-mapped: according to its header, the array may be larger than the memory
        return np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # numpy parses the header as Python, which can raise any error
        raise ValueError(f"not a .npy array of integers ({error})") from error


def _read_lines(path: str) -> np.ndarray:
    counts = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip().isdecimal() or len(line) > MOST_DIGITS:
                raise ValueError(
                    f"line {number}: expected one non-negative integer, got {line.strip()[:40]!r}"
                )
            counts.append(int(line))
    return np.array(counts, dtype=np.int64)
