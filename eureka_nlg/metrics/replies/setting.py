"""The description of a metric for reports, and the settings that its score depends on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import WordBands
from eureka_nlg.metrics.text.ngram_table import NgramTable
from eureka_nlg.metrics.text.tokens import Split, Tokeniser, Words
from eureka_nlg.units import split_characters

__all__ = ["SPLITS", "BleuTokenizer", "Metric", "NgramCounts", "Resampling", "Setting", "Types", "Unit"]

Resampling = Literal["bootstrap", "jackknife"]
"""How the sampling variation of a metric is estimated."""

Types = Literal["reference", "union", "vocabulary"]
"""Which word types macro F averages over; every report has to name it."""

Unit = Literal["word", "character"]
"""The units that scores of words compare."""

SPLITS: dict[str, Split] = {"word": str.split, "character": split_characters}
"""Unit -> the function that splits a text into such units."""

BleuTokenizer = Literal["none", "13a", "intl", "char", "zh", "ja-mecab", "ko-mecab"]
"""Tokenisers of sacrebleu that need no download."""


@dataclass(frozen=True)
class Metric:
    """A score of replies.

    Attributes:
        key: its name in ``ReplyScores.scores`` and on the command line.
        label: its name in tables.
        description: what it measures, as text that follows the unit.
        family: the key without ``n`` and band.
        n: words per n-gram, if the metric has n-grams.
        band: the band of training frequency whose words it scores, if it scores a band.
        unit: unit of the value.
        most: the largest possible value; the smallest is 0.
        better: the better direction; None if there is none.
        resampling: how its sampling variation is estimated.
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
    """The n-grams of some replies and their counts, with the vocabulary that defines the word ids.

    Args:
        n: words per n-gram.
        words: the vocabulary; None for a new one.
    """

    def __init__(self, n: int = 4, words: Words | None = None) -> None:
        super().__init__(n)
        self.words = Words() if words is None else words


@dataclass
class Setting:
    """The settings that scores depend on, besides the texts.

    Attributes:
        lowercase: whether to convert everything to lower case first.
        types: the word types that macro F averages over.
        vocabulary: the word types for ``types="vocabulary"``.
        bands: bands of training frequency; made of lower-case words if ``lowercase`` is set.
        training_ngrams: n-grams of the training targets; made of lower-case words if ``lowercase`` is set.
        unit: the units that scores of words compare: ``"word"``, texts between white space, or
            ``"character"``, each character of scripts without spaces, and the words of all other scripts.
        bleu_tokenize: the tokeniser of sacrebleu for BLEU; ``"none"`` keeps the units.
        tokenise: splits replies into units; all pairs that are scored together share it.

    Raises:
        UserError: the unit or the tokeniser is unknown.
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
            words = (word.lower() if self.lowercase else word for word in self.vocabulary)
            self.vocabulary = {one for word in words for one in self.split(word)}
            self.words.encode(sorted(self.vocabulary))  # words that occur nowhere count, too

    @property
    def words(self) -> Words:
        """The ids of all words."""
        return self.tokenise.words

    @property
    def split(self) -> Split:
        """The function that splits a text into units."""
        return SPLITS[self.unit]

    @property
    def bands_and_novelty(self) -> tuple[tuple[str, ...], int | None]:
        """Names of the bands, and words per n-gram of the training targets, for the catalogue."""
        return (
            () if self.bands is None else self.bands.names
        ), None if self.training_ngrams is None else self.training_ngrams.n
