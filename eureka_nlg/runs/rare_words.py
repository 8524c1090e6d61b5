"""The rare words of the training replies, which reports and chats mark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from eureka_nlg.metrics.classes.bands import WordBands

__all__ = ["RareWords", "rare_words"]

_RARE_SHARE = 0.05  # of all words in the training replies


@dataclass(frozen=True)
class RareWords:
    """Which words count as rare.

    Attributes:
        counts: rare word -> training count.
        known: all words of the training data.
        rule: what makes a word rare, to follow "underlined words are rare:".
    """

    counts: Mapping[str, int]
    known: frozenset[str]
    rule: str


def rare_words(training: WordBands) -> RareWords:
    """The rarest words, which together make up a twentieth of the training replies."""
    counts = np.asarray(training.counts)
    levels, number = np.unique(counts[counts > 0], return_counts=True)
    share = np.cumsum(levels * number) / counts.sum()
    most = int(levels[max(1, int(np.searchsorted(share, _RARE_SHARE, side="right"))) - 1])
    words = {word: int(count) for word, count in zip(training.words, counts) if 0 < count <= most}
    rule = (
        f"they occur at most {most:,} {'time' if most == 1 else 'times'} in the training replies, "
        f"{len(words):,} of {len(training.words):,} word types, "
        f"{100 * sum(words.values()) / counts.sum():.1f} % of the words"
    )
    return RareWords(words, frozenset(training.words), rule)
