"""All dialogue scores of one system in one pass over its replies, with what defines the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from eureka_nlg import __version__
from eureka_nlg.metrics.classes.bands import WordBands
from eureka_nlg.metrics.replies.catalogue import default_metrics, select_metrics
from eureka_nlg.metrics.replies.f_score import Types, check_types
from eureka_nlg.metrics.replies.ngrams import DiversityStatistics
from eureka_nlg.metrics.replies.reply_statistics import ReplyStatistics
from eureka_nlg.metrics.text.lines import Reply, paired_chunks

__all__ = ["ReplyScores", "score_replies"]


@dataclass(frozen=True)
class ReplyScores:
    """The scores of one system.

    Attributes:
        scores: key of the metric -> value, in percent from 0 to 100 where :func:`find_metric` says so.
        num_pairs: pairs of reply and reference.
        num_types: word types that macro F averages over.
        num_hypothesis_words, num_reference_words: words on either side.
        signature: everything that defines the numbers besides the text itself.
        unavailable: key of a metric that was asked for and cannot be had -> why.
        bands: band of training frequency -> its ``num_types`` that macro F averages over and its
            ``num_reference_words``, where bands are given.
    """

    scores: dict[str, float]
    num_pairs: int
    num_types: int
    num_hypothesis_words: int
    num_reference_words: int
    signature: dict[str, Any] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    bands: dict[str, dict[str, int]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What goes into JSON."""
        document = {"scores": self.scores, "num_pairs": self.num_pairs, "num_types": self.num_types}
        optional = {"bands": self.bands, "unavailable": self.unavailable}
        document |= {name: value for name, value in optional.items() if value}
        return document | {"signature": self.signature}


def score_replies(
    hypotheses: Iterable[Reply],
    references: Iterable[Reply],
    *,
    metrics: Sequence[str] | None = None,
    types: Types = "reference",
    vocabulary: Iterable[str] | None = None,
    lowercase: bool = False,
    n: int = 4,
    bands: WordBands | None = None,
    seen: DiversityStatistics | None = None,
    names: tuple[str, str] = ("hypotheses", "references"),
) -> ReplyScores:
    """Score the replies of one system, streaming: memory grows with distinct words and n-grams only.

    Args:
        hypotheses: replies of the system, strings (split on white space) or token sequences.
        references: as many references, in the same order.
        metrics: what to score, keys or groups of :func:`eureka_nlg.metrics.select_metrics`; default:
            :func:`eureka_nlg.metrics.default_metrics`.
        types: the word types macro F averages over; see :func:`eureka_nlg.metrics.f_scores`.
        vocabulary: word types, for ``types="vocabulary"``.
        lowercase: lower the case of replies, references and vocabulary first.
        n: words per n-gram of the default metrics.
        bands: bands of training frequency, for the scores of each band; lowered already with ``lowercase``.
        seen: n-grams of the training targets, for ``novelty_<n>``; lowered already with ``lowercase``.
        names: what a message calls the two sides, for example the names of their files.

    Raises:
        UserError: unequal lengths, an unknown ``types`` or metric, or a vocabulary, bands or training targets
            that are asked for and not given.
        MissingExtraError: sacrebleu or rouge-score is needed and not installed.
    """
    check_types(types, vocabulary)
    known = (() if bands is None else bands.bands.names, None if seen is None else seen.n)
    keys = default_metrics(*known, n=n) if metrics is None else select_metrics(metrics, *known)
    statistics = ReplyStatistics(keys, lowercase)
    for pairs in paired_chunks(hypotheses, references, names):
        statistics.update(*pairs)
    if vocabulary is not None:
        vocabulary = {word.lower() for word in vocabulary} if lowercase else set(vocabulary)
    by_band = {} if bands is None else statistics.f.compute_bands(bands, types, vocabulary)
    return ReplyScores(
        scores=statistics.compute(types=types, vocabulary=vocabulary, bands=bands, seen=seen),
        num_pairs=statistics.of_replies["mean_length"].num_replies,
        num_types=statistics.f.compute(types, vocabulary).num_types,
        num_hypothesis_words=statistics.f.num_hypothesis_words,
        num_reference_words=statistics.f.num_reference_words,
        signature=_signature(statistics, types, n, bands),
        unavailable=statistics.unavailable,
        bands={
            name: {"num_types": band.num_types, "num_reference_words": band.num_reference_words}
            for name, band in by_band.items()
        },
    )


def _signature(statistics: ReplyStatistics, types: Types, n: int, bands: WordBands | None) -> dict[str, Any]:
    signature: dict[str, Any] = {
        "types": types,
        "n": n,
        "tokenisation": "whitespace",
        "lowercase": statistics.tokenise.lowercase,
    }
    for name, of_pairs in statistics.of_pairs.items():
        signature["sacrebleu" if name == "bleu" else name] = of_pairs.signature()
    sizes = [metric.n for metric in statistics.metrics if metric.family == "ead" and metric.n]
    if sizes:
        signature["ead_vocabulary_size"] = {str(size): statistics.ead_vocabulary_size(size) for size in sizes}
    if bands is not None:
        signature["bands"] = bands.bands.rule
    signature["metrics"] = {metric.key: metric.description for metric in statistics.metrics}
    return signature | {"eureka_nlg": __version__}
