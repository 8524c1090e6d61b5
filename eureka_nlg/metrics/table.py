"""The table of scores for the terminal: one row per metric, one column per system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eureka_nlg.errors import require

__all__ = ["score_table"]

# key of the score -> (name in the table, what it is)
_METRICS = {
    "macro_f": ("macro F", "% mean F over word types: rare words weigh as much as common ones"),
    "micro_f": ("micro F", "% F over all words"),
    "parlai_f1": ("ParlAI F1", "% mean word F1 per reply, as in the ConvAI2 challenge"),
    "bleu": ("BLEU", "% corpus BLEU by sacrebleu"),
    "ppl": ("ppl", "perplexity per token of the references, lower is better"),
}


def score_table(systems: Mapping[str, Mapping[str, float]], metrics: Sequence[str] | None = None) -> str:
    """Lay out the scores of one or more systems.

    Args:
        systems: name of the system -> score of each metric, under the keys of ``ReplyScores.scores``. Further
            keys, such as ``ppl``, are welcome: ``{"CE": {**scores.scores, "ppl": 31.2}}``.
        metrics: the rows, in this order; default: every key that a system has, in the order of first sight.

    Returns:
        The table with two decimals; ``-`` where a system lacks a metric.

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
    if key in _METRICS:
        return _METRICS[key]
    name, _, n = key.rpartition("_")
    if name == "diversity" and n.isdecimal():
        return f"{n}-gram diversity", f"% of all {n}-grams that are distinct"
    return key, ""
