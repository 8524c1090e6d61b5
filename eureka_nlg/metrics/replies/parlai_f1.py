"""ParlAI F1: the bag-of-words F1 per reply by which the ConvAI2 challenge ranked its systems."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.metrics.replies.setting import Metric, Setting
from eureka_nlg.metrics.replies.stream import score_stream
from eureka_nlg.metrics.replies.totals import MeanFraction
from eureka_nlg.metrics.text.lines import Reply
from eureka_nlg.metrics.text.pairs import Pairs
from eureka_nlg.units import split_characters

__all__ = ["ParlaiF1", "normalise", "parlai_f1"]

_PUNCTUATION_TO_SPACE = str.maketrans(dict.fromkeys(string.punctuation, " "))
# word boundaries instead of whole tokens: as in ParlAI, an article is removed next to non-ASCII punctuation;
# this is \b(?:a|an|the)\b, but re searches faster for a pattern that begins with letters
_ARTICLE = re.compile(r"(?:a(?<!\wa)n?|t(?<!\wt)he)\b")


def normalise(text: str) -> list[str]:
    """The words that ParlAI compares: in lower case, without ASCII punctuation and without a, an, the.

    Punctuation is replaced by a space, so "i'm" becomes two words, and "it's a..." loses its article.

    >>> normalise("I'm at THE-end, an' that is a fact.")
    ['i', 'm', 'at', 'end', 'that', 'is', 'fact']
    """
    return _ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION_TO_SPACE)).split()


class ParlaiF1(MeanFraction):
    """``parlai_f1``: 2 * shared words / (words of the hypothesis + words of the reference), per pair."""

    def fractions(self, pairs: Pairs, system: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        view = pairs.by(normalise if self.setting.unit == "word" else _normalised_characters)
        reference, found = view.matched(system)
        return 2 * found.by_pair(len(pairs)), view.hypotheses[system].lengths + reference.lengths

    def signature(self) -> dict[str, Any]:
        return {"parlai_f1": "lower case, no punctuation, no a/an/the"}


def _normalised_characters(text: str) -> list[str]:
    return split_characters(" ".join(normalise(text)))


def parlai_f1(hypotheses: Sequence[Reply], references: Sequence[Reply]) -> float:
    """Mean over the pairs of the F1 between bags of words, as ParlAI defines it.

    Both sides are normalised first: lower case, without ASCII punctuation and without a, an, the. A pair
    without a common word scores 0, and so does a pair of two empty texts. Source: ParlAI; Dinan et al. 2019,
    "The Second Conversational Intelligence Challenge (ConvAI2)".

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
    totals = ParlaiF1([Metric("parlai_f1")], Setting())
    return score_stream(totals, hypotheses, references)["parlai_f1"]
