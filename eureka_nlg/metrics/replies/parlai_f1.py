"""ParlAI F1: the bag-of-words F1 per reply by which the ConvAI2 challenge ranked its systems."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from eureka_nlg.metrics.text.lines import Reply, as_text, paired_chunks
from eureka_nlg.metrics.text.tokens import Tokeniser, matches

__all__ = ["ParlaiF1Statistics", "normalise", "parlai_f1"]

_PUNCTUATION_TO_SPACE = str.maketrans(dict.fromkeys(string.punctuation, " "))
# word boundaries, not whole tokens: beside punctuation outside ASCII an article goes too, as in ParlAI
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def normalise(text: str) -> list[str]:
    """The words that ParlAI compares: lower case, without ASCII punctuation and without a, an, the.

    Punctuation becomes a space, so "i'm" is two words, and "it's a..." loses its article.

    >>> normalise("I'm at THE-end, an' that is a fact.")
    ['i', 'm', 'at', 'end', 'that', 'is', 'fact']
    """
    return _ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION_TO_SPACE)).split()


@dataclass
class ParlaiF1Statistics:
    """Sum of the pairs' F1 as exact fractions; statistics of shards add up exactly.

    A pair's F1 is 2 * overlap / (words of the hypothesis + words of the reference).

    Attributes:
        numerators: denominator -> sum of the numerators over it.
        num_pairs: pairs seen.
    """

    numerators: Counter[int] = field(default_factory=Counter)
    num_pairs: int = 0

    def update(self, hypotheses: Iterable[Reply], references: Iterable[Reply]) -> ParlaiF1Statistics:
        """Add pairs of replies; return self."""
        tokenise = Tokeniser()
        left = tokenise(normalise(as_text(hypothesis)) for hypothesis in hypotheses)
        right = tokenise(normalise(as_text(reference)) for reference in references)
        shared = matches(left, right)
        denominators = left.lengths + right.lengths
        for denominator, count in zip(denominators[shared.pairs].tolist(), shared.counts.tolist()):
            self.numerators[denominator] += 2 * count
        self.num_pairs += len(denominators)
        return self

    def __add__(self, other: ParlaiF1Statistics) -> ParlaiF1Statistics:
        return ParlaiF1Statistics(self.numerators + other.numerators, self.num_pairs + other.num_pairs)

    def compute(self) -> float:
        """Mean F1 in percent; 0 without pairs."""
        total = math.fsum(numerator / denominator for denominator, numerator in self.numerators.items())
        return 100 * total / (self.num_pairs or 1)

    def signature(self) -> str:
        """The normalisation, in words."""
        return "lower case, no punctuation, no a/an/the"


def parlai_f1(hypotheses: Sequence[Reply], references: Sequence[Reply]) -> float:
    """Mean over the pairs of the F1 between bags of words, as ParlAI defines it (notes, section 6).

    Each side is normalised (see :func:`normalise`). A pair without a common word scores 0, and so does a pair
    whose two sides are both empty.

    Args:
        hypotheses: N replies of the system, strings or token sequences (joined by spaces first).
        references: N references in the same order.

    Returns:
        A percentage from 0 to 100; 0 without pairs.

    Raises:
        UserError: unequal lengths.

    >>> parlai_f1(["The cat!", "yes"], ["a black cat", "no"])
    33.33333333333333
    """
    statistics = ParlaiF1Statistics()
    for pairs in paired_chunks(hypotheses, references):
        statistics.update(*pairs)
    return statistics.compute()
