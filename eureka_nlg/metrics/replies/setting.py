"""A metric as reports know it, and what its score depends on besides the texts."""

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
"""How the spread of a metric is estimated."""

Types = Literal["reference", "union", "vocabulary"]
"""Which word types macro F averages over; every report must name it."""

Unit = Literal["word", "character"]
"""What scores of words compare."""

SPLITS: dict[str, Split] = {"word": str.split, "character": split_characters}
"""From a text to its units."""

BleuTokenizer = Literal["none", "13a", "intl", "char", "zh", "ja-mecab", "ko-mecab"]
"""Tokenisers of sacrebleu that need no download."""


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
