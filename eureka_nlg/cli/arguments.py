"""Options that several commands have."""

from __future__ import annotations

import argparse
from typing import Any

from eureka_nlg.dialogue.training_statistics import BANDS

__all__ = ["add_bands_argument", "add_run_arguments", "add_training_arguments"]


def add_run_arguments(parser: argparse.ArgumentParser, help: str) -> None:
    """``RUN ...`` and the names that they are shown under."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help=help)
    parser.add_argument(
        "--names",
        nargs="+",
        metavar="NAME",
        help="one for each run (default: the folders', with as much of the path as tells them apart)",
    )
    parser.add_argument("--data", metavar="DIR", help="data folder (default: that of each training)")


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that name the training data, for ``read_training_statistics``."""
    group = parser.add_argument_group("training data")
    group.add_argument(
        "--train-counts",
        metavar="FILE|DIR",
        help="counts of the words in the training targets, for scores by band of training frequency: lines "
        "of `word count`, or a data folder whose training targets are counted; several folders as DIR:DIR",
    )
    group.add_argument(
        "--train-targets",
        metavar="FILE|DIR",
        help="the training targets, one per line, or a data folder (several as DIR:DIR), for the share of "
        "n-grams that are new; without --train-counts they are counted for the bands too",
    )
    add_bands_argument(group)


def add_bands_argument(parser: Any) -> None:
    """``--bands RULE``, for :func:`eureka_nlg.metrics.parse_band_rule`."""
    parser.add_argument(
        "--bands",
        metavar="RULE",
        default=BANDS,
        help="mass:SHARE,... (shares of the training tokens, most frequent words first), types:SHARE,... "
        "(shares of the word types) or count:BOUND,... (above the first bound, down to each, below the last) "
        "(default: %(default)s)",
    )
