"""Scores that are the mean of a score for each pair: ROUGE-L and METEOR, by the libraries of their field."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from fractions import Fraction
from importlib.metadata import version
from typing import TypeVar

from eureka_nlg.errors import UserError, require
from eureka_nlg.metrics.text.lines import Reply, as_text, paired_chunks

__all__ = ["MeteorStatistics", "PairMeanStatistics", "RougeLStatistics", "meteor", "rouge_l"]

PairScore = Callable[[str, str], float]
Self = TypeVar("Self", bound="PairMeanStatistics")


class PairMeanStatistics(ABC):
    """Sum of the scores of pairs, as an exact fraction; statistics of shards add up exactly.

    Attributes:
        lowercase: lower the case first.
        total: sum of the pairs' scores, each from 0 to 1.
        num_pairs: pairs seen.
    """

    def __init__(self, lowercase: bool = False) -> None:
        self.lowercase = lowercase
        self.total = Fraction(0)
        self.num_pairs = 0

    @abstractmethod
    def scorer(self) -> PairScore:
        """A function from hypothesis and reference to their score.

        Raises:
            UserError: something that it needs is missing.
        """

    @abstractmethod
    def signature(self) -> str:
        """What defines the score, with the version of the library."""

    def update(self: Self, hypotheses: Sequence[Reply], references: Sequence[Reply]) -> Self:
        """Add pairs of replies; return self."""
        score = self.scorer()
        for hypothesis, reference in zip(hypotheses, references):
            pair = as_text(hypothesis), as_text(reference)
            self.total += Fraction(score(*(map(str.lower, pair) if self.lowercase else pair)))
        self.num_pairs += len(hypotheses)
        return self

    def __add__(self: Self, other: Self) -> Self:
        merged = type(self)(self.lowercase)
        merged.total = self.total + other.total
        merged.num_pairs = self.num_pairs + other.num_pairs
        return merged

    def compute(self) -> float:
        """The mean in percent; 0 without pairs."""
        return float(100 * self.total / (self.num_pairs or 1))


class RougeLStatistics(PairMeanStatistics):
    """ROUGE-L; see :func:`rouge_l`."""

    def scorer(self) -> PairScore:
        rouge = require("rouge_score.rouge_scorer", extra="metrics").RougeScorer(["rougeL"])
        return lambda hypothesis, reference: rouge.score(reference, hypothesis)["rougeL"].fmeasure

    def signature(self) -> str:
        return (
            f"mean F1, letters a-z and digits in lower case, no stemmer|rouge-score {version('rouge-score')}"
        )


class MeteorStatistics(PairMeanStatistics):
    """METEOR; see :func:`meteor`."""

    def scorer(self) -> PairScore:
        wordnet = require("nltk.corpus", extra="metrics").wordnet
        score = require("nltk.translate.meteor_score", extra="metrics").single_meteor_score
        try:
            wordnet.synsets("word")
        except LookupError:
            raise UserError(
                "METEOR needs the WordNet data of nltk, which is not installed: "
                "python -m nltk.downloader wordnet"
            ) from None
        return lambda hypothesis, reference: score(reference.split(), hypothesis.split(), wordnet=wordnet)

    def signature(self) -> str:
        return f"mean, white space tokens in lower case, alpha 0.9, beta 3, gamma 0.5|nltk {version('nltk')}"


def rouge_l(hypotheses: Sequence[Reply], references: Sequence[Reply]) -> float:
    """Mean ROUGE-L F1 by the package rouge-score: the longest common subsequence of words.

    The package's own tokeniser splits both sides: lower case, and only the letters a to z and digits stay,
    so it judges English. No stemmer.

    Args:
        hypotheses: N replies, strings or token sequences (joined by spaces first).
        references: N references in the same order.

    Returns:
        A percentage from 0 to 100; 0 without pairs.

    Raises:
        UserError: unequal lengths.
        MissingExtraError: rouge-score is not installed.
    """
    return _mean(RougeLStatistics(), hypotheses, references)


def meteor(hypotheses: Sequence[Reply], references: Sequence[Reply]) -> float:
    """Mean METEOR by nltk: unigrams that match as they are, by their stem, or as synonyms in WordNet.

    White space tokens in lower case, nltk's default weights (Lavie and Agarwal 2007).

    Args:
        hypotheses: N replies, strings or token sequences (joined by spaces first).
        references: N references in the same order.

    Returns:
        A percentage from 0 to 100; 0 without pairs.

    Raises:
        UserError: unequal lengths, or nltk's WordNet data is not installed.
        MissingExtraError: nltk is not installed.
    """
    return _mean(MeteorStatistics(), hypotheses, references)


def _mean(statistics: PairMeanStatistics, hypotheses: Sequence[Reply], references: Sequence[Reply]) -> float:
    for pairs in paired_chunks(hypotheses, references):
        statistics.update(*pairs)
    return statistics.compute()
