"""Micro and macro F over word types, the measure of rare words that a dialogue model gets right."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import UNSEEN, WordBands
from eureka_nlg.metrics.text.lines import Reply, check_sequence, paired_chunks
from eureka_nlg.metrics.text.tokens import Tokeniser, Tokens, Words, matches

__all__ = ["BandFScores", "FScores", "FStatistics", "Types", "check_types", "f_scores", "f_scores_by_band"]

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


class BandFScores(NamedTuple):
    """Scores of the words of one frequency band, in percent.

    Attributes:
        micro: 2 TP / (2 TP + FP + FN), with the counts of the band's words pooled.
        macro: unweighted mean of F over ``num_types`` word types of the band.
        recall: TP / (TP + FN), pooled: of the references' words in this band, how many the replies have.
        num_types: types of the band that macro F averages over.
        num_reference_words: how often words of the band occur in the references.
    """

    micro: float
    macro: float
    recall: float
    num_types: int
    num_reference_words: int


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
        members, missing = self._members(types, vocabulary)
        num_types = int(members.sum()) + len(missing)
        return FScores(
            micro=self._micro(np.ones_like(members)),
            macro=self._macro(members, num_types),
            num_types=num_types,
            types=types,
        )

    def compute_bands(
        self, bands: WordBands, types: Types = "reference", vocabulary: Iterable[str] | None = None
    ) -> dict[str, BandFScores]:
        """The scores of each band and of the unseen words; see :func:`f_scores_by_band`."""
        members, missing = self._members(types, vocabulary)
        band_of_word = bands.of_words(self.words)[: len(members)]
        band_of_missing = bands.of_words(missing)
        scores = {}
        for index, name in (*enumerate(bands.bands.names), (-1, UNSEEN)):
            in_band = band_of_word == index
            num_types = int((members & in_band).sum() + (band_of_missing == index).sum())
            matched, _, references = self._counts[:, in_band].sum(axis=1).tolist()
            scores[name] = BandFScores(
                micro=self._micro(in_band),
                macro=self._macro(members & in_band, num_types),
                recall=100 * matched / (references or 1),
                num_types=num_types,
                num_reference_words=references,
            )
        return scores

    @property
    def _counts(self) -> NDArray[np.int64]:
        """The counts without the spare room, [3, number of words or fewer]."""
        return self.counts[:, : len(self.words)]

    def _members(self, types: Types, vocabulary: Iterable[str] | None) -> tuple[NDArray[np.bool_], Words]:
        """Which of the counted words macro F averages over, and the types beside them that occur nowhere."""
        check_types(types, vocabulary)
        _, hypotheses, references = self._counts
        missing = Words()
        if vocabulary is None or types != "vocabulary":
            return (references if types == "reference" else hypotheses + references) > 0, missing
        members = np.zeros(len(references), dtype=np.bool_)
        for word in set(vocabulary):
            number = self.words.get(word, len(members))
            if number < len(members):
                members[number] = True
            else:
                missing.encode([word])
        return members, missing

    def _micro(self, words: NDArray[np.bool_]) -> float:
        matched, hypotheses, references = self._counts[:, words].sum(axis=1).tolist()
        # 2 TP + FP + FN = occurrences in the hypotheses + occurrences in the references
        return float(200 * matched / max(hypotheses + references, 1))

    def _macro(self, words: NDArray[np.bool_], num_types: int) -> float:
        matched, hypotheses, references = self._counts[:, words]
        # fsum: the same sum in whatever order words were first seen
        return math.fsum(200 * matched / np.maximum(hypotheses + references, 1)) / max(num_types, 1)

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
    return _count(hypotheses, references, types, vocabulary).compute(types, vocabulary)


def f_scores_by_band(
    hypotheses: Sequence[Reply],
    references: Sequence[Reply],
    bands: WordBands,
    *,
    types: Types = "reference",
    vocabulary: Iterable[str] | None = None,
) -> dict[str, BandFScores]:
    """Micro F, macro F and recall of the words of each band of training frequency.

    Every word counts in its own band only, so an error that puts a frequent word in the place of a rare one
    is a miss of the rare band and a false alarm of the frequent band. The recall of rare words is the
    ``recall`` of the rarest band; which words are rare is the choice of ``bands``.

    Args:
        hypotheses: N replies of the system, strings (split on white space) or token sequences.
        references: N references, in the same order and tokenised in the same way.
        bands: the bands of the training words.
        types, vocabulary: the set macro F averages over, as in :func:`f_scores`, cut to each band.

    Returns:
        Name of the band -> its scores, the most frequent band first; last ``"unseen"``, the words that do not
        occur in training. A band without types scores 0.

    Raises:
        UserError: as :func:`f_scores`.

    >>> bands = WordBands.from_counts({"i": 6, "like": 3, "tea": 2, "sencha": 1})
    >>> f_scores_by_band(["i like sencha"], ["i like tea"], bands)["tail"]
    BandFScores(micro=0.0, macro=0.0, recall=0.0, num_types=1, num_reference_words=1)
    """
    return _count(hypotheses, references, types, vocabulary).compute_bands(bands, types, vocabulary)


def _count(
    hypotheses: Sequence[Reply],
    references: Sequence[Reply],
    types: str,
    vocabulary: Iterable[str] | None,
) -> FStatistics:
    check_types(types, vocabulary)  # before the work
    tokenise = Tokeniser()
    statistics = FStatistics(tokenise.words)
    for hypothesis_chunk, reference_chunk in paired_chunks(hypotheses, references):
        statistics.update(tokenise(hypothesis_chunk), tokenise(reference_chunk))
    return statistics


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
