"""Logit adjustment of a trained model while it decodes, which makes frequent words less likely.

Source: Menon et al. 2021, "Long-tail Learning via Logit Adjustment", post-hoc form.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from eureka_nlg.dialogue.quiet import quiet
from eureka_nlg.dialogue.run_data import TargetCounts
from eureka_nlg.errors import UserError, require
from eureka_nlg.frequency import LogitAdjustmentOptions, log_prior
from eureka_nlg.options import BadOption

__all__ = ["AdjustedLikelihoods", "LogitAdjustment", "TRAINED_WITH_IT"]

TRAINED_WITH_IT = "logit_adjusted"
"""The criterion that trains with logit adjustment."""


class LogitAdjustment:
    """Subtracts ``tau`` times the log-frequency of each word from its logit, but spares marks and ends.

    Only the distribution over the words is adjusted. The end of a reply and the punctuation marks, which are
    among the most frequent tokens, keep the probabilities that the model gives them: adjusted like words, the
    end would come too late, and the replies would lose their full stops and commas. The logit of a word that
    is never a training target stays as it is, which leaves it behind every other word.

    Args:
        tau: finite and not negative; 0 changes nothing.
        targets: counts of the training targets, and which of them are punctuation.

    Raises:
        UserError: a bad tau, or counts that are all zero.
    """

    def __init__(self, tau: float, targets: TargetCounts) -> None:
        try:
            self.tau = LogitAdjustmentOptions(tau).tau
            prior = log_prior(targets.counts, self.tau, dtype=torch.float64)
        except BadOption as error:
            raise UserError(str(error.spelled("--logit-adjustment"))) from None
        except ValueError as error:
            raise UserError(f"--logit-adjustment: {error}") from error
        self._kept = torch.tensor([targets.end, *targets.marks])
        self._words = torch.ones(len(prior), dtype=torch.bool)
        self._words[self._kept] = False
        self._added = torch.where(self._words & torch.from_numpy(targets.counts > 0), -prior, 0.0).float()

    def __call__(self, log_likelihoods: Tensor, temperature: float = 1.0) -> Tensor:
        """Adjusted log-likelihoods.

        Args:
            log_likelihoods: ``[..., C]``, over the words, from logits that were divided by the temperature.
            temperature: the adjustment is divided by it too.

        Returns:
            ``[..., C]`` in the dtype of the input.

        Raises:
            UserError: the number of words is not that of the training targets' dictionary.
        """
        self._check(log_likelihoods)
        before = log_likelihoods.float()
        after = before + self._added.to(before.device) / temperature
        words = self._words.to(before.device)
        mass = before.masked_fill(~words, -math.inf).logsumexp(-1, keepdim=True)
        excess = after.masked_fill(~words, -math.inf).logsumexp(-1, keepdim=True) - mass
        # where no word has any probability, there is nothing to normalise
        after = torch.where(words & (mass > -math.inf), after - excess, before)
        return after.to(log_likelihoods.dtype)

    def adjust_logits(self, logits: Tensor, temperature: float = 1.0) -> None:
        """Change logits in place so that their softmax is the adjusted distribution.

        Args:
            logits: ``[N, C]`` over the words, divided by the temperature.
            temperature: the adjustment is divided by it too.

        Raises:
            UserError: as above.
        """
        self._check(logits)
        at = self._kept.to(logits.device)
        kept = logits[:, at]
        logits[:, at] = -math.inf
        before = logits.logsumexp(-1)
        logits += self._added.to(logits.device, logits.dtype) / temperature
        # what is kept has its share of the whole again: its logits rise by as much as those of all words
        risen = torch.where(before > -math.inf, logits.logsumexp(-1) - before, 0.0)
        logits[:, at] = kept + risen[:, None]

    def _check(self, rows: Tensor) -> None:
        if rows.shape[-1] != len(self._added):
            raise UserError(
                f"--logit-adjustment: the model has {rows.shape[-1]} words, the dictionary of the training "
                f"targets {len(self._added)}: give the folder of the training, --data DIR"
            )

    @contextmanager
    def of_model(self, model: Any, temperature: float = 1.0) -> Iterator[None]:
        """While this lasts, fairseq decodes with adjusted likelihoods of this model."""
        before = vars(model).get("get_normalized_probs")
        self.adjust(model, temperature)
        try:
            yield
        finally:
            del model.get_normalized_probs
            if before is not None:
                model.get_normalized_probs = before

    @contextmanager
    def of_loaded(self, temperature: float = 1.0) -> Iterator[None]:
        """While this lasts, the models that fairseq loads have adjusted likelihoods."""
        with quiet():
            loading: Any = require("fairseq.checkpoint_utils", extra="fairseq")
        load = loading.load_model_ensemble

        def load_adjusted(*arguments: Any, **options: Any) -> Any:
            models, config = load(*arguments, **options)
            for model in models:
                self.adjust(model, temperature)
            return models, config

        loading.load_model_ensemble = load_adjusted
        try:
            yield
        finally:
            loading.load_model_ensemble = load

    def adjust(self, model: Any, temperature: float) -> None:
        """Replace the likelihoods of this model by adjusted ones."""
        model.get_normalized_probs = AdjustedLikelihoods(model.get_normalized_probs, self, temperature)


class AdjustedLikelihoods:
    """Stands in for ``get_normalized_probs`` of a fairseq model, and adjusts what that returns.

    Args:
        likelihoods: the model's own.
        adjustment: what to do with them.
        temperature: of the search.
    """

    def __init__(self, likelihoods: Any, adjustment: LogitAdjustment, temperature: float) -> None:
        self._likelihoods = likelihoods
        self._adjustment = adjustment
        self._temperature = temperature

    @property
    def of_own_softmax(self) -> bool:
        """Whether a method of the model is adjusted, and not what somebody has put in its place."""
        return inspect.ismethod(self._likelihoods)

    def __call__(self, net_output: Any, log_probs: bool, sample: Any = None) -> Tensor:
        """See fairseq's models."""
        found = self._adjustment(
            self._likelihoods(net_output, log_probs=True, sample=sample), self._temperature
        )
        return found if log_probs else found.exp()

    def change_logits(self, logits: Tensor) -> None:
        """The same on logits in place, for a search that normalises them itself."""
        self._adjustment.adjust_logits(logits, self._temperature)
