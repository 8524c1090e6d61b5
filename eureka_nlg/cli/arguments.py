"""Options that several commands have."""

from __future__ import annotations

import argparse
from typing import Any

from eureka_nlg.dialogue.training_statistics import BANDS

__all__ = ["add_bands_argument", "add_run_arguments", "add_training_arguments"]


def add_run_arguments(parser: argparse.ArgumentParser, help: str) -> None:
    """``RUN ...``, the names that the runs are shown under, and their data folder."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help=help)
    parser.add_argument(
        "--names",
        nargs="+",
        metavar="NAME",
        help="a name for each run (default: the end of its path, as much as tells the runs apart)",
    )
    parser.add_argument(
        "--data", metavar="DIR", help="data folder (default: the one that each run was trained on)"
    )


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that name the training data, for ``read_training_statistics``."""
    group = parser.add_argument_group("training data")
    group.add_argument(
        "--train-counts",
        metavar="FILE|DIR",
        help="how often each word occurs in the training targets, for scores by band of training frequency: "
        "a file with lines of `word count`, or a data folder whose training targets are counted; several "
        "folders as DIR:DIR",
    )
    group.add_argument(
        "--train-targets",
        metavar="FILE|DIR",
        help="the training targets, one per line, or a data folder (several as DIR:DIR), for the share of "
        "n-grams that no training target has; without --train-counts they also give the bands",
    )
    add_bands_argument(group)


def add_bands_argument(parser: Any) -> None:
    """``--bands RULE``, for :func:`eureka_nlg.metrics.parse_band_rule`."""
    parser.add_argument(
        "--bands",
        metavar="RULE",
        default=BANDS,
        help="how words are grouped by training frequency, most frequent first: mass:SHARE,... gives each "
        "band a share of the training tokens, types:SHARE,... a share of the word types, and count:BOUND,... "
        "cuts at falling counts (default: %(default)s)",
    )
