"""Metrics of what occurs at all: macro F over word types, n-gram diversity, entropy, copies.

The bootstrap is the wrong tool for these. A resample lacks 37 % of the pairs and repeats others, so it holds
fewer words and n-grams than any fresh test set, and most of what is left of the rare ones is no longer a
matter of chance. In simulations its intervals for a difference were 0.4 to 0.8 times as wide as they should
be, and those of the delete-d jackknife 0.95 to 1.35 times. The jackknife repeats nothing, and where it errs,
it errs on the wide side (Efron & Stein 1981).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import require
from eureka_nlg.metrics.replies.f_score import Types
from eureka_nlg.metrics.replies.totals import Statistic, Values, ratio
from eureka_nlg.metrics.text.pairs import Pairs
from eureka_nlg.metrics.text.tokens import Tokens, matches

__all__ = ["OF_COUNTS", "Grams", "copies", "macro_f", "ngram_counts"]

OF_COUNTS = ("diversity", "ead", "entropy")
"""Metrics that the counts of a system's n-grams tell."""


def macro_f(
    pairs: Pairs,
    types: Types,
    vocabulary: NDArray[np.bool_] | None,
    words: Mapping[str, NDArray[np.bool_]],
) -> Statistic:
    """Macro F over all types, or over those of a band.

    Each resample has its own set of types, unless that is a vocabulary. Both systems of a pair face the same
    references, hence the same types if those are the references' own.

    Args:
        pairs: replies and references.
        types: as in :func:`eureka_nlg.metrics.f_scores`.
        vocabulary: which words are in the vocabulary, [number of words], for ``types="vocabulary"``.
        words: name of the metric -> the words it judges, [number of words].
    """
    num_words = len(pairs.words)
    selection = np.stack(list(words.values()))
    if vocabulary is not None:
        selection &= vocabulary
    selection = selection.astype(np.float64)

    def compute(totals: NDArray[np.int32]) -> Mapping[str, Values]:
        matched, hypotheses, references = totals.reshape(3, num_words, totals.shape[1])
        occurrences = hypotheses + references
        # types outside the set have no match, so they add nothing here
        by_type = selection @ (200.0 * matched / np.maximum(occurrences, 1))
        if vocabulary is not None:
            num_types = np.tile(selection.sum(axis=1, keepdims=True), by_type.shape[1])
        else:
            num_types = selection @ ((references if types == "reference" else occurrences) > 0)
        return dict(zip(words, ratio(by_type, num_types, 1.0)))

    sparse = require("scipy.sparse", extra="metrics")
    references = _by_pair(pairs.references, num_words)
    matrices = []
    for tokens in pairs.hypotheses:
        found = matches(tokens, pairs.references)
        matched = sparse.csr_matrix(
            (found.counts.astype(np.int32), (found.ids, found.pairs)), shape=(num_words, len(pairs))
        )
        matrices.append(sparse.vstack([matched, _by_pair(tokens, num_words), references], format="csr"))
    return Statistic(matrices, compute, "jackknife")


class Grams:
    """How often each n-gram occurs in each reply of each system, n-grams of one fate taken together.

    An n-gram that occurs in one reply of one system only has the same total as the others that do so equally
    often. One row stands for them all.

    Args:
        systems: n-grams of each system, with common ids.

    Attributes:
        matrices: for each system, a sparse [rows, N].
        multiplicity: n-grams that each row stands for, [rows].
    """

    def __init__(self, systems: Sequence[Tokens]) -> None:
        sparse = require("scipy.sparse", extra="metrics")
        num_pairs = len(systems[0].lengths)
        num_replies = len(systems) * num_pairs
        replies = np.concatenate([tokens.owners() + num_pairs * k for k, tokens in enumerate(systems)])
        ids = np.concatenate([tokens.ids for tokens in systems]).astype(np.int64)
        keys, counts = np.unique(ids * num_replies + replies, return_counts=True)
        ids, replies = np.divmod(keys, num_replies)
        alone = np.bincount(ids)[ids] == 1 if len(ids) else np.zeros(0, dtype=bool)
        shared, rows = np.unique(ids[~alone], return_inverse=True)
        base = 1 + int(counts.max(initial=0))
        fates, multiplicity = np.unique(replies[alone] * base + counts[alone], return_counts=True)
        rows = np.concatenate([rows, len(shared) + np.arange(len(fates))])
        replies = np.concatenate([replies[~alone], fates // base])
        counts = np.concatenate([counts[~alone], fates % base]).astype(np.int32)
        matrix = sparse.csc_matrix((counts, (rows, replies)), shape=(len(shared) + len(fates), num_replies))
        self.matrices = [matrix[:, k * num_pairs : (k + 1) * num_pairs].tocsr() for k in range(len(systems))]
        self.multiplicity = np.concatenate([np.ones(len(shared)), multiplicity])

    def sum(self, values: NDArray[np.generic]) -> Values:
        """Sum over n-grams of a value per row, [rows, B] -> [B]."""
        return np.asarray(self.multiplicity @ values)


def copies(pairs: Pairs) -> Statistic:
    """Share of replies that are a copy of another, as ``copies``."""
    grams = Grams(pairs.whole_replies())

    def compute(totals: NDArray[np.int32]) -> Mapping[str, Values]:
        return {"copies": ratio(grams.sum(np.where(totals > 1, totals, 0)), grams.sum(totals))}

    return Statistic(grams.matrices, compute, "jackknife")


def ngram_counts(pairs: Pairs, n: int, families: Collection[str]) -> Statistic:
    """What the counts of the n-grams of all replies tell; ``families``: some of :data:`OF_COUNTS`.

    The vocabulary of the expectation-adjusted distinct is that of all references, in every resample.
    """
    *systems, references = pairs.ngrams(n)
    grams = Grams(systems)
    vocabulary_size = max(len(np.unique(references.ids)), 1)

    def compute(totals: NDArray[np.int32]) -> Mapping[str, Values]:
        num_ngrams = grams.sum(totals)
        scores = {}
        if "diversity" in families or "ead" in families:
            distinct = grams.sum(totals > 0)
            scores[f"diversity_{n}"] = ratio(distinct, num_ngrams)
            scores[f"ead_{n}"] = ratio(distinct, vocabulary_size * _hit(vocabulary_size, num_ngrams))
        if "entropy" in families:
            surprise = grams.sum(totals * np.log(np.maximum(totals, 1)))
            entropy = np.log(np.maximum(num_ngrams, 1)) - ratio(surprise, num_ngrams, 1.0)
            scores[f"entropy_{n}"] = np.maximum(entropy, 0.0)
        return scores

    return Statistic(grams.matrices, compute, "jackknife")


def _hit(vocabulary_size: int, num_draws: Values) -> Values:
    """Probability that a type is among so many draws from equally likely ones."""
    if vocabulary_size == 1:
        return np.minimum(num_draws, 1.0)
    return np.asarray(-np.expm1(num_draws * np.log1p(-1 / vocabulary_size)))


def _by_pair(tokens: Tokens, num_words: int) -> Any:
    """Counts of the words, sparse [number of words, N]."""
    sparse = require("scipy.sparse", extra="metrics")
    ones = np.ones(len(tokens.ids), dtype=np.int32)
    return sparse.csr_matrix((ones, (tokens.ids, tokens.owners())), shape=(num_words, len(tokens.lengths)))
