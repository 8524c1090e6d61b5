"""From the names of metrics to what the tests compute them from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import WordBands
from eureka_nlg.metrics.replies.catalogue import Metric, find_metric
from eureka_nlg.metrics.replies.f_score import Types
from eureka_nlg.metrics.replies.ngrams import DiversityStatistics
from eureka_nlg.metrics.replies.pair_mean import MeteorStatistics, RougeLStatistics
from eureka_nlg.metrics.replies.totals import Statistic
from eureka_nlg.metrics.significance import occurrence, sums
from eureka_nlg.metrics.text.pairs import Pairs

__all__ = ["prepare"]

_PLAIN: dict[str, Callable[[Pairs], Statistic]] = {
    "micro_f": sums.micro_f,
    "parlai_f1": sums.parlai_f1,
    "bleu": sums.bleu,
    "chrf": sums.chrf,
    "rouge_l": lambda pairs: sums.scored_pairs(pairs, "rouge_l", RougeLStatistics().scorer()),
    "mean_length": sums.mean_length,
    "copies": occurrence.copies,
}


def prepare(
    pairs: Pairs,
    metrics: Sequence[str],
    types: Types,
    vocabulary: Iterable[str] | None,
    bands: WordBands | None,
    seen: DiversityStatistics | None,
) -> tuple[list[Statistic], dict[str, str]]:
    """The statistics that hold the metrics, what metrics share only once.

    Args:
        pairs: replies and references.
        metrics: keys from :func:`eureka_nlg.metrics.replies.catalogue.select_metrics`.
        types, vocabulary, bands, seen: see :func:`eureka_nlg.metrics.significance.compare`.

    Returns:
        The statistics, and key -> why for a metric that cannot be had here.
    """
    in_vocabulary = None
    if types == "vocabulary" and vocabulary is not None:
        in_vocabulary = pairs.add_words(vocabulary)
    result: list[Statistic] = []
    unavailable = {}
    counted: dict[int, set[str]] = {}  # n -> what its counts are wanted for
    macro_f: dict[str, NDArray[np.bool_]] = {}
    for key in metrics:
        metric = find_metric(key)
        if metric is None:
            raise UserError(f"there is no metric {key!r}")
        if metric.family == "macro_f":
            macro_f[key] = _words(metric, pairs, bands)
        elif metric.n is not None and metric.family in occurrence.OF_COUNTS:
            counted.setdefault(metric.n, set()).add(metric.family)
        elif metric.n is not None and metric.family == "reply_diversity":
            result.append(sums.reply_diversity(pairs, metric.n))
        elif metric.n is not None and seen is not None:
            result.append(sums.novelty(pairs, metric.n, seen))
        elif metric.band is not None:
            score = sums.micro_f if metric.family == "micro_f" else sums.recall
            result.append(score(pairs, key, _words(metric, pairs, bands)))
        elif key == "meteor":
            try:
                result.append(sums.scored_pairs(pairs, key, MeteorStatistics().scorer()))
            except UserError as error:  # its data is no package, so it is often missing
                unavailable[key] = str(error)
        else:
            result.append(_PLAIN[key](pairs))
    if macro_f:
        result.append(occurrence.macro_f(pairs, types, in_vocabulary, macro_f))
    result += [occurrence.ngram_counts(pairs, n, families) for n, families in counted.items()]
    return result, unavailable


def _words(metric: Metric, pairs: Pairs, bands: WordBands | None) -> NDArray[np.bool_]:
    """Which words the metric judges, [number of words]."""
    if metric.band is None or bands is None:
        return np.ones(len(pairs.words), dtype=np.bool_)
    names = bands.bands.names
    return bands.of_words(pairs.words) == (names.index(metric.band) if metric.band in names else -1)
