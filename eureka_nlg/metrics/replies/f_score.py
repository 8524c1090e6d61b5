"""Micro and macro F over word types: macro F measures how well a dialogue model gets rare words right."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import UNSEEN, WordBands
from eureka_nlg.metrics.replies.setting import Metric, Setting, Types
from eureka_nlg.metrics.replies.stream import Stream
from eureka_nlg.metrics.replies.totals import Entries, Totals, Values, by_pair, ratio
from eureka_nlg.metrics.text.lines import Reply, check_sequence
from eureka_nlg.metrics.text.pairs import Pairs, paired
from eureka_nlg.metrics.text.tokens import PerWord

__all__ = ["BandFScores", "FScores", "MacroF", "MicroF", "check_types", "f_scores", "f_scores_by_band"]


class FScores(NamedTuple):
    """Micro and macro F in percent, and the set of types that macro F averages over.

    Attributes:
        micro: 2 TP / (2 TP + FP + FN), with the counts of all words summed up.
        macro: unweighted mean of F over ``num_types`` word types.
        num_types: size of the set that macro F averages over.
        types: name of that set.
    """

    micro: float
    macro: float
    num_types: int
    types: Types


class BandFScores(NamedTuple):
    """Scores of the words of one frequency band, in percent.

    Attributes:
        micro: 2 TP / (2 TP + FP + FN), with the counts of the band's words summed up.
        macro: unweighted mean of F over ``num_types`` word types of the band.
        recall: TP / (TP + FN), with the counts summed up: the share of the references' words in this band
            that the replies have.
        num_types: number of types of the band that macro F averages over.
        num_reference_words: number of words of the band in the references.
    """

    micro: float
    macro: float
    recall: float
    num_types: int
    num_reference_words: int


class _WordTotals(Totals):
    """Three totals for each group of words: matches, and occurrences in the hypotheses and the references."""

    def __init__(self, metrics: Sequence[Metric], setting: Setting) -> None:
        super().__init__(metrics, setting)
        self._bands = None if setting.bands is None else PerWord(setting.words, setting.bands.band_of)
        self._names = [*(() if setting.bands is None else setting.bands.names), UNSEEN]

    def _entries(
        self, pairs: Pairs, system: int, group_of: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> Entries:
        """The entries, with the group that each word id belongs to."""
        reference, found = pairs.words.matched(system)
        sides: list[tuple[NDArray[Any], ...]] = [found]
        for side in (pairs.words.hypotheses[system], reference):
            owners = side.owners()
            sides.append((owners, side.ids, np.ones_like(owners)))
        return Entries.join(
            [
                Entries(3 * group_of(ids).astype(np.int64) + row, owners, counts)
                for row, (owners, ids, counts) in enumerate(sides)
            ]
        )


class MacroF(_WordTotals):
    """``macro_f`` of all words and of each band, from totals for each word.

    Unless the types are a vocabulary, each resample has its own set of types, as :func:`f_scores` of the
    resampled text would have: for ``"reference"``, the types of *its* references.
    """

    resampling = "jackknife"

    def __init__(self, metrics: Sequence[Metric], setting: Setting) -> None:
        super().__init__(metrics, setting)
        vocabulary = setting.vocabulary
        self._members = (
            None if vocabulary is None else PerWord(setting.words, lambda word: word in vocabulary)
        )

    @property
    def num_rows(self) -> int:  # type: ignore[override]
        return 3 * len(self.setting.words)

    @property
    def same_entries(self) -> Hashable:
        return MacroF  # bands and types affect the score only, not the entries

    def entries(self, pairs: Pairs, system: int) -> Entries:
        return self._entries(pairs, system, lambda ids: ids)

    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        f = 200.0 * totals[0::3] / np.maximum(totals[1::3] + totals[2::3], 1)
        selection = self._selection(len(f))
        # types outside the set have no matches, so they add nothing here
        if f.shape[1] == 1:  # an exact sum does not depend on the order of the words
            sums = np.array([[math.fsum(f[words, 0])] for words in selection])
        else:
            sums = selection.astype(np.float64) @ f
        return dict(zip((metric.key for metric in self.metrics), ratio(sums, self.num_types(totals), 1.0)))

    def num_types(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """Number of types that each metric averages over, [number of metrics, B]."""
        counted = totals[2::3] if self.setting.types == "reference" else totals[1::3] + totals[2::3]
        exact = np.float32 if len(counted) < 2**24 else np.float64  # float32 is exact up to 2**24
        selection = self._selection(len(counted)).astype(exact)
        if self._members is not None:
            return np.tile(selection.sum(axis=1, keepdims=True, dtype=np.float64), totals.shape[1])
        return np.asarray(selection @ (counted > 0).astype(exact), dtype=np.float64)

    def num_words(self, totals: NDArray[Any]) -> NDArray[np.int64]:
        """Matches, words of the replies and words of the references, [number of metrics, 3]."""
        return self._selection(len(totals) // 3, all_words=True).astype(np.int64) @ totals.reshape(-1, 3)

    def _selection(self, num_words: int, all_words: bool = False) -> NDArray[np.bool_]:
        """The words of each metric, [number of metrics, num_words]."""
        selection = np.ones((len(self.metrics), num_words), dtype=np.bool_)
        if self._bands is not None:
            bands = self._bands()[:num_words] % len(self._names)  # -1 (unseen) becomes the last band
            for words, metric in zip(selection, self.metrics):
                if metric.band is not None:
                    words[:] = bands == self._names.index(metric.band)
        if self._members is not None and not all_words:
            selection &= self._members()[:num_words].astype(bool)
        return selection


class MicroF(_WordTotals):
    """``micro_f`` and ``recall``, of all words or of a band, from totals for each band."""

    def __init__(self, metrics: Sequence[Metric], setting: Setting) -> None:
        super().__init__(metrics, setting)
        self.num_rows = 3 * len(self._names)

    def entries(self, pairs: Pairs, system: int) -> Entries:
        bands = self._bands
        if bands is not None:
            return self._entries(pairs, system, lambda ids: bands()[ids] % len(self._names))
        reference, found = pairs.words.matched(system)
        lengths = pairs.words.hypotheses[system].lengths
        return by_pair(found.by_pair(len(pairs)), lengths, reference.lengths)

    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        by_band = totals.reshape(len(self._names), 3, -1)
        scores = {}
        for metric in self.metrics:
            band = slice(None) if metric.band is None else [self._names.index(metric.band)]
            matched, hypotheses, references = by_band[band].sum(axis=0)
            if metric.family == "recall":
                scores[metric.key] = ratio(matched, references)
            else:  # 2 TP + FP + FN = occurrences in the hypotheses + occurrences in the references
                scores[metric.key] = ratio(2 * matched, hypotheses + references)
        return scores


def f_scores(
    hypotheses: Sequence[Reply],
    references: Sequence[Reply],
    *,
    types: Types = "reference",
    vocabulary: Iterable[str] | None = None,
) -> FScores:
    """Micro and macro F between replies and references (Eureka paper, Table 4).

    For each word type, true positives TP, false positives FP and false negatives FN are summed over the pairs
    with clipped counts. Micro F is the F of their sums over all words, regardless of ``types``. Macro F is
    the unweighted mean of the F of the types, so that a word that occurs once weighs as much as "the".

    Args:
        hypotheses: N replies of the system, strings (split on white space) or token sequences.
        references: N references, in the same order and tokenised in the same way.
        types: the set that macro F averages over: ``"reference"``, the types that occur in the references;
            ``"union"``, the types that occur on either side; ``"vocabulary"``, the types in ``vocabulary``.
        vocabulary: word types, used only with ``types="vocabulary"``. Duplicates count once, and types that
            occur nowhere have F 0.

    Returns:
        Percentages from 0 to 100. Without pairs, words or types the scores are 0.

    Raises:
        UserError: the lengths differ, ``types`` is unknown, or the vocabulary is needed and not given.

    >>> f_scores(["i like tea"], ["i like green tea"])
    FScores(micro=85.71428571428571, macro=75.0, num_types=4, types='reference')
    """
    check_types(types, vocabulary)  # before the work starts
    setting = Setting(types=types, vocabulary=vocabulary)
    (scores,) = _by_band(hypotheses, references, setting, [None]).values()
    return FScores(scores.micro, scores.macro, scores.num_types, types)


def f_scores_by_band(
    hypotheses: Sequence[Reply],
    references: Sequence[Reply],
    bands: WordBands,
    *,
    types: Types = "reference",
    vocabulary: Iterable[str] | None = None,
) -> dict[str, BandFScores]:
    """Micro F, macro F and recall of the words of each band of training frequency.

    Each word counts in its own band only. So if a reply has a frequent word instead of a rare one, this is a
    false negative of the rare band and a false positive of the frequent band. The recall of rare words is the
    ``recall`` of the rarest band; ``bands`` defines which words are rare.

    Args:
        hypotheses: N replies of the system, strings (split on white space) or token sequences.
        references: N references, in the same order and tokenised in the same way.
        bands: the bands of the training words.
        types, vocabulary: the set that macro F averages over, as in :func:`f_scores`; for a band, its types
            in this set.

    Returns:
        Name of the band -> its scores, the most frequent band first; the last one is ``"unseen"``, the words
        that do not occur in training. A band without types scores 0.

    Raises:
        UserError: as :func:`f_scores`.

    >>> bands = WordBands.from_counts({"i": 6, "like": 3, "tea": 2, "sencha": 1})
    >>> f_scores_by_band(["i like sencha"], ["i like tea"], bands)["tail"]
    BandFScores(micro=0.0, macro=0.0, recall=0.0, num_types=1, num_reference_words=1)
    """
    check_types(types, vocabulary)
    setting = Setting(types=types, vocabulary=vocabulary, bands=bands)
    return _by_band(hypotheses, references, setting, [*bands.names, UNSEEN])


def check_types(types: str, vocabulary: Iterable[str] | None) -> None:
    """Raise UserError if ``types`` is unknown, or is ``"vocabulary"`` and there is no vocabulary."""
    if types not in get_args(Types):
        raise UserError(f"types is {types!r}, expected one of: {', '.join(get_args(Types))}")
    if types == "vocabulary":
        if vocabulary is None:
            raise UserError('types "vocabulary" needs a vocabulary: give the word types to average over')
        check_sequence("vocabulary", vocabulary)


def _by_band(
    hypotheses: Sequence[Reply], references: Sequence[Reply], setting: Setting, bands: Sequence[str | None]
) -> dict[Any, BandFScores]:
    """Band, or None for all words -> its scores."""
    totals = MacroF([Metric(str(band), band=band) for band in bands], setting)
    stream = Stream(totals)
    for pairs in paired(hypotheses, references, tokenise=setting.tokenise):
        stream.update(pairs)
    sums, macro = stream.sums(), stream.scores().values()
    matched, given, wanted = totals.num_words(sums).T
    micro, recall = ratio(2 * matched, given + wanted), ratio(matched, wanted)
    num_types = totals.num_types(sums)[:, 0].astype(int)
    rows = zip(micro.tolist(), macro, recall.tolist(), num_types.tolist(), wanted.tolist())
    return {band: BandFScores(*row) for band, row in zip(bands, rows)}
