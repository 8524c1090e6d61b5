"""Corpus BLEU by sacrebleu, as statistics that add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eureka_nlg.errors import require
from eureka_nlg.metrics.text.lines import Reply, as_text, paired_chunks

__all__ = ["BleuStatistics", "corpus_bleu"]

_ORDER = 4  # BLEU's longest n-gram, also sacrebleu's default


@dataclass
class BleuStatistics:
    """The counts that corpus BLEU is computed from; statistics of shards add up exactly.

    Replies are tokenised already, so sacrebleu's own tokeniser is off (``tok:none``) and its warning about
    tokenised text is silenced. The numbers compare with others of the same signature only.

    Attributes:
        lowercase: lower the case first (``case:lc`` in the signature).
        matched, total: per n-gram length from 1 to 4: n-grams also in the reference (clipped), all n-grams.
        hypothesis_length, reference_length: in tokens.
    """

    lowercase: bool = False
    matched: tuple[int, ...] = (0,) * _ORDER
    total: tuple[int, ...] = (0,) * _ORDER
    hypothesis_length: int = 0
    reference_length: int = 0

    def update(self, hypotheses: Sequence[Reply], references: Sequence[Reply]) -> BleuStatistics:
        """Add pairs of replies; return self."""
        if not hypotheses:
            return self
        score = self._bleu().corpus_score(
            [as_text(hypothesis) for hypothesis in hypotheses],
            [[as_text(reference) for reference in references]],
        )
        self.matched = _add(self.matched, score.counts)
        self.total = _add(self.total, score.totals)
        self.hypothesis_length += score.sys_len
        self.reference_length += score.ref_len
        return self

    def __add__(self, other: BleuStatistics) -> BleuStatistics:
        return BleuStatistics(
            self.lowercase,
            _add(self.matched, other.matched),
            _add(self.total, other.total),
            self.hypothesis_length + other.hypothesis_length,
            self.reference_length + other.reference_length,
        )

    def compute(self) -> float:
        """BLEU in percent; 0 without pairs or without a common word."""
        bleu = self._bleu()
        return float(
            bleu.compute_bleu(
                list(self.matched),
                list(self.total),
                self.hypothesis_length,
                self.reference_length,
                smooth_method=bleu.smooth_method,
            ).score
        )

    def signature(self) -> str:
        """sacrebleu's own account of its settings and version."""
        bleu = self._bleu()
        bleu.corpus_score([""], [[""]])  # the signature needs the number of references, learnt from data
        return str(bleu.get_signature())

    def _bleu(self) -> Any:
        metrics = require("sacrebleu.metrics", extra="metrics")
        return metrics.BLEU(lowercase=self.lowercase, force=True, tokenize="none", max_ngram_order=_ORDER)


def corpus_bleu(hypotheses: Sequence[Reply], references: Sequence[Reply]) -> tuple[float, str]:
    """BLEU of the whole set by sacrebleu, without its tokeniser.

    Args:
        hypotheses: N replies, strings of tokens divided by white space, or token sequences.
        references: N references in the same order.

    Returns:
        The score, a percentage from 0 to 100, and sacrebleu's signature, which belongs beside the score.

    Raises:
        UserError: unequal lengths.
        MissingExtraError: sacrebleu is not installed.
    """
    statistics = BleuStatistics()
    for pairs in paired_chunks(hypotheses, references):
        statistics.update(*pairs)
    return statistics.compute(), statistics.signature()


def _add(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(left, right))
