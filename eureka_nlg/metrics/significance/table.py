"""The comparison of systems as a table for the terminal."""

from __future__ import annotations

import math

from eureka_nlg.errors import require
from eureka_nlg.metrics.significance.results import Comparison, Correction, Estimate

__all__ = ["significance_table"]

_MOST_DIGITS = 5


def significance_table(comparison: Comparison, correction: Correction | None = None) -> str:
    """Lay out values, differences and intervals, with marks on significant differences.

    One or two systems stand side by side, with a row per metric; more stand below each other.

    Args:
        comparison: the result of :func:`eureka_nlg.metrics.significance.compare`.
        correction: ``"holm"`` corrects the p-values for all comparisons in the table; None does not correct.

    Returns:
        The table and lines that explain it. Each row has as many decimals as its intervals need. A
        significant difference is marked ▲ if the system is better than the baseline, ▼ if it is worse, and *
        if the metric has no better direction.

    Raises:
        MissingExtraError: tabulate is not installed.
    """
    tabulate = require("tabulate", extra="metrics").tabulate
    p_values = comparison.p_values(correction)
    level = 1 - comparison.confidence / 100
    num_resamples = comparison.signature["num_resamples"]
    is_long = len(comparison.systems) > 2  # side by side they would not fit into a terminal
    rows = []
    for key, scores in comparison.scores.items():
        metric = comparison.metric(key)
        differences = comparison.differences[key]
        digits = _digits([*scores.values(), *differences.values()])
        label = f"{metric.label} ({metric.unit})" if metric.label else key
        row = [label]
        for system, score in scores.items():
            cells = [f"{score.value:.{digits}f} [{score.low:.{digits}f}, {score.high:.{digits}f}]"]
            if system in differences:
                difference, p_value = differences[system], p_values[key][system]
                mark = _mark(difference.value, metric.better) if p_value < level else ""
                interval = f"[{difference.low:+.{digits}f}, {difference.high:+.{digits}f}]"
                cells.append(f"{difference.value:+.{digits}f} {interval}")
                cells.append(f"{p_value:.{len(str(num_resamples))}f} {mark}")
            if is_long:
                rows.append([label, system, *cells, *[""] * (3 - len(cells))])
                label = ""
            else:
                row += cells
        if not is_long:
            rows.append(row)
    if is_long:
        headers = ["metric", "system", "score", "difference", "p"]
        alignment = ["left", "left", "right", "right", "left"]
    else:
        headers, alignment = ["metric"], ["left"]
        for system in comparison.systems:
            headers += [system] if system == comparison.baseline else [system, "difference", "p"]
            alignment += ["right"] if system == comparison.baseline else ["right", "right", "left"]
    table = tabulate(rows, headers=headers, colalign=alignment, disable_numparse=True)
    legend = [
        f"{comparison.num_pairs:,} {comparison.tested_on}, {comparison.confidence:g} % confidence intervals"
    ]
    if len(comparison.systems) > 1:
        randomised = comparison.signature["p_randomisation"]
        test = "approximate randomisation" if randomised else "the paired resampling test"
        corrected = " and Holm's correction" if correction == "holm" else ""
        marks = f"▲ better, ▼ worse, * different from {comparison.baseline}"
        legend.append(f"{marks} with p < {level:.3g} by {test}{corrected}")
    legend.append(f"{num_resamples} resamples, seed {comparison.signature['seed']}")
    lines = [str(table), "; ".join(legend)]
    num_comparisons = sum(map(len, comparison.differences.values()))
    if num_comparisons > 1 and correction is None:
        lines.append(
            f"not corrected for {num_comparisons} comparisons: without any true difference, "
            f"{level * num_comparisons:.1f} of them would be marked by chance (Holm's correction: --holm)"
        )
    lines += [f"{key}: {reason}" for key, reason in comparison.unavailable.items()]
    return "\n".join(lines)


def _digits(estimates: list[Estimate]) -> int:
    """Number of decimals, from 2 to 5, that shows two digits of the width of the narrowest interval."""
    widths = [estimate.high - estimate.low for estimate in estimates if estimate.high > estimate.low]
    needed = 1 - math.floor(math.log10(min(widths))) if widths else 0
    return min(max(needed, 2), _MOST_DIGITS)


def _mark(difference: float, better: str | None) -> str:
    if better is None or difference == 0:
        return "*"
    return "▲" if (difference > 0) == (better == "more") else "▼"
