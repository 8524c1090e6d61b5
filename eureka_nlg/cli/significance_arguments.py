"""The options of the commands that test whether differences are more than chance."""

from __future__ import annotations

from typing import Any

__all__ = ["add_significance_arguments"]


def add_significance_arguments(group: Any) -> None:
    """``--resamples``, ``--seed``, ``--confidence`` and ``--holm``."""
    group.add_argument(
        "--resamples", type=int, default=1000, metavar="R", help="number of resamples (default: %(default)s)"
    )
    group.add_argument("--seed", type=int, default=1, help="seed of the resamples (default: %(default)s)")
    group.add_argument(
        "--confidence",
        type=float,
        default=95,
        metavar="PERCENT",
        help="confidence of the intervals; the level of significance is 100 minus it (default: %(default)s)",
    )
    group.add_argument(
        "--holm", action="store_true", help="correct the p-values for the number of comparisons (Holm 1979)"
    )
