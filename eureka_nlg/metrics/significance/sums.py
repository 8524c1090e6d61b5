"""Metrics of sums and means over the pairs, which vary smoothly with how often each pair is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import require
from eureka_nlg.metrics.replies.ngrams import DiversityStatistics
from eureka_nlg.metrics.replies.parlai_f1 import normalise
from eureka_nlg.metrics.replies.totals import Statistic, Values, ratio
from eureka_nlg.metrics.text.pairs import Pairs
from eureka_nlg.metrics.text.tokens import Matches, Tokeniser, Tokens, matches, ngrams

__all__ = [
    "bleu",
    "chrf",
    "mean",
    "mean_length",
    "micro_f",
    "novelty",
    "parlai_f1",
    "recall",
    "reply_diversity",
]

_BLEU_ORDER = 4
_CHRF_BETA = 2


def mean(name: str, by_pair: Sequence[NDArray[np.float64]]) -> Statistic:
    """A mean over the pairs, from each system's values [N]."""
    rows = [np.stack([values, np.ones(len(values))]) for values in by_pair]
    return Statistic(rows, lambda totals: {name: ratio(totals[0], totals[1], 1.0)})


def quotient(
    name: str, numerators: Sequence[NDArray[Any]], denominators: Sequence[NDArray[Any]]
) -> Statistic:
    """100 * a sum over the pairs / another, from each system's summands [N]."""
    rows = [np.stack(both).astype(np.float64) for both in zip(numerators, denominators)]
    return Statistic(rows, lambda totals: {name: ratio(totals[0], totals[1])})


def micro_f(pairs: Pairs, name: str = "micro_f", words: NDArray[np.bool_] | None = None) -> Statistic:
    """Micro F, of all words or of those that ``words`` [number of words] marks."""
    references = _lengths(pairs.references, words)
    return quotient(
        name,
        [2 * _overlap(matches(tokens, pairs.references), len(pairs), words) for tokens in pairs.hypotheses],
        [_lengths(tokens, words) + references for tokens in pairs.hypotheses],
    )


def recall(pairs: Pairs, name: str, words: NDArray[np.bool_]) -> Statistic:
    """Words of the references that the replies have, of those that ``words`` [number of words] marks."""
    return quotient(
        name,
        [_overlap(matches(tokens, pairs.references), len(pairs), words) for tokens in pairs.hypotheses],
        [_lengths(pairs.references, words)] * len(pairs.names),
    )


def parlai_f1(pairs: Pairs) -> Statistic:
    """ParlAI F1, a mean over the pairs."""
    tokenise = Tokeniser()
    *systems, references = (
        tokenise(map(normalise, texts)) for texts in (*pairs.texts, pairs.reference_texts)
    )
    return mean(
        "parlai_f1",
        [
            ratio(2 * _overlap(matches(tokens, references), len(pairs)), tokens.lengths + references.lengths)
            for tokens in systems
        ],
    )


def scored_pairs(pairs: Pairs, name: str, score: Callable[[str, str], float]) -> Statistic:
    """100 * the mean of the score of a reply and its reference."""
    return mean(
        name,
        [
            100 * np.fromiter(map(score, texts, pairs.reference_texts), dtype=np.float64, count=len(pairs))
            for texts in pairs.texts
        ],
    )


def mean_length(pairs: Pairs) -> Statistic:
    """Words per reply."""
    return mean("mean_length", [tokens.lengths.astype(np.float64) for tokens in pairs.hypotheses])


def reply_diversity(pairs: Pairs, n: int) -> Statistic:
    """Mean share of distinct n-grams among a reply's own, over the replies that have n words."""
    shares, replies = [], []
    for grams in pairs.ngrams(n)[:-1]:
        base = 1 + int(grams.ids.max(initial=0))
        owners = np.unique(grams.owners() * base + grams.ids) // base
        shares.append(ratio(np.bincount(owners, minlength=len(pairs)), grams.lengths, 1.0))
        replies.append(grams.lengths > 0)
    return quotient(f"reply_diversity_{n}", shares, replies)


def novelty(pairs: Pairs, n: int, seen: DiversityStatistics) -> Statistic:
    """Share of the n-grams that do not occur in ``seen``."""
    new, lengths = [], []
    for tokens, grams in zip(pairs.hypotheses, pairs.ngrams(n)):
        is_new = ~seen.contains(ngrams(tokens, n), pairs.words)
        new.append(np.bincount(grams.owners()[is_new], minlength=len(pairs)))
        lengths.append(grams.lengths)
    return quotient(f"novelty_{n}", new, lengths)


def bleu(pairs: Pairs) -> Statistic:
    """Corpus BLEU as sacrebleu computes it by default: order 4, exponential smoothing, no tokeniser."""
    matrices = []
    for system, tokens in enumerate(pairs.hypotheses):
        rows = [tokens.lengths, pairs.references.lengths]
        for n in range(1, _BLEU_ORDER + 1):
            grams = pairs.ngrams(n)
            rows += [_overlap(matches(grams[system], grams[-1]), len(pairs)), grams[system].lengths]
        matrices.append(np.stack(rows).astype(np.float64))

    def compute(totals: NDArray[np.float64]) -> Mapping[str, Values]:
        length, reference_length = totals[:2]
        matched, total = totals[2::2], totals[3::2]
        # orders without a match count 1/2, 1/4, ... of one, in the order of n
        smoothed = np.where(matched > 0, matched, 0.5 ** np.cumsum(matched == 0, axis=0))
        logarithm = np.log(smoothed / np.maximum(total, 1)).mean(axis=0)
        brevity = np.minimum(0.0, 1 - reference_length / np.maximum(length, 1))
        defined = matched.any(axis=0) & (total > 0).all(axis=0)
        return {"bleu": np.where(defined, 100 * np.exp(logarithm + brevity), 0.0)}

    return Statistic(matrices, compute)


def chrf(pairs: Pairs) -> Statistic:
    """chrF2 as sacrebleu computes it by default: characters up to order 6, no white space, no smoothing."""
    scorer = require("sacrebleu.metrics", extra="metrics").CHRF()
    # sacrebleu's own bootstrap is made of this method; there is no public way to the counts
    matrices = [
        np.array(scorer._extract_corpus_statistics(texts, [pairs.reference_texts]), dtype=np.float64).T
        for texts in pairs.texts
    ]

    def compute(totals: NDArray[np.float64]) -> Mapping[str, Values]:
        total, wanted, matched = totals[0::3], totals[1::3], totals[2::3]  # of each order
        known = (total > 0) & (wanted > 0)
        orders = known.sum(axis=0)
        precision = ratio(np.where(known, ratio(matched, total, 1.0), 0.0).sum(axis=0), orders, 1.0)
        recalled = ratio(np.where(known, ratio(matched, wanted, 1.0), 0.0).sum(axis=0), orders, 1.0)
        weight = _CHRF_BETA**2
        return {"chrf": ratio((1 + weight) * precision * recalled, weight * precision + recalled)}

    return Statistic(matrices, compute)


def _overlap(found: Matches, num_pairs: int, words: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Shared words of each pair, [N], only those that ``words`` marks."""
    counts = found.counts if words is None else found.counts * words[found.ids]
    overlap = np.zeros(num_pairs, dtype=np.int64)
    np.add.at(overlap, found.pairs, counts)
    return overlap


def _lengths(tokens: Tokens, words: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Words of each reply, [N], only those that ``words`` marks."""
    if words is None:
        return tokens.lengths
    return np.bincount(tokens.owners()[words[tokens.ids]], minlength=len(tokens.lengths))
