"""Replies as wholes: how long they are, and how many say the same as another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from eureka_nlg.metrics.text.lines import Reply, chunks
from eureka_nlg.metrics.text.tokens import Tokeniser, Tokens, Words

__all__ = ["CopyStatistics", "LengthStatistics", "copied_replies", "mean_length"]


@dataclass
class LengthStatistics:
    """Words and replies; statistics of shards add up exactly."""

    num_words: int = 0
    num_replies: int = 0

    def update(self, hypotheses: Tokens) -> LengthStatistics:
        """Add replies; return self."""
        self.num_words += len(hypotheses.ids)
        self.num_replies += len(hypotheses.lengths)
        return self

    def __add__(self, other: LengthStatistics) -> LengthStatistics:
        return LengthStatistics(self.num_words + other.num_words, self.num_replies + other.num_replies)

    def compute(self) -> float:
        """See :func:`mean_length`."""
        return self.num_words / (self.num_replies or 1)


@dataclass
class CopyStatistics:
    """The different replies and how often each is given; statistics of shards add up exactly.

    Attributes:
        words: the ids that replies are written in.
        replies: a reply, as the bytes of its ids -> how often it occurs.
    """

    words: Words = field(default_factory=Words)
    replies: dict[bytes, int] = field(default_factory=dict)

    def update(self, hypotheses: Tokens) -> CopyStatistics:
        """Add replies tokenised with :attr:`words`; return self."""
        for reply in _as_bytes(hypotheses):
            self.replies[reply] = self.replies.get(reply, 0) + 1
        return self

    def __add__(self, other: CopyStatistics) -> CopyStatistics:
        words, new_ids = self.words.union(other.words)
        replies = dict(self.replies)
        for reply, count in other.replies.items():
            renumbered = new_ids[np.frombuffer(reply, dtype=np.int32)].tobytes()
            replies[renumbered] = replies.get(renumbered, 0) + count
        return CopyStatistics(words, replies)

    def compute(self) -> float:
        """See :func:`copied_replies`."""
        copies = sum(count for count in self.replies.values() if count > 1)
        return 100 * copies / (sum(self.replies.values()) or 1)


def mean_length(hypotheses: Sequence[Reply]) -> float:
    """Mean number of words in a reply; 0 without replies.

    Args:
        hypotheses: replies, strings (split on white space) or token sequences.

    >>> mean_length(["i see", "why do you think so ?"])
    4.0
    """
    statistics, tokenise = LengthStatistics(), Tokeniser()
    for chunk in chunks(hypotheses):
        statistics.update(tokenise(chunk))
    return statistics.compute()


def copied_replies(hypotheses: Sequence[Reply]) -> float:
    """Replies that are the same, word for word, as some other reply of the set, in percent of all replies.

    A reply given three times counts three times: each of them has a twin. Empty replies are equal too.

    Args:
        hypotheses: replies, strings (split on white space) or token sequences.

    Returns:
        A percentage from 0 to 100; 0 without replies.

    >>> copied_replies(["i do not know .", "i  do not know .", "i sail .", "no ."])
    50.0
    """
    tokenise = Tokeniser()
    statistics = CopyStatistics(tokenise.words)
    for chunk in chunks(hypotheses):
        statistics.update(tokenise(chunk))
    return statistics.compute()


def _as_bytes(tokens: Tokens) -> list[bytes]:
    flat, width = tokens.ids.tobytes(), tokens.ids.itemsize
    ends = (tokens.lengths.cumsum() * width).tolist()
    return [flat[start:end] for start, end in zip([0, *ends], ends)]
