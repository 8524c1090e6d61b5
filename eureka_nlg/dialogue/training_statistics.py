"""Statistics of the training data: how often each word occurs, its frequency band, and the n-grams."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eureka_nlg.dialogue.run_data import RunData, TrainingTargets
from eureka_nlg.errors import UserError
from eureka_nlg.files import sha256
from eureka_nlg.metrics import NgramCounts, WordBands, parse_band_rule, read_word_counts
from eureka_nlg.metrics.replies.setting import SPLITS, Unit
from eureka_nlg.metrics.text.lines import chunks
from eureka_nlg.metrics.text.tokens import Tokeniser
from eureka_nlg.text_files import TextFile

__all__ = ["BANDS", "TrainingStatistics", "read_training_statistics", "training_statistics"]

BANDS = "mass:1/3,1/3,1/3"
"""The default rule of the frequency bands: a third of the training tokens in each."""


@dataclass
class TrainingStatistics:
    """Statistics of the training data.

    Attributes:
        bands: frequency bands of the words; None if nothing was counted.
        training_ngrams: n-grams of the targets; None if there were no targets.
        inputs: argument -> name and sha256 of the file that was read; of several, separated by ``:``.
    """

    bands: WordBands | None = None
    training_ngrams: NgramCounts | None = None
    inputs: dict[str, dict[str, str]] = field(default_factory=dict)


def read_training_statistics(
    targets: str | os.PathLike[str] | None = None,
    counts: str | os.PathLike[str] | None = None,
    bands: str = BANDS,
    n: int = 4,
    lowercase: bool = False,
    unit: Unit = "word",
) -> TrainingStatistics:
    """Read the training targets, or counts of their words.

    Args:
        targets: file of training targets, one per line, or data folders (``first:second``). Their n-grams are
            counted, and their words too unless ``counts`` is given.
        counts: file with lines of ``word count``, or data folders whose training targets are counted.
        bands: see :func:`eureka_nlg.metrics.parse_band_rule`.
        n: words per n-gram.
        lowercase: lower-case the text first.
        unit: what counts as a word, as in the scores.

    Raises:
        UserError: bad input, by file and line.
    """

    def tokeniser() -> Tokeniser:
        return Tokeniser(lowercase, split=SPLITS[unit])

    data, rule = TrainingStatistics(), parse_band_rule(bands)
    words: Counter[str] | None = None
    if targets:
        words, data.training_ngrams = _count(os.fspath(targets), "train_targets", n, tokeniser(), data)
    if counts and _are_folders(os.fspath(counts)):
        words, _ = _count(os.fspath(counts), "train_counts", None, tokeniser(), data)
    elif counts:
        file = TextFile(counts, holds="`word count`")
        words = Counter()
        for word, count in read_word_counts(file).items():
            for one in SPLITS[unit](word.lower() if lowercase else word):
                words[one] += count
        data.inputs["train_counts"] = {"name": file.name, "sha256": file.sha256}
    if words is not None:
        if not any(words.values()):
            raise UserError(
                f"{counts or targets}: no words in it; expected the words of the training targets"
            )
        data.bands = WordBands.from_counts(words, rule)
    return data


def training_statistics(
    targets: TrainingTargets,
    bands: str = BANDS,
    n: int | None = 4,
    form: Callable[[str], str] | None = None,
) -> TrainingStatistics:
    """Statistics of the replies that a model was trained on.

    Args:
        targets: the replies.
        bands: see :func:`eureka_nlg.metrics.parse_band_rule`.
        n: words per n-gram; None to count no n-grams.
        form: splits a reply into words separated by spaces; None if replies are written so already.

    Raises:
        UserError: bad input, by file and line.
    """
    if form is not None:
        replies = (form(reply if isinstance(reply, str) else " ".join(reply)) for reply in targets.replies)
        targets = TrainingTargets(targets.files, replies)
    words, ngrams = _counted(targets, n, Tokeniser(split=SPLITS["word"]))
    if not any(words.values()):
        raise UserError(f"{', '.join(map(str, targets.files))}: no words in the training targets")
    return TrainingStatistics(WordBands.from_counts(words, parse_band_rule(bands)), ngrams)


def _are_folders(source: str) -> bool:
    return not Path(source).is_file() and Path(source.split(os.pathsep)[0]).is_dir()


def _count(
    source: str, option: str, n: int | None, tokenise: Tokeniser, data: TrainingStatistics
) -> tuple[Counter[str], NgramCounts | None]:
    """The counts of the words of the targets, and their n-grams."""
    if _are_folders(source):
        targets = RunData.find(source).training_targets()
    else:
        targets = TrainingTargets([Path(source)], TextFile(source, holds="one reply"))
    counted = _counted(targets, n, tokenise)
    data.inputs[option] = {
        "name": os.pathsep.join(path.name for path in targets.files),
        "sha256": os.pathsep.join(sha256(path) for path in targets.files),
    }
    return counted


def _counted(
    targets: TrainingTargets, n: int | None, tokenise: Tokeniser
) -> tuple[Counter[str], NgramCounts | None]:
    counts = np.zeros(0, dtype=np.int64)
    ngrams = None if n is None else NgramCounts(n, tokenise.words)
    for chunk in chunks(targets.replies, ", ".join(map(str, targets.files))):
        tokens = tokenise(chunk)
        before, counts = counts, np.bincount(tokens.ids, minlength=len(tokenise.words))
        counts[: len(before)] += before
        if ngrams is not None:
            ngrams.update(tokens)
    return Counter(dict(zip(tokenise.words, counts.tolist()))), ngrams
