"""What a metric of replies is: totals over the pairs, and a score of the totals.

Each pair adds to some totals (:meth:`Totals.entries`), and metrics are functions of the sums
(:meth:`Totals.score`). The score of a test set takes all of its pairs once; a resample takes each pair as
often as its weight says. Amounts are whole numbers, so that sums are exact in whatever order and blocks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import WordBands
from eureka_nlg.metrics.text.lines import Reply
from eureka_nlg.metrics.text.ngram_table import NgramTable
from eureka_nlg.metrics.text.pairs import Pairs, paired
from eureka_nlg.metrics.text.tokens import Split, Tokeniser, Tokens, Words
from eureka_nlg.units import split_characters

__all__ = [
    "Entries",
    "MeanFraction",
    "Metric",
    "NgramCounts",
    "Occurrences",
    "SPLITS",
    "BleuTokenizer",
    "Resampling",
    "Setting",
    "Stream",
    "Totals",
    "Types",
    "Unit",
    "Values",
    "by_pair",
    "ratio",
    "score_stream",
]

Resampling = Literal["bootstrap", "jackknife"]
"""How the spread of a metric is estimated."""

Types = Literal["reference", "union", "vocabulary"]
"""Which word types macro F averages over; every report must name it."""

Unit = Literal["word", "character"]
"""What scores of words compare."""

SPLITS: dict[str, Split] = {"word": str.split, "character": split_characters}
"""From a text to its units."""

BleuTokenizer = Literal["none", "13a", "intl", "char", "zh", "ja-mecab", "ko-mecab"]
"""Tokenisers of sacrebleu that need no download."""

Values = NDArray[np.float64]
"""[B]: one value for each of B resamples."""


@dataclass(frozen=True)
class Metric:
    """A score of replies.

    Attributes:
        key: its name in ``ReplyScores.scores`` and on the command line.
        label: its name in the table.
        description: what it is, after its unit.
        family: the key without ``n`` and band.
        n: words per n-gram, where the metric has n-grams.
        band: the band of training frequency whose words it judges, where it judges one.
        unit: of the value.
        most: the largest value there can be; the least is 0.
        better: which direction is; None where neither is.
        resampling: how its spread is estimated.
    """

    key: str
    label: str = ""
    description: str = ""
    family: str = ""
    n: int | None = None
    band: str | None = None
    unit: str = "%"
    most: float = 100.0
    better: Literal["more", "less"] | None = "more"
    resampling: Resampling = "bootstrap"

    @property
    def meaning(self) -> str:
        """Unit and description."""
        return f"{self.unit}{', ' if self.unit == 'nats' else ' '}{self.description}"


class NgramCounts(NgramTable):
    """The n-grams of some replies and their counts, with the words that they are made of.

    Args:
        n: words per n-gram.
        words: the ids that n-grams are written in.
    """

    def __init__(self, n: int = 4, words: Words | None = None) -> None:
        super().__init__(n)
        self.words = Words() if words is None else words


@dataclass
class Setting:
    """What the scores depend on besides the texts.

    Attributes:
        lowercase: lower the case of everything first.
        types: the word types that macro F averages over.
        vocabulary: word types, for ``types="vocabulary"``.
        bands: bands of training frequency; lowered already with ``lowercase``.
        training_ngrams: n-grams of the training targets; lowered already with ``lowercase``.
        unit: what scores of words compare: ``"word"``, what stands between spaces, or ``"character"``, each
            character of a script that is written without spaces and the words of all others.
        bleu_tokenize: the tokeniser of sacrebleu for BLEU; ``"none"`` for the units as they are.
        tokenise: makes words of replies; all pairs that are scored together share it.

    Raises:
        UserError: an unknown unit or tokeniser.
    """

    lowercase: bool = False
    types: Types = "reference"
    vocabulary: Iterable[str] | None = None
    bands: WordBands | None = None
    training_ngrams: NgramCounts | None = None
    unit: Unit = "word"
    bleu_tokenize: BleuTokenizer = "none"
    tokenise: Tokeniser = field(init=False)

    def __post_init__(self) -> None:
        for name, value, known in (
            ("unit", self.unit, SPLITS),
            ("bleu_tokenize", self.bleu_tokenize, get_args(BleuTokenizer)),
        ):
            if value not in known:
                raise UserError(f"{name} is {value!r}, expected one of: {', '.join(known)}")
        self.tokenise = Tokeniser(self.lowercase, split=self.split)
        if self.types != "vocabulary" or self.vocabulary is None:
            self.vocabulary = None
        else:
            self.vocabulary = {word.lower() if self.lowercase else word for word in self.vocabulary}
            self.words.encode(sorted(self.vocabulary))  # those that occur nowhere count as well

    @property
    def words(self) -> Words:
        """The ids of all words."""
        return self.tokenise.words

    @property
    def split(self) -> Split:
        """From a text to its units."""
        return SPLITS[self.unit]

    @property
    def bands_and_novelty(self) -> tuple[tuple[str, ...], int | None]:
        """Names of the bands, and words per n-gram of the training targets, for the catalogue."""
        return (
            () if self.bands is None else self.bands.names
        ), None if self.training_ngrams is None else self.training_ngrams.n


class Entries(NamedTuple):
    """What pairs add to totals; several entries for a pair and a row add up.

    Attributes:
        rows: which total.
        pairs: index of the pair.
        amounts: how much, whole numbers.
    """

    rows: NDArray[np.int64]
    pairs: NDArray[np.int64]
    amounts: NDArray[np.int64]

    @classmethod
    def join(cls, parts: Sequence[Entries]) -> Entries:
        """All of them."""
        return cls(*(np.concatenate(column) for column in zip(*parts)))


def by_pair(*amounts: NDArray[Any]) -> Entries:
    """A total for each of some quantities that every pair has, [N] each."""
    size = len(amounts[0])
    pairs = np.arange(size)
    return Entries(
        np.repeat(np.arange(len(amounts)), size), np.tile(pairs, len(amounts)), np.concatenate(amounts)
    )


class Totals(ABC):
    """One or more metrics that are computed from the same totals.

    Args:
        metrics: the metrics; subclasses score those of their families.
        setting: what the scores depend on besides the texts.
    """

    resampling: ClassVar[Resampling] = "bootstrap"
    """``"jackknife"`` for what depends on whether something occurs at all: a bootstrap resample holds only
    63 % of the pairs and repeats them, which no fresh test set does."""

    num_rows: int | None = None
    """F, the number of totals; None where it is as many as the pairs add to."""

    def __init__(self, metrics: Sequence[Metric], setting: Setting) -> None:
        self.metrics, self.setting = metrics, setting
        (self.key, *_), self.n = [metric.key for metric in metrics], metrics[0].n or 0

    @abstractmethod
    def entries(self, pairs: Pairs, system: int) -> Entries:
        """What each pair of a system adds to the totals."""

    @abstractmethod
    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        """Totals [F, B] -> key of each metric -> its values [B]."""

    def note(self, pairs: Pairs) -> None:  # noqa: B027 (most have nothing to note)
        """Take in what is the same in every resample, before the pairs are scored."""

    def signature(self) -> dict[str, Any]:
        """What else defines the numbers, for reports."""
        return {}

    def entries_of(self, pairs: Pairs, system: int) -> Entries:
        """The entries, computed once for each pairs and system."""
        key = self.same_entries, system
        if key not in pairs.memo:
            pairs.memo[key] = self.entries(pairs, system)
        found: Entries = pairs.memo[key]
        return found

    @property
    def same_entries(self) -> Hashable:
        """Equal for totals that take the same entries."""
        return self


class Table(Protocol):
    """Counts of things that replies hold."""

    def update(self, tokens: Tokens) -> None: ...
    def counts(self) -> NDArray[np.int64]: ...


class Occurrences(Totals):
    """Metrics of how often things occur, whatever things they are: n-grams, or whole replies."""

    resampling = "jackknife"

    @abstractmethod
    def table(self) -> Table:
        """Counts for a stream of replies, without any yet."""

    @abstractmethod
    def things(self, pairs: Pairs) -> list[Tokens]:
        """Ids of the things in the replies of each system, common to the systems."""

    @abstractmethod
    def score_counts(self, counts: NDArray[Any], multiplicity: NDArray[Any]) -> Mapping[str, Values]:
        """Counts [F, B], and how many things each row stands for [F], -> key -> values [B]."""

    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        return self.score_counts(totals, np.ones(len(totals)))

    def entries(self, pairs: Pairs, system: int) -> Entries:
        if self not in pairs.memo:
            pairs.memo[self] = self.things(pairs)
        tokens: Tokens = pairs.memo[self][system]
        return Entries(tokens.ids.astype(np.int64), tokens.owners(), np.ones(len(tokens.ids), dtype=np.int64))


class MeanFraction(Totals):
    """A mean over the pairs of fractions: a total for each denominator, so that sums are exact.

    The first total is the number of pairs that the mean is over.
    """

    @abstractmethod
    def fractions(self, pairs: Pairs, system: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numerators and denominators, [N] each; a pair with the denominator -1 does not count."""

    def entries(self, pairs: Pairs, system: int) -> Entries:
        numerators, denominators = self.fractions(pairs, system)
        counted = np.flatnonzero(denominators >= 0)
        defined = np.flatnonzero(denominators > 0)
        ones = np.ones(len(counted), dtype=np.int64)
        return Entries.join(
            [
                Entries(np.zeros_like(counted), counted, ones),
                Entries(denominators[defined], defined, numerators[defined]),
            ]
        )

    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        sums = (totals[1:] / np.arange(1, len(totals))[:, None]).sum(axis=0)
        return {self.key: ratio(sums, totals[0])}


class Stream:
    """The totals of a system, summed up chunk by chunk.

    Args:
        totals: of the metrics.
        beside: streams that see the same pairs before this one: what one of them sums up already, as this
            one's totals take the same entries, is not summed up again.
    """

    def __init__(self, totals: Totals, beside: Iterable[Stream] = ()) -> None:
        self.totals = totals
        same = (other for other in beside if other.totals.same_entries == totals.same_entries)
        self._summed_by: Stream = next(same, self)
        self._sums: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._table = totals.table() if isinstance(totals, Occurrences) else None

    def update(self, pairs: Pairs, system: int = 0) -> None:
        """Add pairs."""
        if self._table is not None:
            self._table.update(pairs.words.hypotheses[system])
        elif self._summed_by is self:
            rows, _, amounts = self.totals.entries_of(pairs, system)
            missing = 1 + int(rows.max(initial=0)) - len(self._sums)
            if missing > 0:  # at least doubled, so that growing costs little on average
                self._sums = np.pad(self._sums, (0, max(missing, len(self._sums))))
            np.add.at(self._sums, rows, amounts)

    def sums(self) -> NDArray[np.int64]:
        """The totals, [F, 1]."""
        sums, size = self._summed_by._sums, self.totals.num_rows
        size = max(len(sums), 1) if size is None else size
        return np.pad(sums[:size], (0, max(size - len(sums), 0)))[:, None]

    def scores(self) -> dict[str, float]:
        """Key of each metric -> its score."""
        if isinstance(self.totals, Occurrences) and self._table is not None:
            values, multiplicity = _histogram(self._table.counts())
            found = self.totals.score_counts(values[:, None], multiplicity)
        else:
            found = self.totals.score(self.sums())
        return {key: float(values[0]) for key, values in found.items()}


def score_stream(
    totals: Totals, hypotheses: Iterable[Reply], *references: Iterable[Reply]
) -> dict[str, float]:
    """Key of each metric of the totals -> its score of replies and references.

    Raises:
        UserError: unequal lengths.
    """
    stream = Stream(totals)
    for pairs in paired(hypotheses, *references, tokenise=totals.setting.tokenise):
        totals.note(pairs)
        stream.update(pairs)
    return stream.scores()


def _histogram(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which counts there are, rising, so that a sum does not depend on the order of what was counted; and
    how often there is each."""
    if counts.max(initial=0) > 8 * len(counts):  # memory must not grow with the counts
        return np.unique(counts, return_counts=True)
    numbers = np.bincount(counts)
    values = np.flatnonzero(numbers)
    return values, numbers[values]


def ratio(numerator: NDArray[Any], denominator: NDArray[Any], factor: float = 100.0) -> Values:
    """``factor * numerator / denominator``, and 0 where the denominator is 0, as all metrics have it."""
    return np.asarray(factor * numerator / np.where(denominator == 0, 1, denominator), dtype=np.float64)
