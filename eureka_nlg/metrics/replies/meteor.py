"""METEOR by nltk: words that match as they are, by their stem, or as synonyms in WordNet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError, require
from eureka_nlg.metrics.replies.setting import Metric, Setting
from eureka_nlg.metrics.replies.stream import score_stream
from eureka_nlg.metrics.replies.totals import Entries, Totals, Values, by_pair, ratio
from eureka_nlg.metrics.replies.wordnet import find_wordnet
from eureka_nlg.metrics.text.lines import Reply
from eureka_nlg.metrics.text.pairs import Pairs
from eureka_nlg.metrics.text.tokens import Split

__all__ = ["Meteor", "meteor"]

_BITS = 26  # a score is stored as two whole numbers of so many bits


class Meteor(Totals):
    """``meteor``: the mean of the pairs' scores, each rounded to 52 bits.

    Raises:
        UserError: the data of WordNet are not installed.
    """

    num_rows = 3

    def __init__(self, metrics: Sequence[Metric], setting: Setting) -> None:
        super().__init__(metrics, setting)
        self._score = pair_scorer(setting.split)

    def entries(self, pairs: Pairs, system: int) -> Entries:
        hypotheses, references = pairs.texts[0][system], zip(*pairs.texts[1])
        scores = [
            max(self._score(text, one) for one in wanted) for text, wanted in zip(hypotheses, references)
        ]
        whole = np.rint(np.array(scores) * 2.0 ** (2 * _BITS)).astype(np.int64)
        return by_pair(np.ones_like(whole), whole >> _BITS, whole & ((1 << _BITS) - 1))

    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        return {self.key: ratio(totals[1] + totals[2] * 2.0**-_BITS, totals[0], 100 * 2.0**-_BITS)}

    def signature(self) -> dict[str, Any]:
        tokens = "white space tokens" if self.setting.unit == "word" else "characters"
        settings = f"mean, {tokens} in lower case, alpha 0.9, beta 3, gamma 0.5"
        return {"meteor": f"{settings}|nltk {version('nltk')}"}


def pair_scorer(split: Split = str.split) -> Callable[[str, str], float]:
    """A function that returns the score of a hypothesis and a reference, from 0 to 1."""
    wordnet = require("nltk.corpus", extra="metrics").wordnet
    score = require("nltk.translate.meteor_score", extra="metrics").single_meteor_score
    try:
        wordnet.synsets("word")
    except LookupError:
        wordnet = find_wordnet()
    if wordnet is None:
        raise UserError(
            "METEOR needs the data of WordNet, which are not installed: python -m nltk.downloader wordnet, "
            "or apt install wordnet-base (or set WNSEARCHDIR to the folder with index.noun)"
        )
    return lambda hypothesis, reference: score(split(reference), split(hypothesis), wordnet=wordnet)


def meteor(hypotheses: Sequence[Reply], references: Sequence[Reply]) -> float:
    """Mean METEOR, computed by nltk: words match exactly, by their stem, or as synonyms in WordNet.

    Tokens are split at white space and in lower case; the weights are nltk's default weights. Source: Lavie
    and Agarwal 2007.

    Args:
        hypotheses: N replies, strings or token sequences (joined by spaces first).
        references: N references in the same order.

    Returns:
        A percentage from 0 to 100; 0 without pairs.

    Raises:
        UserError: the lengths differ, or the data of WordNet are not installed.
        MissingExtraError: nltk is not installed.
    """
    return score_stream(Meteor([Metric("meteor")], Setting()), hypotheses, references)["meteor"]
