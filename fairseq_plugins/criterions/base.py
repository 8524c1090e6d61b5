"""What the criterions of this package share: logits and targets out of fairseq, statistics into its log."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from fairseq import utils
from fairseq.criterions import FairseqCriterion
from fairseq.logging import metrics
from fairseq.models import BaseFairseqModel, FairseqDecoder
from fairseq.models.transformer import TransformerModelBase
from torch import Tensor

from eureka_nlg.errors import UserError

__all__ = ["LogitsCriterion", "logits_of", "refuse_adaptive_softmax", "torch_label_smoothing"]

_SOFTMAX_OF_THE_OUTPUT = (BaseFairseqModel.get_normalized_probs, TransformerModelBase.get_normalized_probs)


class LogitsCriterion(FairseqCriterion):
    """A loss on the logits of the target tokens.

    Subclasses give :meth:`loss_and_log_odds`. Whatever the loss, ``nll_loss`` and ``ppl`` in the log are
    those of plain cross-entropy, so that runs with different losses can be compared and the best
    checkpoint chosen.
    """

    # names of the statistics that are logged besides those of fairseq
    averaged_per_token = ("likelihood",)

    def __init__(self, task: Any, sentence_avg: bool, ignore_prefix_size: int, report_accuracy: bool) -> None:
        super().__init__(task)
        self.sentence_avg = sentence_avg
        self.ignore_prefix_size = ignore_prefix_size
        self.report_accuracy = report_accuracy

    def loss_and_log_odds(self, logits: Tensor, target: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
        """Loss of ``logits [N, C]`` and ``target [N]`` (padding included), and the log-odds of the targets.

        Returns:
            The loss in float32, reduced by ``"sum"`` or ``"none"``, and detached log-odds ``[N]``, NaN at
            padding.
        """
        raise NotImplementedError

    def statistics(self, log_odds: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Values of each token ``[N]`` to log; the names are listed in ``averaged_per_token``."""
        return {"likelihood": torch.sigmoid(log_odds)}

    def forward(
        self, model: Any, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, Any, dict[str, Any]]:
        """Compute the loss of a batch; returns the loss, its denominator and the sums to log."""
        net_output = model(**sample["net_input"])
        logits, target = self.logits_and_target(model, net_output, sample)
        loss, log_odds = self.loss_and_log_odds(logits, target, "sum" if reduce else "none")
        sample_size = sample["target"].size(0) if self.sentence_avg else sample["ntokens"]
        with torch.no_grad():
            kept = target != self.padding_idx
            values = {"nll_loss": -F.logsigmoid(log_odds), **self.statistics(log_odds, target)}
            logging_output = {
                "loss": loss.detach(),
                # Only padding is left out: NaN elsewhere must show, or a diverged model had perplexity 1.
                **{name: torch.where(kept, value, 0.0).sum() for name, value in values.items()},
                "ntokens": sample["ntokens"],
                "nsentences": sample["target"].size(0),
                "sample_size": sample_size,
            }
            if self.report_accuracy:
                logging_output["n_correct"] = ((logits.argmax(-1) == target) & kept).sum()
                logging_output["total"] = kept.sum()
        return loss, sample_size, logging_output

    def logits_and_target(self, model: Any, net_output: Any, sample: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Logits ``[N, C]`` and targets ``[N]`` without the ignored prefix."""
        logits = logits_of(model, net_output)
        target = model.get_targets(sample, net_output)
        if self.ignore_prefix_size > 0:
            logits = logits[:, self.ignore_prefix_size :]
            target = target[:, self.ignore_prefix_size :]
        return logits.reshape(-1, logits.size(-1)), target.reshape(-1)

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Log the averages over all processes; loss and nll_loss in bits, as fairseq does."""

        def total(name: str) -> Any:
            return sum(log.get(name, 0) for log in logging_outputs)

        num_tokens, sample_size = total("ntokens"), total("sample_size")
        metrics.log_scalar("loss", total("loss") / sample_size / math.log(2), sample_size, round=3)
        metrics.log_scalar("nll_loss", total("nll_loss") / num_tokens / math.log(2), num_tokens, round=3)
        metrics.log_derived("ppl", lambda meters: utils.get_perplexity(meters["nll_loss"].avg))
        for name in cls.averaged_per_token:
            metrics.log_scalar(name, total(name) / num_tokens, num_tokens, round=4)
        if utils.item(total("total")) > 0:
            metrics.log_scalar("total", utils.item(total("total")))
            metrics.log_scalar("n_correct", utils.item(total("n_correct")))
            metrics.log_derived(
                "accuracy", lambda meters: round(100.0 * meters["n_correct"].sum / meters["total"].sum, 3)
            )

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """All logged values are sums."""
        return True


def logits_of(model: Any, net_output: Any) -> Tensor:
    """Logits of the model's output ``[B, T, C]``, up to a constant in each row that no loss here sees.

    Models whose likelihoods are not the softmax of their output (pointer networks, say) are asked for their
    log-likelihoods, which serve as well and cost one more pass.

    Raises:
        UserError: the model uses an adaptive softmax.
    """
    refuse_adaptive_softmax(model)
    model = _unwrapped(model)
    decoder = getattr(model, "decoder", model)
    is_softmax = type(model).get_normalized_probs in _SOFTMAX_OF_THE_OUTPUT and (
        not isinstance(decoder, FairseqDecoder)
        or (
            type(decoder).get_normalized_probs is FairseqDecoder.get_normalized_probs
            and type(decoder).get_normalized_probs_scriptable
            is FairseqDecoder.get_normalized_probs_scriptable
        )
    )
    return net_output[0] if is_softmax else model.get_normalized_probs(net_output, log_probs=True)


def refuse_adaptive_softmax(model: Any) -> None:
    """Raise UserError if the model uses an adaptive softmax."""
    model = _unwrapped(model)
    if getattr(getattr(model, "decoder", model), "adaptive_softmax", None) is not None:
        raise UserError(
            "this criterion needs the logits of all classes, which an adaptive softmax does not compute: "
            "train without --adaptive-softmax-cutoff, or with --criterion adaptive_loss"
        )


def _unwrapped(model: Any) -> Any:
    """The model itself: with several processes it is wrapped, twice even."""
    while not isinstance(model, BaseFairseqModel) and hasattr(model, "module"):
        model = model.module
    return model


def torch_label_smoothing(epsilon: float, num_classes: int) -> float:
    """The label smoothing that torch calls by another number.

    fairseq takes epsilon from the target and shares it among the other C - 1 classes; torch shares it
    among all C, the target included.
    """
    return epsilon * num_classes / (num_classes - 1)
