"""The mean length of the replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.metrics.replies.setting import Metric, Setting
from eureka_nlg.metrics.replies.stream import score_stream
from eureka_nlg.metrics.replies.totals import Entries, Totals, Values, by_pair, ratio
from eureka_nlg.metrics.text.lines import Reply
from eureka_nlg.metrics.text.pairs import Pairs

__all__ = ["Length", "mean_length"]


class Length(Totals):
    """``mean_length``: words / replies."""

    num_rows = 2

    def entries(self, pairs: Pairs, system: int) -> Entries:
        lengths = pairs.words.hypotheses[system].lengths
        return by_pair(lengths, np.ones_like(lengths))

    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        return {self.key: ratio(totals[0], totals[1], 1.0)}


def mean_length(hypotheses: Sequence[Reply]) -> float:
    """Mean number of words in a reply; 0 without replies.

    Args:
        hypotheses: replies, strings (split on white space) or token sequences.

    >>> mean_length(["i see", "why do you think so ?"])
    4.0
    """
    return score_stream(Length([Metric("mean_length")], Setting()), hypotheses)["mean_length"]
