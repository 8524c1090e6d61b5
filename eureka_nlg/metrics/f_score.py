"""Micro and macro F over word types, the measure of rare words that a dialogue model gets right."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.text import Reply, check_sequence, paired_chunks
from eureka_nlg.metrics.tokens import Tokeniser, Tokens, Words, matches

__all__ = ["FScores", "FStatistics", "Types", "f_scores"]

Types = Literal["reference", "union", "vocabulary"]
"""Which word types macro F averages over; every report must name it."""


class FScores(NamedTuple):
    """Micro and macro F in percent, and the set of types behind macro F.

    Attributes:
        micro: 2 TP / (2 TP + FP + FN), with the counts of all words pooled.
        macro: unweighted mean over ``num_types`` word types of the type's own F.
        num_types: size of the set that macro F averages over.
        types: the name of that set.
    """

    micro: float
    macro: float
    num_types: int
    types: Types


class FStatistics:
    """What F needs to know about each word; statistics of shards add up exactly.

    Args:
        words: the ids that words are counted under.

    Attributes:
        counts: [3, at least the number of words]: for each word its matches (true positives: over the pairs,
            the sum of the smaller of its two counts), its occurrences in the hypotheses (TP + FP), and its
            occurrences in the references (TP + FN).
    """

    def __init__(self, words: Words | None = None) -> None:
        self.words = Words() if words is None else words
        self.counts: NDArray[np.int64] = np.zeros((3, 0), dtype=np.int64)

    def update(self, hypotheses: Tokens, references: Tokens) -> FStatistics:
        """Add pairs of replies tokenised with :attr:`words`; return self."""
        self._make_room(len(self.words))
        matched = matches(hypotheses, references)
        np.add.at(self.counts[0], matched.ids, matched.counts)
        np.add.at(self.counts[1], hypotheses.ids, 1)
        np.add.at(self.counts[2], references.ids, 1)
        return self

    def __add__(self, other: FStatistics) -> FStatistics:
        words, new_ids = self.words.union(other.words)
        merged = FStatistics(words)
        merged._make_room(len(words))
        for statistics, ids in ((self, np.arange(len(self.words))), (other, new_ids)):
            size = min(statistics.counts.shape[1], len(ids))  # words may have grown since the last update
            merged.counts[:, ids[:size]] += statistics.counts[:, :size]
        return merged

    @property
    def num_hypothesis_words(self) -> int:
        return int(self.counts[1].sum())

    @property
    def num_reference_words(self) -> int:
        return int(self.counts[2].sum())

    def compute(self, types: Types = "reference", vocabulary: Iterable[str] | None = None) -> FScores:
        """The scores; see :func:`f_scores`."""
        check_types(types, vocabulary)
        matched, hypotheses, references = self.counts
        # 2 TP + FP + FN = occurrences in the hypotheses + occurrences in the references
        by_type = 200 * matched / np.maximum(hypotheses + references, 1)
        if vocabulary is not None and types == "vocabulary":
            asked = set(vocabulary)
            num_types = len(asked)
            ids = (self.words[word] for word in asked if word in self.words)
            scores = [float(by_type[number]) for number in ids if number < len(by_type)]
        else:
            scores = by_type[(references if types == "reference" else hypotheses + references) > 0].tolist()
            num_types = len(scores)
        return FScores(
            micro=200 * int(matched.sum()) / max(self.num_hypothesis_words + self.num_reference_words, 1),
            # fsum: the same sum in whatever order words were first seen
            macro=math.fsum(scores) / max(num_types, 1),
            num_types=num_types,
            types=types,
        )

    def _make_room(self, num_words: int) -> None:
        room = self.counts.shape[1]
        if room < num_words:  # at least doubled, so that growing costs little on average
            self.counts = np.pad(self.counts, ((0, 0), (0, max(num_words, 2 * room) - room)))


def f_scores(
    hypotheses: Sequence[Reply],
    references: Sequence[Reply],
    *,
    types: Types = "reference",
    vocabulary: Iterable[str] | None = None,
) -> FScores:
    """Micro and macro F between replies and references (Eureka paper, Table 4; notes, section 6).

    Per word type c, true positives, false positives and false negatives are summed over the pairs with
    clipped counts. Micro F pools them over all words, whatever ``types`` says. Macro F is the unweighted
    mean of the types' own F, so that a word seen once weighs as much as "the".

    Args:
        hypotheses: N replies of the system, strings (split on white space) or token sequences.
        references: N references, in the same order and tokenised in the same way.
        types: the set macro F averages over: ``"reference"``, types that occur in the references;
            ``"union"``, types that occur on either side; ``"vocabulary"``, exactly those of ``vocabulary``.
        vocabulary: word types, read only with ``types="vocabulary"``. Repeated ones count once, and types
            that occur nowhere have F 0.

    Returns:
        Percentages from 0 to 100. Without pairs, words or types the scores are 0.

    Raises:
        UserError: unequal lengths, an unknown ``types``, or a vocabulary that is asked for and not given.

    >>> f_scores(["i like tea"], ["i like green tea"])
    FScores(micro=85.71428571428571, macro=75.0, num_types=4, types='reference')
    """
    check_types(types, vocabulary)
    tokenise = Tokeniser()
    statistics = FStatistics(tokenise.words)
    for hypothesis_chunk, reference_chunk in paired_chunks(hypotheses, references):
        statistics.update(tokenise(hypothesis_chunk), tokenise(reference_chunk))
    return statistics.compute(types, vocabulary)


def check_types(types: str, vocabulary: Iterable[str] | None) -> None:
    """Refuse an unknown set of types, and ``"vocabulary"`` without one.

    Raises:
        UserError: as said.
    """
    if types not in get_args(Types):
        raise UserError(f"types is {types!r}, expected one of: {', '.join(get_args(Types))}")
    if types == "vocabulary":
        if vocabulary is None:
            raise UserError('types "vocabulary" needs a vocabulary: give the word types to average over')
        check_sequence("vocabulary", vocabulary)
