"""Corpus BLEU, as sacrebleu defines it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import UserError, require
from eureka_nlg.metrics.replies.setting import Metric, Setting
from eureka_nlg.metrics.replies.stream import score_stream
from eureka_nlg.metrics.replies.totals import Entries, Totals, Values, by_pair
from eureka_nlg.metrics.text.lines import Reply
from eureka_nlg.metrics.text.pairs import Pairs
from eureka_nlg.metrics.text.tokens import overlaps

__all__ = ["Bleu", "corpus_bleu"]

_ORDER = 4  # length of the longest n-grams of BLEU; sacrebleu's default


class Bleu(Totals):
    """``bleu``: the lengths of both sides, and matches and n-grams of the hypotheses for each order.

    Replies are expected to be tokenised, so sacrebleu's tokeniser is off (``tok:none``) unless one is chosen.
    Smoothing is exponential, sacrebleu's default. Only scores with the same signature are comparable.
    """

    num_rows = 2 + 2 * _ORDER

    def __init__(self, metrics: Sequence[Metric], setting: Setting) -> None:
        super().__init__(metrics, setting)
        self._num_references: set[int] = set()
        self._bleu = _sacrebleu(setting)

    def note(self, pairs: Pairs) -> None:
        self._num_references |= numbers_of_references(pairs)

    def entries(self, pairs: Pairs, system: int) -> Entries:
        if self not in pairs.memo:
            pairs.memo[self] = self._of_systems(pairs)
        found: Entries = pairs.memo[self][system]
        return found

    def _of_systems(self, pairs: Pairs) -> list[Entries]:
        """The entries of all systems; computed together, they need the references' n-grams only once."""
        view = pairs.words if self.setting.bleu_tokenize == "none" else pairs.by(self._split)
        rows = []
        wanted = np.stack([reference.lengths for reference in view.references])
        for hypothesis in view.hypotheses:
            # the closest length, the shorter one of a tie; empty lines are no further references
            absent = (wanted == 0) & (wanted.max(axis=0) > 0)
            distance = np.where(absent, np.iinfo(np.int64).max, np.abs(wanted - hypothesis.lengths))
            closest = np.lexsort((wanted, distance), axis=0)[:1]
            rows.append([hypothesis.lengths, np.take_along_axis(wanted, closest, axis=0)[0]])
        for order, (owners, counts) in enumerate(overlaps([*view.hypotheses, *view.references], _ORDER)):
            most = counts[len(rows) :].max(axis=0)
            for own, hypothesis, found in zip(rows, view.hypotheses, counts):
                clipped = np.bincount(owners, np.minimum(found, most), minlength=len(pairs))
                own += [clipped.astype(np.int64), np.maximum(hypothesis.lengths - order, 0)]
        return [by_pair(*own) for own in rows]

    def score(self, totals: NDArray[Any]) -> Mapping[str, Values]:
        length, reference_length = totals[:2]
        matched, total = totals[2::2], totals[3::2]
        # orders without a match count as 1/2, 1/4, ... of a match, in ascending order
        smoothed = np.where(matched > 0, matched, 0.5 ** np.cumsum(matched == 0, axis=0))
        logarithm = np.log(smoothed / np.maximum(total, 1)).mean(axis=0)
        brevity = np.minimum(0.0, 1 - reference_length / np.maximum(length, 1))
        defined = matched.any(axis=0) & (total > 0).all(axis=0)
        return {self.key: np.where(defined, 100 * np.exp(logarithm + brevity), 0.0)}

    def signature(self) -> dict[str, Any]:
        return {"sacrebleu": signature_of(self._bleu, self._num_references)}

    def _split(self, text: str) -> list[str]:
        tokens: list[str] = self._bleu.tokenizer(text.rstrip()).split()
        return tokens


def _sacrebleu(setting: Setting) -> Any:
    """sacrebleu's BLEU object, for its tokeniser and its signature."""
    metrics = require("sacrebleu.metrics", extra="metrics")
    try:
        return metrics.BLEU(setting.lowercase, True, setting.bleu_tokenize, max_ngram_order=_ORDER)
    except (RuntimeError, ImportError):  # MeCab is a separate package
        name = setting.bleu_tokenize
        raise UserError(
            f"sacrebleu's tokeniser {name} needs MeCab: pip install 'sacrebleu[{name.partition('-')[0]}]'"
        ) from None


def numbers_of_references(pairs: Pairs) -> set[int]:
    """How many references replies have; empty lines are no further references."""
    words = np.stack([reference.lengths for reference in pairs.words.references])
    return set(np.maximum((words > 0).sum(axis=0), 1).tolist())


def signature_of(metric: Any, num_references: Collection[int] = (1,)) -> str:
    """sacrebleu's signature: the settings of a metric and the version of the package.

    Args:
        metric: sacrebleu's object.
        num_references: how many references replies have: one number, or several if it varies.
    """
    # the signature has the number of references of a call
    numbers = sorted(num_references) or [1]
    references = [["" if place < number else None for number in numbers] for place in range(numbers[-1])]
    metric.corpus_score([""] * len(numbers), references)
    return str(metric.get_signature())


def corpus_bleu(hypotheses: Sequence[Reply], references: Sequence[Reply]) -> tuple[float, str]:
    """Corpus BLEU as in sacrebleu, without its tokeniser.

    Source: Papineni et al. 2002; Post 2018, "A call for clarity in reporting BLEU scores".

    Args:
        hypotheses: N replies, strings of tokens separated by white space, or token sequences.
        references: N references in the same order.

    Returns:
        The score, a percentage from 0 to 100, and sacrebleu's signature, to be reported with the score.

    Raises:
        UserError: the lengths differ.
        MissingExtraError: sacrebleu is not installed.
    """
    totals = Bleu([Metric("bleu")], Setting())
    return score_stream(totals, hypotheses, references)["bleu"], totals.signature()["sacrebleu"]
