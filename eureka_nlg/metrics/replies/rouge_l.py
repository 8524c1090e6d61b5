"""ROUGE-L: the longest common subsequence of words, as the package rouge-score defines it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.metrics.replies.setting import Metric, Setting
from eureka_nlg.metrics.replies.stream import score_stream
from eureka_nlg.metrics.replies.totals import MeanFraction
from eureka_nlg.metrics.text.lines import Reply
from eureka_nlg.metrics.text.pairs import Pairs
from eureka_nlg.metrics.text.tokens import Tokens
from eureka_nlg.units import split_characters

__all__ = ["RougeL", "rouge_l"]

_WORD = re.compile("[a-z0-9]+")


def words(text: str) -> list[str]:
    """The words that ROUGE compares: runs of the letters a to z and digits, in lower case.

    >>> words("It's 5 o'clock!")
    ['it', 's', '5', 'o', 'clock']
    """
    return _WORD.findall(text.lower())


def units(text: str) -> list[str]:
    """Units for texts in any script: characters of scripts without spaces, and words, with a letter or digit.

    >>> units("我喜欢 iPhone。")
    ['我', '喜', '欢', 'iphone']
    """
    return [unit for unit in split_characters(text.lower()) if any(map(str.isalnum, unit))]


class RougeL(MeanFraction):
    """``rouge_l``: 2 * length of the subsequence / (words of hypothesis + words of reference), per pair."""

    def fractions(self, pairs: Pairs, system: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        view = pairs.by(words if self.setting.unit == "word" else units)
        hypothesis = view.hypotheses[system]
        common = np.stack([_common(hypothesis, reference) for reference in view.references])
        sizes = np.stack([hypothesis.lengths + reference.lengths for reference in view.references])
        best = np.argmax(common / np.maximum(sizes, 1), axis=0)[None]  # of several references
        numerators, denominators = (np.take_along_axis(part, best, axis=0)[0] for part in (common, sizes))
        return 2 * numerators, denominators

    def signature(self) -> dict[str, Any]:
        kept = (
            "letters a-z and digits" if self.setting.unit == "word" else "characters, or words, with a letter"
        )
        return {"rouge_l": f"mean F1, {kept} in lower case, no stemmer, as rouge-score 0.1.2"}


def rouge_l(hypotheses: Sequence[Reply], references: Sequence[Reply]) -> float:
    """Mean ROUGE-L F1, as in the package rouge-score: F1 of the longest common subsequence of words.

    Both sides are split as in that package: in lower case, only the letters a to z and digits are kept, so it
    is meant for English. There is no stemmer. Source: Lin 2004.

    Args:
        hypotheses: N replies, strings or token sequences (joined by spaces first).
        references: N references in the same order.

    Returns:
        A percentage from 0 to 100; 0 without pairs.

    Raises:
        UserError: unequal lengths.

    >>> round(rouge_l(["i drink tea"], ["I like green tea!"]), 2)  # "i tea": 2 * 2 / (3 + 4)
    57.14
    """
    return score_stream(RougeL([Metric("rouge_l")], Setting()), hypotheses, references)["rouge_l"]


def _common(hypotheses: Tokens, references: Tokens) -> NDArray[np.int64]:
    """Length of the longest common subsequence of each pair, [N]."""
    pairs = zip(hypotheses.each(), references.each())
    found = (_longest(left.tolist(), right.tolist()) for left, right in pairs)
    return np.fromiter(found, dtype=np.int64, count=len(hypotheses.lengths))


def _longest(left: list[int], right: list[int]) -> int:
    """Length of the longest common subsequence, with a row of the dynamic program in the bits of a number.

    Source: Hyyrö 2004, "Bit-parallel LCS-length computation revisited". A bit is 0 where the row increases.
    """
    positions: dict[int, int] = {}
    for position, word in enumerate(left):
        positions[word] = positions.get(word, 0) | 1 << position
    ones = row = (1 << len(left)) - 1
    for word in right:
        if word in positions:
            rising = row & positions[word]
            row = (row + rising | row - rising) & ones
    return len(left) - row.bit_count()
