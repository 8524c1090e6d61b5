"""Copies: the share of replies that are equal to another reply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.metrics.replies.setting import Metric, Setting
from eureka_nlg.metrics.replies.stream import score_stream
from eureka_nlg.metrics.replies.totals import Occurrences, Values, ratio
from eureka_nlg.metrics.text.lines import Reply
from eureka_nlg.metrics.text.pairs import Pairs
from eureka_nlg.metrics.text.tokens import Tokens

__all__ = ["Copies", "copied_replies"]


class WholeReplies:
    """How often each reply occurs."""

    def __init__(self) -> None:
        self._replies: Counter[bytes] = Counter()

    def update(self, tokens: Tokens) -> None:
        """Count replies."""
        self._replies.update(map(bytes, tokens.each()))

    def counts(self) -> NDArray[np.int64]:
        """The count of each distinct reply."""
        return np.fromiter(self._replies.values(), dtype=np.int64)


class Copies(Occurrences):
    """``copies``: replies that occur at least twice / replies."""

    def table(self) -> WholeReplies:
        return WholeReplies()

    def things(self, pairs: Pairs) -> list[Tokens]:
        ids: dict[bytes, int] = {}
        ones = np.ones(len(pairs), dtype=np.int64)
        found = []
        for tokens in pairs.words.hypotheses:
            replies = [ids.setdefault(bytes(reply), len(ids)) for reply in tokens.each()]
            found.append(Tokens(np.array(replies, dtype=np.int32), ones))
        return found

    def score_counts(self, counts: NDArray[Any], multiplicity: NDArray[Any]) -> Mapping[str, Values]:
        return {self.key: ratio(multiplicity @ np.where(counts > 1, counts, 0), multiplicity @ counts)}


def copied_replies(hypotheses: Sequence[Reply]) -> float:
    """Replies that are equal, word for word, to another reply of the set, in percent of all replies.

    A reply that occurs three times counts three times. Empty replies are equal to one another.

    Args:
        hypotheses: replies, strings (split on white space) or token sequences.

    Returns:
        A percentage from 0 to 100; 0 without replies.

    >>> copied_replies(["i do not know .", "i  do not know .", "i sail .", "no ."])
    50.0
    """
    return score_stream(Copies([Metric("copies")], Setting()), hypotheses)["copies"]
