"""What the training data says about words: the options that name it, frequency bands and known n-grams."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eureka_nlg.dialogue.targets import training_targets
from eureka_nlg.errors import UserError
from eureka_nlg.files import sha256
from eureka_nlg.metrics import NgramCounts, WordBands, parse_band_rule, read_word_counts
from eureka_nlg.metrics.replies.totals import SPLITS, Unit
from eureka_nlg.metrics.text.lines import Reply, chunks
from eureka_nlg.metrics.text.tokens import Tokeniser
from eureka_nlg.text_files import TextFile

__all__ = ["TrainingData", "add_bands_argument", "add_training_arguments", "read_training_data"]


@dataclass
class TrainingData:
    """What is known of the training data.

    Attributes:
        bands: frequency bands of its words.
        seen: n-grams of its targets.
        inputs: option -> name and sha256 of the file that was read.
    """

    bands: WordBands | None = None
    seen: NgramCounts | None = None
    inputs: dict[str, dict[str, str]] = field(default_factory=dict)


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that name the training data."""
    group = parser.add_argument_group("training data")
    group.add_argument(
        "--train-counts",
        metavar="FILE|DIR",
        help="counts of the words in the training targets, for scores by band of training frequency: lines "
        "of `word count`, or a data folder whose training targets are counted",
    )
    group.add_argument(
        "--train-targets",
        metavar="FILE|DIR",
        help="the training targets, one per line, or a data folder, for the share of n-grams that are new; "
        "without --train-counts they are counted for the bands too",
    )
    add_bands_argument(group)


def add_bands_argument(parser: Any) -> None:
    """``--bands RULE``, for :func:`eureka_nlg.metrics.classes.bands.parse_band_rule`."""
    parser.add_argument(
        "--bands",
        metavar="RULE",
        default="mass:1/3,1/3,1/3",
        help="mass:SHARE,... (shares of the training tokens, most frequent words first), types:SHARE,... "
        "(shares of the word types) or count:BOUND,... (above the first bound, down to each, below the last) "
        "(default: %(default)s)",
    )


def read_training_data(
    args: argparse.Namespace, n: int, lowercase: bool, unit: Unit = "word"
) -> TrainingData:
    """Read what the options name.

    Args:
        args: parsed options of :func:`add_training_arguments`.
        n: words per n-gram of the targets.
        lowercase: lower the case.
        unit: of the scores, in which the targets are counted.

    Raises:
        UserError: bad input, by file and line.
    """
    data, rule = TrainingData(), parse_band_rule(args.bands)
    counts: Counter[str] | None = None
    if args.train_targets:
        counts, data.seen = _count(
            args.train_targets, "train_targets", n, Tokeniser(lowercase, split=SPLITS[unit]), data
        )
    if args.train_counts and Path(args.train_counts).is_dir():
        counts, _ = _count(
            args.train_counts, "train_counts", None, Tokeniser(lowercase, split=SPLITS[unit]), data
        )
    elif args.train_counts:
        file = TextFile(args.train_counts, holds="`word count`")
        counts = Counter()
        for word, count in read_word_counts(file).items():
            counts[word.lower() if lowercase else word] += count
        data.inputs["train_counts"] = {"name": file.name, "sha256": file.sha256}
    if counts is not None:
        if not any(counts.values()):
            raise UserError(f"{args.train_counts or args.train_targets}: not one word is counted there")
        data.bands = WordBands.from_counts(counts, rule)
    return data


def _count(
    source: str, option: str, n: int | None, tokenise: Tokeniser, data: TrainingData
) -> tuple[Counter[str], NgramCounts | None]:
    """Words of the targets and their counts, and their n-grams."""
    path = Path(source)
    targets: Iterable[Reply]
    path, targets = training_targets(path) if path.is_dir() else (path, TextFile(path, holds="one reply"))
    counts = np.zeros(0, dtype=np.int64)
    seen = None if n is None else NgramCounts(n, tokenise.words)
    for chunk in chunks(targets, source):
        tokens = tokenise(chunk)
        before, counts = counts, np.bincount(tokens.ids, minlength=len(tokenise.words))
        counts[: len(before)] += before
        if seen is not None:
            seen.update(tokens)
    data.inputs[option] = {"name": path.name, "sha256": sha256(path)}
    return Counter(dict(zip(tokenise.words, counts.tolist()))), seen
