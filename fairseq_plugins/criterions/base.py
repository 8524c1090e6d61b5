"""The base of this package's criterions: gets logits and targets from fairseq, and logs statistics."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from fairseq import utils
from fairseq.criterions import FairseqCriterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from omegaconf import II
from torch import Tensor

from eureka_nlg.errors import UserError
from eureka_nlg.frequency import ClassWeightOptions
from eureka_nlg.losses.checks import Options
from eureka_nlg.losses.objectives import CrossEntropy, Objective
from eureka_nlg.losses.options import LabelSmoothing
from eureka_nlg.options import Options as OptionsOfALoss
from fairseq_plugins.criterions.class_counts import class_counts
from fairseq_plugins.criterions.epoch import on_begin_epoch
from fairseq_plugins.criterions.options import option_name, options_of, same_as
from fairseq_plugins.criterions.output import Output
from fairseq_plugins.model_output import output_layer_of, refuse_adaptive_softmax

__all__ = [
    "LogitsCriterion",
    "LogitsCriterionConfig",
    "torch_label_smoothing",
]

T = TypeVar("T", bound=OptionsOfALoss)


# fairseq reads the types of the fields at run time, so annotations are not postponed here.
@dataclass
class LogitsCriterionConfig(FairseqDataclass):
    """Options of every criterion of this package."""

    label_smoothing: float = same_as(
        LabelSmoothing, "label_smoothing", help="epsilon for label smoothing, 0 means none"
    )
    class_counts: str = field(
        default="targets",
        metadata={"help": "source of the class counts: the training 'targets', the 'dictionary', or a file"},
    )
    fused_linear: bool = field(
        default=False,
        metadata={
            "help": "compute the decoder's last linear layer and the loss together, without storing the "
            "logits of a batch; same results, less memory"
        },
    )
    report_accuracy: bool = field(default=False, metadata={"help": "report accuracy metric"})
    ignore_prefix_size: int = field(
        default=0,
        metadata={"help": "ignore first N tokens; loss and perplexity are divided by all, as in fairseq"},
    )
    sentence_avg: bool = II("optimization.sentence_avg")
    train_subset: str = II("dataset.train_subset")


class LogitsCriterion(FairseqCriterion):
    """A loss on the logits of the target tokens; before its first epoch it is plain cross-entropy.

    Subclasses define :meth:`objective` and, if they have class weights, :meth:`class_weight`. For any loss,
    ``nll_loss`` and ``ppl`` in the log are those of plain cross-entropy, so that runs with different losses
    are comparable and the best checkpoint can be chosen.
    """

    # names of the statistics that are logged in addition to fairseq's
    averaged_per_token: tuple[str, ...] = ("likelihood",)
    # name of the option with the first epoch of the loss
    start_epoch_option = "loss_start_epoch"

    def __init__(self, cfg: Any, task: Any) -> None:
        super().__init__(task)
        _check(cfg, self.start_epoch_option)
        self.cfg = cfg
        self.epoch: int | None = None
        # Not buffers: fairseq converts those to half precision under --fp16, whose range is too small for the
        # weights of a vocabulary.
        self._counts: np.ndarray | None = None
        self._of_classes: dict[str, Tensor] = {}
        on_begin_epoch(task, self.begin_epoch)

    def options(self, cls: type[T], **names: str) -> T:
        """The options of a class, from the config; ``names``: field -> name in the config, if different."""
        return options_of(self.cfg, cls, **names)

    def objective(self, device: torch.device) -> Objective:
        """The loss from its first epoch on, with its tensors on this device."""
        raise NotImplementedError

    def class_weight(self, device: torch.device) -> Tensor | None:
        """Class weights ``[C]`` from that epoch on; None for 1."""
        return None

    def statistics(self, log_odds: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Values of each token ``[N]`` to log, with the names in ``averaged_per_token``."""
        return {"likelihood": torch.sigmoid(log_odds)}

    def begin_epoch(self, epoch: int, model: Any) -> None:
        """Note the epoch, counted from 1; the trainer calls it through the task."""
        self.epoch = epoch
        # Errors should occur before the first batch, not in the epoch in which the loss starts.
        refuse_adaptive_softmax(model)
        if self.cfg.fused_linear and model is not None:
            output_layer_of(model)
        self.objective(torch.device("cpu"))
        self.class_weight(torch.device("cpu"))
        self.class_offset(torch.device("cpu"))

    @property
    def has_started(self) -> bool:
        """Whether the loss has started. Outside of training (fairseq-validate) it always has."""
        start_epoch = getattr(self.cfg, self.start_epoch_option)
        if self.epoch is None:
            if self.training and start_epoch > 1:
                raise UserError(
                    f"--criterion {self.name} was not told the epoch: the trainer must call "
                    f"task.begin_epoch, or give {option_name(self.start_epoch_option)} 1"
                )
            return True
        return bool(self.epoch >= start_epoch)

    @property
    def name(self) -> str:
        """The name of the criterion in ``--criterion``."""
        return str(getattr(self.cfg, "_name", None) or type(self).__name__)

    def from_counts(self, name: str, compute: Callable[[np.ndarray], Tensor], device: torch.device) -> Tensor:
        """A tensor ``[C]`` that is computed from the class counts, once, and then kept on the last device."""
        if name not in self._of_classes:
            if self._counts is None:
                self._counts = class_counts(self.cfg.class_counts, self.task, self.cfg.train_subset)
            self._of_classes[name] = compute(self._counts)
        self._of_classes[name] = self._of_classes[name].to(device)
        return self._of_classes[name]

    def class_offset(self, device: torch.device) -> Tensor | None:
        """Offset ``[C]`` that the loss adds to the logits from its first epoch on; None for none."""
        return None

    def class_weights(self, options: ClassWeightOptions, device: torch.device) -> Tensor:
        """Class weights ``[C]`` of mean one over the training tokens.

        fairseq divides the summed loss by the number of tokens. With mean one over the classes, most of which
        are rare, the weighted cross-entropy would be negligible relative to terms without class weights.
        """
        return self.from_counts(
            "class weight",
            lambda counts: options.of(counts, mean_over="examples", dtype=torch.float32),
            device,
        )

    def forward(
        self, model: Any, sample: dict[str, Any], reduce: bool = True
    ) -> tuple[Tensor, Any, dict[str, Any]]:
        """Compute the loss of a batch; return the loss, its denominator, and sums to log."""
        output = Output.of(model, sample, self.cfg)
        target, started = output.target, self.has_started
        loss, log_odds = self.loss_and_log_odds(output, sample, reduce, started)
        sample_size = sample["target"].size(0) if self.cfg.sentence_avg else sample["ntokens"]
        with torch.no_grad():
            kept = target != self.padding_idx
            values = {"nll_loss": -F.logsigmoid(log_odds), **self.statistics(log_odds, target)}
            logging_output = {
                "loss": loss.detach(),
                # Only padding is left out: a NaN elsewhere has to show, or a diverged model had perplexity 1.
                **{name: torch.where(kept, value, 0.0).sum() for name, value in values.items()},
                "ncounted": kept.sum(),  # unlike ntokens, without an ignored prefix
                "ntokens": sample["ntokens"],
                "nsentences": sample["target"].size(0),
                "sample_size": sample_size,
                **self.counts_of_update(output, started),
            }
            if self.cfg.report_accuracy and output.layer is None:
                logging_output["n_correct"] = ((output.values.argmax(-1) == target) & kept).sum()
                logging_output["total"] = kept.sum()
        return loss, sample_size, logging_output

    def loss_and_log_odds(
        self, output: Output, sample: dict[str, Any], reduce: bool, started: bool
    ) -> tuple[Tensor, Tensor]:
        """Loss of a batch, summed or ``[N]``, and log-odds of its targets ``[N]`` without any offset."""
        offset = self.class_offset(output.target.device) if started else None
        loss, log_odds = output.loss_and_log_odds(offset, *self._loss(output, reduce, started))
        if offset is not None:
            log_odds = self.plain_log_odds(output, reduce)
        return loss, log_odds

    @torch.no_grad()
    def plain_log_odds(self, output: Output, reduce: bool) -> Tensor:
        """Log-odds of the targets ``[N]``, if the loss is computed from other values."""
        return output.loss_and_log_odds(None, *self._loss(output, reduce, False))[1]

    def counts_of_update(self, output: Output, started: bool) -> dict[str, Tensor]:
        """Counts of the batch for :class:`.RunningCounts`, by their names in the log."""
        return {}

    def refuse_fused_linear(self) -> None:
        """Raise UserError under ``--fused-linear``, for criterions that need the logits."""
        if self.cfg.fused_linear:
            raise UserError(
                f"--fused-linear never stores the logits that --criterion {self.name} needs: leave it out"
            )

    def _loss(self, output: Output, reduce: bool, started: bool) -> tuple[Objective, Options]:
        device = output.target.device
        options = Options(
            weight=self.class_weight(device) if started else None,
            ignore_index=self.padding_idx,
            reduction="sum" if reduce else "none",
            label_smoothing=torch_label_smoothing(self.cfg.label_smoothing, output.num_classes),
        )
        return (self.objective(device) if started else CrossEntropy().objective()), options

    @classmethod
    def reduce_metrics(cls, logging_outputs: list[dict[str, Any]]) -> None:
        """Log the averages over all processes; loss and nll_loss in bits, as fairseq does."""

        def total(name: str) -> Any:
            return sum(log.get(name, 0) for log in logging_outputs)

        num_tokens, sample_size = total("ntokens"), total("sample_size")
        metrics.log_scalar("loss", total("loss") / sample_size / math.log(2), sample_size, round=3)
        metrics.log_scalar("nll_loss", total("nll_loss") / num_tokens / math.log(2), num_tokens, round=3)
        metrics.log_derived("ppl", lambda meters: utils.get_perplexity(meters["nll_loss"].avg))
        num_counted = total("ncounted")
        for name in cls.averaged_per_token:
            metrics.log_scalar(name, total(name) / num_counted, num_counted, round=4)
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


def torch_label_smoothing(epsilon: float, num_classes: int) -> float:
    """torch's label smoothing for fairseq's ``epsilon``.

    fairseq distributes epsilon over the C - 1 classes other than the target; torch distributes its label
    smoothing over all C classes.
    """
    return epsilon * num_classes / max(num_classes - 1, 1)


def _check(cfg: Any, start_epoch_option: str) -> None:
    """Raise UserError, with the name on the command line, if an option has an invalid value."""
    if options_of(cfg, LabelSmoothing).label_smoothing == 1.0:  # the target would have no part in the loss
        raise UserError("--label-smoothing must be a number in [0, 1), got 1.0")
    if getattr(cfg, start_epoch_option) < 1:
        raise UserError(
            f"{option_name(start_epoch_option)} counts from 1 (from the start), "
            f"got {getattr(cfg, start_epoch_option)}"
        )
    if cfg.ignore_prefix_size < 0:
        raise UserError(f"--ignore-prefix-size must not be negative, got {cfg.ignore_prefix_size}")
    if cfg.fused_linear and cfg.report_accuracy:
        raise UserError(
            "--fused-linear never stores the logits that --report-accuracy needs: give only one of the two"
        )
