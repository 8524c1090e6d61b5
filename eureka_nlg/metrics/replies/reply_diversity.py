"""Diversity within a reply: it is low if a reply repeats itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.replies.setting import Metric, Setting
from eureka_nlg.metrics.replies.stream import score_stream
from eureka_nlg.metrics.replies.totals import MeanFraction
from eureka_nlg.metrics.text.lines import Reply
from eureka_nlg.metrics.text.pairs import Pairs
from eureka_nlg.metrics.text.tokens import overlaps

__all__ = ["ReplyDiversity", "reply_diversity"]


class ReplyDiversity(MeanFraction):
    """``reply_diversity``: distinct n-grams / n-grams of a reply, mean over the replies that have n-grams."""

    def __init__(self, metrics: Sequence[Metric], setting: Setting) -> None:
        super().__init__(metrics, setting)
        if not isinstance(metrics[0].n, int) or self.n < 1:
            raise UserError(f"n is {metrics[0].n!r}, expected the number of words in an n-gram, 1 or more")

    def fractions(self, pairs: Pairs, system: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        tokens = pairs.words.hypotheses[system]
        *_, (owners, _) = overlaps([tokens], self.n)
        sizes = tokens.lengths - self.n + 1
        return np.bincount(owners, minlength=len(pairs)), np.where(sizes > 0, sizes, -1)


def reply_diversity(hypotheses: Sequence[Reply], n: int = 1) -> float:
    """Distinct n-grams in percent of all n-grams within a reply, as the mean over the replies.

    It is also called intra-distinct, and is below 100 if replies repeat themselves. Replies with fewer than n
    words have no n-grams and are left out of the mean.

    Args:
        hypotheses: replies, strings (split on white space) or token sequences.
        n: words per n-gram.

    Returns:
        A percentage from 0 to 100; 0 if no reply has n words.

    Raises:
        UserError: n below 1.

    >>> reply_diversity(["no no no no", "oh well", ""], n=1)
    62.5
    """
    totals = ReplyDiversity([Metric("reply_diversity", n=n)], Setting())
    return score_stream(totals, hypotheses)["reply_diversity"]
