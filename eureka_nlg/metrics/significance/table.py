"""The comparison of systems as a table for the terminal."""

from __future__ import annotations

from eureka_nlg.errors import require
from eureka_nlg.metrics.replies.catalogue import find_metric
from eureka_nlg.metrics.significance.results import Comparison, Correction

__all__ = ["significance_table"]


def significance_table(comparison: Comparison, correction: Correction | None = None) -> str:
    """Lay out values and intervals: a row per metric, a column per system, a mark on what is significant.

    Args:
        comparison: from :func:`eureka_nlg.metrics.significance.compare`.
        correction: ``"holm"`` corrects the p-values for all comparisons in the table; None for none.

    Returns:
        The table and a line that explains it.

    Raises:
        MissingExtraError: tabulate is not installed.
    """
    tabulate = require("tabulate", extra="metrics").tabulate
    p_values = comparison.p_values(correction)
    level = 1 - comparison.confidence / 100
    num_resamples = comparison.signature["num_resamples"]
    digits = len(str(num_resamples))
    rows = []
    for key, scores in comparison.scores.items():
        metric = find_metric(key)
        row = [key if metric is None else metric.label]
        for system, score in scores.items():
            row.append(f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]")
            if system in p_values[key]:
                p_value = p_values[key][system]
                row.append(f"{p_value:.{digits}f} {'*' if p_value < level else ''}")
        rows.append(row)
    headers, alignment = ["metric"], ["left"]
    for system in comparison.systems:
        headers += [system] if system == comparison.baseline else [system, "p"]
        alignment += ["right"] if system == comparison.baseline else ["right", "left"]
    table = tabulate(rows, headers=headers, colalign=alignment, disable_numparse=True)
    legend = [f"{comparison.num_pairs} pairs, {comparison.confidence:g} % confidence intervals"]
    if len(comparison.systems) > 1:
        test = (
            "approximate randomisation"
            if comparison.signature["p_randomisation"]
            else "the paired resampling test"
        )
        corrected = " and Holm's correction" if correction == "holm" else ""
        legend.append(f"* differs from {comparison.baseline} with p < {level:.3g} by {test}{corrected}")
    legend.append(f"{num_resamples} resamples, seed {comparison.signature['seed']}")
    unavailable = [f"{key}: {reason}" for key, reason in comparison.unavailable.items()]
    return "\n".join([str(table), "; ".join(legend), *unavailable])
