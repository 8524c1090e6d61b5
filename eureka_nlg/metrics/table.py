"""The table of scores for the terminal: one row per metric, one column per system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eureka_nlg.errors import require
from eureka_nlg.metrics.replies.catalogue import find_metric

__all__ = ["score_table"]


def score_table(systems: Mapping[str, Mapping[str, float]], metrics: Sequence[str] | None = None) -> str:
    """Lay out the scores of one or more systems.

    Args:
        systems: name of the system -> its scores, by the keys of ``ReplyScores.scores``. Further keys, such
            as ``ppl``, can be added: ``{"CE": {**scores.scores, "ppl": 31.2}}``.
        metrics: keys of the rows, in this order; default: every key, in the order of first occurrence.

    Returns:
        The table, with two decimals; ``-`` if a system has no score for a metric.

    Raises:
        MissingExtraError: tabulate is not installed.
    """
    tabulate = require("tabulate", extra="metrics").tabulate
    keys = (
        list(dict.fromkeys(key for scores in systems.values() for key in scores))
        if metrics is None
        else metrics
    )
    rows = []
    for key in keys:
        label, description = _describe(key)
        values = [f"{scores[key]:.2f}" if key in scores else "-" for scores in systems.values()]
        rows.append([label, *values, description])
    return str(
        tabulate(
            rows,
            headers=["metric", *systems, "what it is"],
            colalign=["left", *["right"] * len(systems), "left"],
            disable_numparse=True,
        )
    )


def _describe(key: str) -> tuple[str, str]:
    if key == "ppl":
        return "ppl", "perplexity per token of the references, lower is better"
    metric = find_metric(key)
    return (key, "") if metric is None else (metric.label, metric.meaning)
