"""Corpus chrF by sacrebleu, as statistics that add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eureka_nlg.errors import require
from eureka_nlg.metrics.text.lines import Reply, as_text, paired_chunks

__all__ = ["ChrfStatistics", "corpus_chrf"]

_ORDER = 6  # chrF's longest character n-gram, also sacrebleu's default


@dataclass(eq=False)
class ChrfStatistics:
    """The counts that corpus chrF is computed from; statistics of shards add up exactly.

    Attributes:
        lowercase: lower the case first (``case:lc`` in the signature).
        counts: [6 * 3] for character n-grams of length 1 to 6: how many the hypotheses have, the references
            have, and both have in common.
    """

    lowercase: bool = False
    counts: NDArray[np.int64] | None = None

    def update(self, hypotheses: Sequence[Reply], references: Sequence[Reply]) -> ChrfStatistics:
        """Add pairs of replies; return self."""
        if hypotheses:
            # sacrebleu's own bootstrap is made of these two methods; there is no public way to the counts
            by_pair = self._chrf()._extract_corpus_statistics(
                [as_text(hypothesis) for hypothesis in hypotheses],
                [[as_text(reference) for reference in references]],
            )
            self.counts = self._counts() + np.array(by_pair, dtype=np.int64).sum(axis=0)
        return self

    def __add__(self, other: ChrfStatistics) -> ChrfStatistics:
        return ChrfStatistics(self.lowercase, self._counts() + other._counts())

    def compute(self) -> float:
        """chrF in percent; 0 without pairs or without a common letter."""
        return float(self._chrf()._compute_score_from_stats(self._counts().tolist()).score)

    def signature(self) -> str:
        """sacrebleu's own account of its settings and version."""
        chrf = self._chrf()
        chrf.corpus_score([""], [[""]])  # the signature needs the number of references, learnt from data
        return str(chrf.get_signature())

    def _counts(self) -> NDArray[np.int64]:
        return np.zeros(3 * _ORDER, dtype=np.int64) if self.counts is None else self.counts

    def _chrf(self) -> Any:
        metrics = require("sacrebleu.metrics", extra="metrics")
        return metrics.CHRF(lowercase=self.lowercase, char_order=_ORDER)


def corpus_chrf(hypotheses: Sequence[Reply], references: Sequence[Reply]) -> tuple[float, str]:
    """chrF of the whole set by sacrebleu: F of character n-grams, white space left out.

    Args:
        hypotheses: N replies, strings or token sequences (joined by spaces first).
        references: N references in the same order.

    Returns:
        The score, a percentage from 0 to 100, and sacrebleu's signature, which belongs beside the score.

    Raises:
        UserError: unequal lengths.
        MissingExtraError: sacrebleu is not installed.
    """
    statistics = ChrfStatistics()
    for pairs in paired_chunks(hypotheses, references):
        statistics.update(*pairs)
    return statistics.compute(), statistics.signature()
