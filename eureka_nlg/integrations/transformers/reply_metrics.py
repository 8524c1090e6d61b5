"""Scores of generated replies, as ``compute_metrics`` of a Trainer that generates when it evaluates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from eureka_nlg.integrations.token_loss import IGNORED
from eureka_nlg.metrics import compare, score_replies

__all__ = ["ReplyMetrics"]


class ReplyMetrics:
    """Macro and micro F, diversity and other scores of generated replies, with confidence intervals.

    ``Seq2SeqTrainer(compute_metrics=ReplyMetrics(tokenizer), ...)`` with ``predict_with_generate=True``.

    Args:
        tokenizer: that of the model; decodes replies and references, without special tokens.
        metrics: names of scores, as in ``eureka evaluate``.
        split: splits replies and references into words; None splits at white space.
        lowercase: lower-case all texts first.
        num_resamples: number of resamples for the intervals; 0 for no intervals.
        confidence: confidence of the intervals, in percent.
    """

    def __init__(
        self,
        tokenizer: Any,
        metrics: Sequence[str] = ("macro_f", "micro_f", "diversity_4"),
        *,
        split: Callable[[str], list[str]] | None = None,
        lowercase: bool = False,
        num_resamples: int = 200,
        confidence: float = 95,
    ) -> None:
        self.tokenizer = tokenizer
        self.metrics = tuple(metrics)
        self.split = split
        self.lowercase = lowercase
        self.num_resamples = num_resamples
        self.confidence = confidence

    def __call__(self, prediction: Any) -> dict[str, float]:
        """Scores of an ``EvalPrediction`` of token ids ``[N, L]``, padded with -100 or as by the tokenizer.

        Returns:
            Name of the score -> value, with the units of ``eureka evaluate``; with intervals also
            ``<name>_low`` and ``<name>_high``. For fewer than two replies there are no intervals.
        """
        replies, references = self._texts(prediction.predictions), self._texts(prediction.label_ids)
        resamples = self.num_resamples if len(replies) > 1 else 0
        if not resamples:
            scored = score_replies(replies, references, metrics=self.metrics, lowercase=self.lowercase)
            return dict(scored.scores)
        comparison = compare(
            {"model": replies},
            references,
            self.metrics,
            num_resamples=resamples,
            confidence=self.confidence,
            lowercase=self.lowercase,
        )
        found: dict[str, float] = {}
        for key, systems in comparison.scores.items():
            estimate = systems["model"]
            found |= {key: estimate.value, f"{key}_low": estimate.low, f"{key}_high": estimate.high}
        return found

    def _texts(self, ids: Any) -> list[Any]:
        ids = ids[0] if isinstance(ids, tuple) else ids
        padding = self.tokenizer.pad_token_id
        ids = np.where(ids == IGNORED, self.tokenizer.eos_token_id if padding is None else padding, ids)
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return texts if self.split is None else [self.split(text) for text in texts]
