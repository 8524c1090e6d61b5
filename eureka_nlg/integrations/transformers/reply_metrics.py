"""``compute_metrics`` of a Trainer that generates at evaluation: this project's scores of replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from eureka_nlg.integrations.token_loss import IGNORED
from eureka_nlg.metrics import compare, score_replies

__all__ = ["ReplyMetrics"]


class ReplyMetrics:
    """Macro and micro F, diversity and others of generated replies, with confidence intervals.

    ``Seq2SeqTrainer(compute_metrics=ReplyMetrics(tokenizer), ...)`` with ``predict_with_generate=True``.

    Args:
        tokenizer: of the model; decodes both sides, without special tokens.
        metrics: keys of ``eureka evaluate``.
        split: text to words, the same for both sides; None: at white space.
        lowercase: lower the case first.
        num_resamples: of the intervals; 0 for none.
        confidence: of the intervals, in percent.
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
        """Scores of an ``EvalPrediction`` of token ids ``[N, L]``, both sides padded by -100 or as the
        tokenizer.

        Returns:
            Key of the metric -> value; with intervals also ``<key>_low`` and ``<key>_high``. Percent as in
            ``eureka evaluate``. Of fewer than two replies there is no interval.
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
