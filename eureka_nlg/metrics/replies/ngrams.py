"""N-gram diversity: how varied the n-grams of a system's replies are, and how many of them are new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.replies.setting import Metric, NgramCounts, Setting
from eureka_nlg.metrics.replies.stream import score_stream
from eureka_nlg.metrics.replies.totals import Entries, Occurrences, Totals, Values, by_pair, ratio
from eureka_nlg.metrics.text.lines import Reply, chunks
from eureka_nlg.metrics.text.ngram_table import NgramTable
from eureka_nlg.metrics.text.pairs import Pairs
from eureka_nlg.metrics.text.tokens import PerWord, Tokeniser, Tokens, ngram_ids, ngrams

__all__ = [
    "NgramTotals",
    "Novelty",
    "count_ngrams",
    "expectation_adjusted_distinct",
    "ngram_diversity",
    "ngram_entropy",
    "ngram_novelty",
]


class NgramTotals(Occurrences):
    """``diversity``, ``ead`` and ``entropy`` of the n-grams of all replies.

    The vocabulary size of EAD is the number of distinct n-grams in all references, in every resample.
    """

    def __init__(self, metrics: Sequence[Metric], setting: Setting) -> None:
        super().__init__(metrics, setting)
        self._keys = {metric.family: metric.key for metric in metrics}
        self._references = NgramTable(self.n)

    @property
    def vocabulary_size(self) -> int:
        """The number of distinct n-grams in the references."""
        return max(self._references.distinct, 1)

    def note(self, pairs: Pairs) -> None:
        if "ead" in self._keys:
            for tokens in pairs.words.references:
                self._references.update(tokens)

    def table(self) -> NgramTable:
        return NgramTable(self.n)

    def things(self, pairs: Pairs) -> list[Tokens]:
        *_, grams = ngram_ids(pairs.words.hypotheses, self.n)
        return grams

    def score_counts(self, counts: NDArray[Any], multiplicity: NDArray[Any]) -> Mapping[str, Values]:
        total = multiplicity @ counts
        scores = {}
        if "diversity" in self._keys or "ead" in self._keys:
            distinct = multiplicity @ (counts > 0)
            scores = {
                "diversity": ratio(distinct, total),
                "ead": expectation_adjusted(distinct, total, self.vocabulary_size),
            }
        if "entropy" in self._keys:
            # this form is exactly 0 if there is only one distinct n-gram
            surprise = np.log(np.maximum(total, 1)) - np.log(np.maximum(counts, 1))
            scores["entropy"] = ratio(multiplicity @ (counts * surprise), total, 1.0)
        return {key: scores[family] for family, key in self._keys.items()}

    def signature(self) -> dict[str, Any]:
        return {"ead_vocabulary_size": {str(self.n): self.vocabulary_size}} if "ead" in self._keys else {}


class Novelty(Totals):
    """``novelty``: n-grams of the replies that are not in the training targets / n-grams of the replies."""

    num_rows = 2

    def __init__(self, metrics: Sequence[Metric], setting: Setting) -> None:
        super().__init__(metrics, setting)
        if setting.training_ngrams is None or setting.training_ngrams.n != self.n:
            raise UserError(f"{self.key} needs the {self.n}-grams of the training targets")
        self._training_ngrams = setting.training_ngrams
        known = self._training_ngrams.words
        self._ids = PerWord(setting.words, lambda word: known.get(word, -1))

    def entries(self, pairs: Pairs, system: int) -> Entries:
        tokens = pairs.words.hypotheses[system]
        lengths = np.maximum(tokens.lengths - self.n + 1, 0)
        new = ~self._training_ngrams.contains(self._ids()[ngrams(tokens, self.n)])
        owners = np.repeat(np.arange(len(pairs)), lengths)
        return by_pair(np.bincount(owners[new], minlength=len(pairs)), lengths)

    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        return {self.key: ratio(totals[0], totals[1])}


def expectation_adjusted(distinct: NDArray[Any], total: NDArray[Any], vocabulary_size: int) -> Values:
    """Distinct n-grams in percent of their expected number; see :func:`expectation_adjusted_distinct`."""
    if vocabulary_size == 1:
        return ratio(distinct, np.minimum(total, 1))
    # log1p and expm1, since ((V - 1) / V) ** C loses precision for large V
    return ratio(distinct, -vocabulary_size * np.expm1(total * np.log1p(-1 / vocabulary_size)))


def ngram_diversity(hypotheses: Sequence[Reply], n: int = 4) -> float:
    """Distinct n-grams in percent of all n-grams, over the whole set of replies.

    This is the diversity in Table 4 of the Eureka paper, also called distinct-n or inter-distinct (Li et al.
    2016). It falls as the set grows, so only sets with about the same number of words are comparable.

    Args:
        hypotheses: replies, strings (split on white space) or token sequences.
        n: words per n-gram.

    Returns:
        A percentage from 0 to 100; 0 if no reply has n words.

    Raises:
        UserError: n below 1.

    >>> ngram_diversity(["a b a b"], n=2)
    66.66666666666667
    """
    return _of_counts(hypotheses, n, "diversity")


def expectation_adjusted_distinct(hypotheses: Sequence[Reply], vocabulary_size: int, n: int = 1) -> float:
    """Expectation-adjusted distinct (EAD): distinct n-grams in percent of their expected number.

    Source: Liu et al. 2022, "Rethinking and Refining the Distinct Metric": ``N / (V * (1 - ((V - 1) / V) **
    C))`` with N distinct n-grams among C n-grams. The expected number is that of C draws from V equally
    likely types. So, unlike plain diversity, EAD does not fall merely because there are more or longer
    replies.

    Args:
        hypotheses: replies, strings (split on white space) or token sequences.
        vocabulary_size: V, the number of n-grams to draw from. For n = 1 it is the size of a vocabulary; for
            longer n-grams it is the number of distinct n-grams in a large text, such as the references. Only
            scores with the same V are comparable.
        n: words per n-gram.

    Returns:
        A percentage; 0 without n-grams. It is above 100 if there are more distinct n-grams than expected.

    Raises:
        UserError: n or ``vocabulary_size`` below 1.

    >>> expectation_adjusted_distinct(["a b", "a"], vocabulary_size=2)  # 2 of an expected 1.75
    114.28571428571429
    """
    if vocabulary_size < 1:
        raise UserError(f"vocabulary_size is {vocabulary_size}, expected the number of types, 1 or more")
    table = count_ngrams(hypotheses, n)
    return float(expectation_adjusted(np.array(table.distinct), np.array(table.total), vocabulary_size))


def ngram_entropy(hypotheses: Sequence[Reply], n: int = 4) -> float:
    """Entropy of the n-grams in nats: ``-sum p log p`` with p an n-gram's share of all n-grams.

    Source: Zhang et al. 2018, "Generating Informative and Diverse Conversational Responses via Adversarial
    Information Maximization" (Ent-n). Unlike diversity, it measures how evenly the n-grams are used. Its
    largest possible value is the logarithm of the number of n-grams.

    Args:
        hypotheses: replies, strings (split on white space) or token sequences.
        n: words per n-gram.

    Returns:
        Nats (natural logarithm), not percent; 0 without n-grams.

    Raises:
        UserError: n below 1.

    >>> round(ngram_entropy(["a b a b"], n=1), 6)  # log 2
    0.693147
    """
    return _of_counts(hypotheses, n, "entropy")


def ngram_novelty(hypotheses: Sequence[Reply], training_targets: Sequence[Reply], n: int = 4) -> float:
    """N-grams that do not occur in the training targets, in percent of all n-grams of the replies.

    Repetitions count: an n-gram that occurs ten times in the replies counts ten times.

    Args:
        hypotheses: replies, strings (split on white space) or token sequences.
        training_targets: the replies the system was trained on, tokenised in the same way.
        n: words per n-gram.

    Returns:
        A percentage from 0 to 100; 0 if no reply has n words.

    Raises:
        UserError: n below 1.

    >>> ngram_novelty(["a b c", "a b"], ["x a b"], n=2)
    33.333333333333336
    """
    setting = Setting(training_ngrams=count_ngrams(training_targets, n, name="training_targets"))
    return score_stream(Novelty([Metric("novelty", n=n)], setting), hypotheses)["novelty"]


def count_ngrams(
    replies: Iterable[Reply], n: int = 4, *, tokenise: Tokeniser | None = None, name: str = "replies"
) -> NgramCounts:
    """Count the n-grams of replies, for example of the training targets.

    Args:
        replies: strings or token sequences.
        n: words per n-gram.
        tokenise: splits replies into words; by default at white space.
        name: name of the replies in error messages.

    Raises:
        UserError: n below 1.
    """
    tokenise = Tokeniser() if tokenise is None else tokenise
    counts = NgramCounts(n, tokenise.words)
    for chunk in chunks(replies, name):
        counts.update(tokenise(chunk))
    return counts


def _of_counts(hypotheses: Sequence[Reply], n: int, family: str) -> float:
    return score_stream(NgramTotals([Metric(family, family=family, n=n)], Setting()), hypotheses)[family]
