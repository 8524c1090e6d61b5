"""Sequence-level unlikelihood in training: decodes replies and penalises what they over-use."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from fairseq.data import data_utils
from fairseq.logging import metrics
from torch import Tensor

from eureka_nlg.errors import UserError
from fairseq_plugins.criterions.class_counts import class_counts
from fairseq_plugins.model_output import logits_of, refuse_adaptive_softmax, unwrapped
from fairseq_plugins.running_counts import RunningCounts
from fairseq_plugins.tasks.over_use import over_used, repeated, unlikelihood

__all__ = ["KINDS", "OwnReplies", "check_own_replies"]

KINDS = ("repetition", "context", "vocabulary")


class OwnReplies:
    """The addition of ``--sequence-unlikelihood`` to the loss of an update.

    The loss of the criterion is a sum over the tokens of a batch. The addition is the mean over the penalised
    tokens, times the number by which the trainer will divide. Words are counted in all replies of earlier
    updates, and the counts are in the checkpoints (:class:`.RunningCounts`).

    Args:
        cfg: options of the task.
        task: the task, which decodes the replies.
    """

    def __init__(self, cfg: Any, task: Any) -> None:
        self.cfg, self.task = cfg, task
        self.kinds = tuple(kind.strip() for kind in cfg.sequence_unlikelihood.split(","))
        self._said = RunningCounts("own_replies")
        self._of_people: Tensor | None = None
        self._generator: tuple[Any, Any] | None = None  # the model and the generator that was built with it

    def check(self, model: Any) -> None:
        """Count the targets and check what could fail later, before the first batch."""
        refuse_adaptive_softmax(model)
        if "context" in self.kinds and self.task.source_dictionary != self.task.target_dictionary:
            raise UserError(
                "--sequence-unlikelihood context: contexts and replies have dictionaries of their own: leave "
                "it out, or prepare the data with one for both"
            )
        if "vocabulary" in self.kinds and self._of_people is None:
            counts = class_counts("targets", self.task, self.cfg.train_subset)
            self._of_people = torch.from_numpy(counts)

    def are_due(self, update: int) -> bool:
        """Whether to decode in this update: drawn at random, equally in all processes and after resuming."""
        draw = np.random.default_rng((self.cfg.seed, update)).random()
        return bool(draw < self.cfg.sequence_unlikelihood_rate)

    def beside(self, criterion: Any) -> Callable[..., Any]:
        """A criterion that adds the loss of the model's own replies to the loss of ``criterion``."""

        def together(model: Any, sample: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
            loss, sample_size, log = criterion(model, sample)
            punished, counted = self._loss(unwrapped(model), sample)
            return (
                loss + self.cfg.sequence_unlikelihood_alpha * punished * sample_size,
                sample_size,
                log | counted,
            )

        return together

    def log(self, logs: list[dict[str, Any]]) -> None:
        """Count the words of an update's replies, and log the penalties."""
        found = [log for log in logs if "own_replies" in log]
        if not found:
            return
        self._said.add(sum(log["own_replies"] for log in found))
        num_tokens = sum(log["own_tokens"] for log in found)
        for name in ("own_unlikelihood", "own_punished"):
            total = sum(log[name] for log in found)
            metrics.log_scalar(name, total / num_tokens, num_tokens, round=4)

    def _loss(self, model: Any, sample: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        pad, end = self.task.target_dictionary.pad(), self.task.target_dictionary.eos()
        replies = self._decoded(model, sample)
        target = data_utils.collate_tokens(replies, pad, end)
        before = data_utils.collate_tokens(replies, pad, end, move_eos_to_beginning=True)
        kept = target != pad
        inputs = {**sample["net_input"], "prev_output_tokens": before}
        logits = logits_of(model, model(**inputs)).flatten(0, 1)
        losses, punished = logits.new_zeros((), dtype=torch.float32), torch.zeros_like(kept)
        for kind in self.kinds:
            weight = self._weight(kind, sample, target, kept)
            if weight is not None and weight.any():
                losses = losses + unlikelihood(logits, target.flatten(), weight.flatten()).float()
                punished |= weight > 0
        num_tokens = kept.sum()
        return losses, {
            "own_replies": torch.bincount(target[kept], minlength=logits.size(-1)).double(),
            "own_tokens": num_tokens,
            "own_unlikelihood": losses.detach() * num_tokens,
            "own_punished": punished.sum(),
        }

    @torch.no_grad()
    def _decoded(self, model: Any, sample: dict[str, Any]) -> list[Tensor]:
        """Greedy replies to the contexts of a batch, each with its end."""
        model.eval()
        try:
            if self._generator is None or self._generator[0] is not model:
                options = Namespace(beam=1, max_len_b=self.cfg.sequence_unlikelihood_max_len)
                self._generator = model, self.task.build_generator([model], options)
            found = self.task.inference_step(self._generator[1], [model], sample)
        finally:
            model.train()
        return [hypotheses[0]["tokens"] for hypotheses in found]

    def _weight(self, kind: str, sample: dict[str, Any], target: Tensor, kept: Tensor) -> Tensor | None:
        """Weight of the penalty of each token of the replies ``[B, T]``; None if nothing is penalised."""
        if kind == "vocabulary":
            said = self._said.total()
            if said is None or self._of_people is None:
                return None
            weight = over_used(said.to(target.device), self._of_people)[target]
            return torch.where(kept, weight, 0.0)
        n = self.cfg.sequence_unlikelihood_ngram
        lengths = kept.sum(1).tolist()
        replies = [row[:length] for row, length in zip(target.tolist(), lengths)]
        contexts: list[Any] = [None] * len(replies)
        if kind == "context":
            contexts = sample["net_input"]["src_tokens"].tolist()
        marks = [repeated(reply, n, context) for reply, context in zip(replies, contexts)]
        width = target.size(1)
        padded = [row + [False] * (width - len(row)) for row in marks]
        return torch.tensor(padded, device=target.device).double()


def check_own_replies(cfg: Any) -> None:
    """Raise UserError, with the name on the command line, if an option has an invalid value."""
    for kind in cfg.sequence_unlikelihood.split(","):
        if kind.strip() not in KINDS:
            raise UserError(f"--sequence-unlikelihood {kind}: expected any of {', '.join(KINDS)}")
    if not 0 <= cfg.sequence_unlikelihood_alpha < math.inf:
        raise UserError(
            "--sequence-unlikelihood-alpha must be finite and not negative, "
            f"got {cfg.sequence_unlikelihood_alpha}"
        )
    if not 0 <= cfg.sequence_unlikelihood_rate <= 1:
        raise UserError(
            f"--sequence-unlikelihood-rate must be in [0, 1], got {cfg.sequence_unlikelihood_rate}"
        )
    for name in ("ngram", "max_len"):
        value = getattr(cfg, f"sequence_unlikelihood_{name}")
        if value < 1:
            option = f"--sequence-unlikelihood-{name.replace('_', '-')}"
            raise UserError(f"{option} must be positive, got {value}")
