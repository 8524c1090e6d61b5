"""Corpus chrF, as sacrebleu defines it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import require
from eureka_nlg.metrics.replies.bleu import numbers_of_references, signature_of
from eureka_nlg.metrics.replies.setting import Metric, Setting
from eureka_nlg.metrics.replies.stream import score_stream
from eureka_nlg.metrics.replies.totals import Entries, Totals, Values, by_pair, ratio
from eureka_nlg.metrics.text.lines import Reply
from eureka_nlg.metrics.text.pairs import Pairs
from eureka_nlg.metrics.text.tokens import Tokens, overlaps

__all__ = ["Chrf", "corpus_chrf"]

_ORDER = 6  # length of the longest character n-grams of chrF; sacrebleu's default
_BETA = 2  # weight of recall relative to precision


class Chrf(Totals):
    """``chrf``: for each order, n-grams of the hypotheses, n-grams of the references, and matches.

    chrF2 as sacrebleu computes it by default: characters without white space, no words, no smoothing.
    """

    num_rows = 3 * _ORDER

    def __init__(self, metrics: Sequence[Metric], setting: Setting) -> None:
        super().__init__(metrics, setting)
        self._num_references: set[int] = set()
        # for the signature, and so that a missing package is noticed before the work starts
        self._chrf = require("sacrebleu.metrics", extra="metrics").CHRF(_ORDER, lowercase=setting.lowercase)

    def note(self, pairs: Pairs) -> None:
        self._num_references |= numbers_of_references(pairs)

    def entries(self, pairs: Pairs, system: int) -> Entries:
        sides = [_characters(texts) for texts in (pairs.texts[0][system], *pairs.texts[1])]
        rows = np.zeros((len(sides) - 1, 3 * _ORDER, len(pairs)), dtype=np.int64)
        for order, (owners, counts) in enumerate(overlaps(sides, _ORDER)):
            given, *wanted = (np.maximum(side.lengths - order, 0) for side in sides)
            for reference, there in enumerate(wanted):
                shared = np.bincount(
                    owners, np.minimum(counts[0], counts[reference + 1]), minlength=len(pairs)
                )
                # as in sacrebleu, n-grams are not counted if the reference is too short to have any
                rows[reference, 3 * order : 3 * order + 3] = np.where(there > 0, given, 0), there, shared
        if len(rows) == 1:
            return by_pair(*rows[0])
        best = np.argmax([self.score(totals)[self.key] for totals in rows], axis=0)
        return by_pair(*np.take_along_axis(rows, best[None, None], axis=0)[0])

    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        total, wanted, matched = totals[0::3], totals[1::3], totals[2::3]  # of each order
        known = (total > 0) & (wanted > 0)
        orders = known.sum(axis=0)
        precision = ratio(np.where(known, ratio(matched, total, 1.0), 0.0).sum(axis=0), orders, 1.0)
        recalled = ratio(np.where(known, ratio(matched, wanted, 1.0), 0.0).sum(axis=0), orders, 1.0)
        weight = _BETA**2
        return {self.key: ratio((1 + weight) * precision * recalled, weight * precision + recalled)}

    def signature(self) -> dict[str, Any]:
        return {"chrf": signature_of(self._chrf, self._num_references)}


def corpus_chrf(hypotheses: Sequence[Reply], references: Sequence[Reply]) -> tuple[float, str]:
    """Corpus chrF as in sacrebleu: F of character n-grams, without white space.

    Source: Popović 2015; Post 2018.

    Args:
        hypotheses: N replies, strings or token sequences (joined by spaces first).
        references: N references in the same order.

    Returns:
        The score, a percentage from 0 to 100, and sacrebleu's signature, to be reported with the score.

    Raises:
        UserError: the lengths differ.
        MissingExtraError: sacrebleu is not installed.
    """
    totals = Chrf([Metric("chrf")], Setting())
    return score_stream(totals, hypotheses, references)["chrf"], totals.signature()["chrf"]


def _characters(texts: Sequence[str]) -> Tokens:
    """The characters of each text without white space, as code points."""
    joined = ["".join(text.split()) for text in texts]
    ids = np.frombuffer("".join(joined).encode("utf-32-le", "surrogatepass"), dtype=np.int32)
    return Tokens(ids, np.array([len(text) for text in joined], dtype=np.int64))
