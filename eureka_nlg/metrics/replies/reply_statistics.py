"""The statistics behind a choice of scores, filled in one pass and summable as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from eureka_nlg.errors import UserError
from eureka_nlg.metrics.classes.bands import WordBands
from eureka_nlg.metrics.replies.bleu import BleuStatistics
from eureka_nlg.metrics.replies.catalogue import Metric, find_metric
from eureka_nlg.metrics.replies.chrf import ChrfStatistics
from eureka_nlg.metrics.replies.f_score import FStatistics, Types
from eureka_nlg.metrics.replies.ngrams import DiversityStatistics
from eureka_nlg.metrics.replies.pair_mean import MeteorStatistics, RougeLStatistics
from eureka_nlg.metrics.replies.parlai_f1 import ParlaiF1Statistics
from eureka_nlg.metrics.replies.reply_diversity import ReplyDiversityStatistics
from eureka_nlg.metrics.replies.whole_replies import CopyStatistics, LengthStatistics
from eureka_nlg.metrics.text.lines import Reply
from eureka_nlg.metrics.text.tokens import Tokeniser

__all__ = ["ReplyStatistics"]


class ReplyStatistics:
    """What a choice of scores is computed from; statistics of shards add up exactly.

    Args:
        metrics: keys of the scores; see :func:`eureka_nlg.metrics.select_metrics`.
        lowercase: lower the case of replies and references first.

    Attributes:
        metrics: the scores.
        unavailable: key of a score that cannot be had here -> why.
        f: counts of the words.
        of_replies: name -> statistics of the replies alone.
        of_references: name -> statistics of the references alone.
        of_pairs: name -> statistics of the texts of both.
    """

    def __init__(self, metrics: Sequence[str], lowercase: bool = False) -> None:
        self.metrics = [_metric(key) for key in metrics]
        self.unavailable: dict[str, str] = {}
        self.tokenise = Tokeniser(lowercase)
        words = self.tokenise.words
        self.f = FStatistics(words)
        self.of_replies: dict[str, Any] = {"mean_length": LengthStatistics()}
        self.of_references: dict[str, DiversityStatistics] = {}
        self.of_pairs: dict[str, Any] = {}
        for metric in self.metrics:
            match metric.family:
                case "copies":
                    self.of_replies["copies"] = CopyStatistics(words)
                case "reply_diversity":
                    self.of_replies[metric.key] = ReplyDiversityStatistics(metric.n or 0)
                case "diversity" | "ead" | "entropy" | "novelty":
                    self.of_replies[f"ngrams_{metric.n}"] = DiversityStatistics(metric.n or 0, words)
                    if metric.family == "ead":
                        self.of_references[f"ngrams_{metric.n}"] = DiversityStatistics(metric.n or 0, words)
                case "parlai_f1":
                    self.of_pairs["parlai_f1"] = ParlaiF1Statistics()
                case "bleu":
                    self.of_pairs["bleu"] = BleuStatistics(lowercase)
                case "chrf":
                    self.of_pairs["chrf"] = ChrfStatistics(lowercase)
                case "rouge_l":
                    self.of_pairs["rouge_l"] = RougeLStatistics(lowercase)
                case "meteor":
                    meteor = MeteorStatistics(lowercase)
                    try:
                        meteor.scorer()
                        self.of_pairs["meteor"] = meteor
                    except UserError as error:  # its data is no package, so it is often missing
                        self.unavailable["meteor"] = str(error)

    def update(self, hypotheses: Sequence[Reply], references: Sequence[Reply]) -> ReplyStatistics:
        """Add pairs of replies; return self."""
        replies, wanted = self.tokenise(hypotheses), self.tokenise(references)
        self.f.update(replies, wanted)
        for statistics in self.of_replies.values():
            statistics.update(replies)
        for statistics in self.of_references.values():
            statistics.update(wanted)
        for statistics in self.of_pairs.values():
            statistics.update(hypotheses, references)
        return self

    def __add__(self, other: ReplyStatistics) -> ReplyStatistics:
        merged = ReplyStatistics([metric.key for metric in self.metrics], self.tokenise.lowercase)
        merged.f = self.f + other.f
        merged.tokenise.words = merged.f.words
        for group in ("of_replies", "of_references", "of_pairs"):
            theirs = getattr(other, group)
            for name, ours in getattr(self, group).items():
                statistics = ours + theirs[name]
                if hasattr(statistics, "words"):  # equal to the others', and now the same as theirs
                    statistics.words = merged.f.words
                getattr(merged, group)[name] = statistics
        return merged

    def ead_vocabulary_size(self, n: int) -> int:
        """The number of distinct n-grams in the references."""
        return max(self.of_references[f"ngrams_{n}"].distinct, 1)

    def compute(
        self,
        *,
        types: Types = "reference",
        vocabulary: Iterable[str] | None = None,
        bands: WordBands | None = None,
        seen: DiversityStatistics | None = None,
    ) -> dict[str, float]:
        """The available scores; see :func:`eureka_nlg.metrics.score_replies`."""
        vocabulary = None if vocabulary is None else set(vocabulary)
        f = self.f.compute(types, vocabulary)
        by_band = {} if bands is None else self.f.compute_bands(bands, types, vocabulary)

        def score(metric: Metric) -> float:
            family, n = metric.family, metric.n or 0
            if metric.band is not None:
                band = by_band[metric.band]
                return {"macro_f": band.macro, "micro_f": band.micro, "recall": band.recall}[family]
            if family in ("macro_f", "micro_f"):
                return f.macro if family == "macro_f" else f.micro
            for group in (self.of_pairs, self.of_replies):
                if metric.key in group:
                    return float(group[metric.key].compute())
            ngrams: DiversityStatistics = self.of_replies[f"ngrams_{n}"]
            if family == "novelty":
                assert seen is not None  # score_replies sees to it
                return ngrams.novelty(seen)
            if family == "ead":
                return ngrams.expectation_adjusted(self.ead_vocabulary_size(n))
            return ngrams.entropy() if family == "entropy" else ngrams.compute()

        return {metric.key: score(metric) for metric in self.metrics if metric.key not in self.unavailable}


def _metric(key: str) -> Metric:
    metric = find_metric(key)
    if metric is None:
        raise UserError(f"there is no metric {key!r}")
    return metric
