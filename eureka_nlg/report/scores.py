"""Make the report's table of scores from a comparison of systems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eureka_nlg.metrics import Metric
from eureka_nlg.metrics.significance import Comparison
from eureka_nlg.report.model import Score, ScoreRow, ScoreTable

__all__ = ["score_table_of", "perplexity_row"]


def score_table_of(comparison: Comparison) -> ScoreTable:
    """Scores, intervals, and p-values with Holm's correction; significant differences are marked."""
    level = 1 - comparison.confidence / 100
    p_values = comparison.p_values("holm")
    metrics = []
    for key, estimates in comparison.scores.items():
        scores = {}
        for system, estimate in estimates.items():
            p_value = p_values.get(key, {}).get(system)
            significant = p_value is not None and p_value < level
            scores[system] = Score(estimate.value, estimate.low, estimate.high, p_value, significant)
        metrics.append(_row(comparison.metric(key), scores))
    return ScoreTable(
        metrics,
        comparison.baseline,
        _method(comparison, level),
        comparison.signature,
        comparison.warnings,
    )


def perplexity_row(analysis: Mapping[str, Any], split: str) -> ScoreRow | None:
    """Perplexity of the references from the document of ``eureka analyse``, if it has the split."""
    groups = {
        name: system["splits"].get(split, {}).get("all") for name, system in analysis["systems"].items()
    }
    scores = {
        name: Score(group["perplexity"])
        for name, group in groups.items()
        if group is not None and group["perplexity"] is not None
    }
    if not scores:
        return None
    return ScoreRow("perplexity", "per token of the references", scores, False, "perplexity")


def _row(metric: Metric, scores: Mapping[str, Score]) -> ScoreRow:
    if not metric.label:  # a metric of somebody else's
        return ScoreRow(metric.key, "", scores, None, metric.key)
    higher_is_better = None if metric.better is None else metric.better == "more"
    return ScoreRow(
        f"{metric.label} ({metric.unit})", metric.description, scores, higher_is_better, metric.key
    )


def _method(comparison: Comparison, level: float) -> str:
    shares = comparison.signature.get("shares")
    each = "Each interval" if shares is None else f"{shares[0].upper()}{shares[1:]}; each other interval"
    intervals = (
        f"{each} holds {comparison.confidence:g} % of {comparison.signature['num_resamples']:,} "
        f"resamples of the {comparison.num_pairs:,} {comparison.tested_on}."
    )
    if len(comparison.systems) < 2:
        return intervals
    return (
        f"{intervals} p is the probability of so large a difference from {comparison.baseline} by chance, "
        f"corrected for all comparisons in the table (Holm); values below {level:.3g} are marked. It is "
        "about other test data, not about other training seeds."
    )
