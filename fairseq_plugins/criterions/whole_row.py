"""Losses that depend on more than the target's log-odds: ``--criterion gem``, ``unlikelihood``."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from fairseq.criterions import register_criterion
from torch import Tensor

from eureka_nlg.errors import UserError
from eureka_nlg.losses.gem import GEM
from eureka_nlg.losses.logits import loss_of_rows
from eureka_nlg.losses.objectives import CrossEntropy, Objective
from eureka_nlg.losses.unlikelihood import Unlikelihood, previous_tokens
from eureka_nlg.options import Options, option
from fairseq_plugins.criterions.base import LogitsCriterion
from fairseq_plugins.criterions.baselines import ScalarCriterionConfig
from fairseq_plugins.criterions.options import with_options_of
from fairseq_plugins.criterions.output import without_prefix

__all__ = ["GEMCriterion", "GEMCriterionConfig", "UnlikelihoodCriterion", "UnlikelihoodCriterionConfig"]


class WholeRowCriterion(LogitsCriterion):
    """A loss of rows of logits that is not a function of the targets' log-odds."""

    start_epoch_option = "loss_start_epoch"

    def __init__(self, cfg: Any, task: Any) -> None:
        super().__init__(cfg, task)
        self.refuse_fused_linear()

    def objective(self, device: torch.device) -> Objective:
        """Cross-entropy, the loss of the epochs before the first epoch of this loss."""
        return CrossEntropy().objective()

    def of_rows(self, sample: dict[str, Any], logits: Tensor, target: Tensor, impl: str) -> Any:
        """The terms ``[N]`` of the rows, and ``[N]`` to add or None; see :func:`.logits.loss_of_rows`."""
        raise NotImplementedError

    def loss_and_log_odds(
        self, output: Any, sample: dict[str, Any], reduce: bool, started: bool
    ) -> tuple[Tensor, Tensor]:
        """See :class:`LogitsCriterion`."""
        if not started:
            return super().loss_and_log_odds(output, sample, reduce, started)
        _, options = self._loss(output, reduce, started)
        loss = loss_of_rows(
            output.values,
            output.target,
            lambda logits, target, impl: self.of_rows(sample, logits, target, impl),
            options,
        )
        return loss if output.values.dtype == torch.float64 else loss.float(), self.plain_log_odds(
            output, reduce
        )


# fairseq reads the types of the fields at run time, so annotations are not postponed here.
@dataclass
@with_options_of(GEM)
class GEMCriterionConfig(ScalarCriterionConfig):
    """Options of ``--criterion gem``."""


@register_criterion("gem", dataclass=GEMCriterionConfig)
class GEMCriterion(WholeRowCriterion):
    """GEM. Source: Li et al. 2025."""

    def __init__(self, cfg: GEMCriterionConfig, task: Any) -> None:
        super().__init__(cfg, task)
        self.gem = self.options(GEM)

    def of_rows(self, sample: dict[str, Any], logits: Tensor, target: Tensor, impl: str) -> Any:
        """See :class:`WholeRowCriterion`."""
        return self.gem.of_rows(logits, target, impl)


@dataclass(frozen=True)
class Candidates(Options):
    """Which tokens unlikelihood penalises."""

    candidates: Literal["reply", "context", "both"] = option(
        "reply",
        "tokens that unlikelihood penalises: earlier tokens of the reply, tokens of the context, or both",
        choices=Literal["reply", "context", "both"],
        name="unlikelihood_candidates",
    )


@dataclass
@with_options_of(Unlikelihood, Candidates)
class UnlikelihoodCriterionConfig(ScalarCriterionConfig):
    """Options of ``--criterion unlikelihood``."""


@register_criterion("unlikelihood", dataclass=UnlikelihoodCriterionConfig)
class UnlikelihoodCriterion(WholeRowCriterion):
    """Cross-entropy that penalises tokens that occurred before. Source: Welleck et al. 2020, token level.

    ``unlikelihood`` in the log is the penalty per token in nats, without the factor alpha.
    """

    averaged_per_token = ("likelihood", "unlikelihood")

    def __init__(self, cfg: UnlikelihoodCriterionConfig, task: Any) -> None:
        super().__init__(cfg, task)
        self.unlikelihood = self.options(Unlikelihood)
        self.candidates = self.options(Candidates).candidates
        if self.candidates != "reply" and task.source_dictionary != task.target_dictionary:
            raise UserError(
                f"--unlikelihood-candidates {self.candidates}: contexts and replies have dictionaries of "
                "their own: give reply, or prepare the data with one for both"
            )
        self._punished: Tensor | None = None

    def of_rows(self, sample: dict[str, Any], logits: Tensor, target: Tensor, impl: str) -> Any:
        """See :class:`WholeRowCriterion`."""
        replies, context = sample["target"], None
        if self.candidates != "reply":
            context = sample["net_input"]["src_tokens"]
            # the end of the context is not penalised, since a reply has to end, too
            end = self.task.target_dictionary.eos()
            context = torch.where(context == end, self.padding_idx, context)
        candidates = previous_tokens(replies, self.padding_idx, context)
        if self.candidates == "context":
            candidates = candidates[..., : -replies.size(1)]
        listed = without_prefix(candidates, self.cfg)
        term, punished = Unlikelihood(1.0).of_rows(logits, target, listed, impl)
        self._punished = punished.detach()
        return term, self.unlikelihood.alpha * punished

    def statistics(self, log_odds: Tensor, target: Tensor) -> dict[str, Tensor]:
        """See :class:`LogitsCriterion`."""
        punished = self._punished
        if punished is None or not self.has_started:
            punished = torch.zeros_like(log_odds)
        return {**super().statistics(log_odds, target), "unlikelihood": punished}
