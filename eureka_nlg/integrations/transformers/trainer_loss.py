"""The loss for ``Trainer(compute_loss_func=...)``, and its callback."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from eureka_nlg.errors import UserError, require
from eureka_nlg.integrations.target_counts import TargetCounts, count_targets
from eureka_nlg.integrations.token_loss import IGNORED, TokenLoss
from eureka_nlg.losses.options import shows_arguments_of

__all__ = ["EurekaTrainerLoss", "base_model", "shifts_labels"]

TrainerT = TypeVar("TrainerT")


class EurekaTrainerLoss(TokenLoss):
    """The Eureka loss as transformers' Trainer calls it.

    It works for every model that returns ``logits`` for ``labels``: language models, decoders or
    encoder-decoders, and classifiers of tokens, sequences and images.

    >>> loss = EurekaTrainerLoss(shift=True)
    >>> logits, labels = torch.zeros(1, 3, 4, requires_grad=True), torch.tensor([[0, 1, -100]])
    >>> loss({"logits": logits}, labels, num_items_in_batch=1).shape
    torch.Size([])

    Args:
        encouragement: as in :class:`eureka_nlg.integrations.token_loss.TokenLoss`.
        shift: whether the logits at a position predict the label of the next one, as in causal language
            models; :meth:`for_model` and :meth:`from_dataset` read it from the model.
        aux_loss_coefficient: weight of the load-balancing loss of a mixture of experts, where there is one.
        **options: as in :class:`eureka_nlg.integrations.token_loss.TokenLoss`.
    """

    @shows_arguments_of(TokenLoss)
    def __init__(
        self, encouragement: Any = None, *, shift: bool, aux_loss_coefficient: float = 0.0, **options: Any
    ) -> None:
        super().__init__(encouragement, **options)
        self.shift = shift
        self.aux_loss_coefficient = aux_loss_coefficient

    @classmethod
    def for_model(cls, model: Any, encouragement: Any = None, **options: Any) -> EurekaTrainerLoss:
        """The loss for this model, from which it reads whether labels are shifted."""
        return cls(encouragement, **_of_model(model), **options)

    @classmethod
    def from_dataset(
        cls,
        dataset: Any,
        model: Any,
        *,
        column: str = "labels",
        mask: str | None = None,
        num_proc: int | None = None,
        **options: Any,
    ) -> EurekaTrainerLoss:
        """Build the loss from the targets of a tokenised data set.

        Args:
            dataset: the training data, as the Trainer gets them.
            model: the model to train.
            column, mask, num_proc: as in :func:`eureka_nlg.integrations.target_counts.count_targets`.
            **options: as in :meth:`from_counts`.

        Raises:
            UserError, ValueError: data or options that do not fit.
        """
        counted = count_targets(
            dataset,
            num_outputs(model),
            shift=shifts_labels(model),
            column=column,
            mask=mask,
            num_proc=num_proc,
        )
        return cls.from_target_counts(counted, model, **options)

    @classmethod
    def from_target_counts(cls, counted: TargetCounts, model: Any, **options: Any) -> EurekaTrainerLoss:
        """Build the loss from counts of the targets; options as in :meth:`from_counts`."""
        return cls.from_counts(counted.counts, **_of_model(model), **options)

    def __call__(
        self, outputs: Any, labels: Tensor | None, num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Loss of a batch.

        Args:
            outputs: of the model: a mapping with ``logits`` ``[..., C]``, or a tuple that begins with them.
            labels: ``[...]``, class indices or -100.
            num_items_in_batch: number of tokens of the whole accumulated batch on all devices, as the Trainer
                counts them; None for those of this batch.

        Raises:
            UserError: no labels, no logits, or shapes that do not fit.
        """
        logits = _logits(outputs)
        if labels is None:
            raise UserError("the batch has no labels: the data set or its collator has to make them")
        logits, labels = aligned(logits, labels, self.shift)
        loss = self.of_logits(logits, labels, num_items_in_batch)
        aux_loss = outputs.get("aux_loss") if hasattr(outputs, "get") else None
        if aux_loss is not None and self.aux_loss_coefficient and torch.is_grad_enabled():
            loss = loss + self.aux_loss_coefficient * aux_loss.to(loss.device)
        return loss

    @property
    def callback(self) -> Any:
        """A ``TrainerCallback`` that tells this loss the progress and adds its numbers to the log."""
        from eureka_nlg.integrations.transformers.callback import EurekaCallback

        return EurekaCallback(self)

    def attach(self, trainer: TrainerT) -> TrainerT:
        """Make this the loss of an existing Trainer, and return the Trainer.

        Unlike ``Trainer(compute_loss_func=loss, callbacks=[loss.callback])`` this puts the callback before
        those that report to TensorBoard and the like, so that they get bonus, reward and likelihood too. If
        :func:`apply_eureka` or :func:`add_fused_loss` have put this loss into the model, it stays there.

        Raises:
            UserError: whether this model shifts its labels does not agree with ``shift``; or the arguments
                have a label smoothing, which the Trainer leaves out beside a loss that it is given.
        """
        built: Any = trainer
        model = base_model(built.model)
        smoothing = getattr(getattr(built, "args", None), "label_smoothing_factor", 0.0)
        if smoothing:
            raise UserError(
                f"label_smoothing_factor={smoothing:g} in the arguments has no "
                "effect beside a loss of its own: leave it out there, and give label_smoothing to the loss"
            )
        if self.shift != shifts_labels(model):
            raise UserError(
                f"{type(model).__name__} {'shifts' if shifts_labels(model) else 'does not shift'} its "
                f"labels, and the loss was built with shift={self.shift}: use "
                f"{type(self).__name__}.for_model(model, ...)"
            )
        if getattr(model, "_eureka_loss", None) is not self:
            built.compute_loss_func = self
        if getattr(model.config, "is_encoder_decoder", False) and model.can_generate():
            built.compute_loss = _with_decoder_inputs(built.compute_loss, model)
        callback = self.callback
        callback.trainer = built
        built.callback_handler.callbacks.insert(0, callback)
        return trainer


def decoder_inputs(model: Any, labels: Tensor) -> Tensor:
    """What the decoder of an encoder-decoder reads when it learns these labels ``[B, T]``: shifted by one.

    Raises:
        UserError: the model does not say which token the decoder begins with.
    """
    if hasattr(model, "prepare_decoder_input_ids_from_labels"):
        return model.prepare_decoder_input_ids_from_labels(labels=labels)
    config = model.config.get_text_config(decoder=True)
    start = getattr(config, "decoder_start_token_id", None)
    start = getattr(model.config, "decoder_start_token_id", None) if start is None else start
    pad = getattr(config, "pad_token_id", None)
    if start is None or pad is None:
        raise UserError(
            f"{type(model).__name__}: its config has no decoder_start_token_id or no pad_token_id, which the "
            "decoder's input is made with: set them, or put decoder_input_ids into the batch"
        )
    shifted = F.pad(labels, (1, 0), value=start)[..., :-1]
    return shifted.masked_fill(shifted == IGNORED, pad)


def lacks_decoder_inputs(batch: Mapping[str, Any]) -> bool:
    """Whether a batch has nothing for the decoder to read."""
    return all(batch.get(name) is None for name in ("decoder_input_ids", "decoder_inputs_embeds"))


def _with_decoder_inputs(compute_loss: Any, model: Any) -> Any:
    """``Trainer.compute_loss``, with the decoder's input made of the labels before the Trainer removes them.

    Without them BART and its like would let the decoder read the encoder's input, in silence.
    """

    @functools.wraps(compute_loss)
    def wrapped(wrapped_model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        labels = inputs.get("labels")
        if labels is not None and lacks_decoder_inputs(inputs):
            inputs = {**inputs, "decoder_input_ids": decoder_inputs(model, labels)}
        return compute_loss(wrapped_model, inputs, *args, **kwargs)

    return wrapped


def base_model(model: Any) -> Any:
    """The Hugging Face model inside of PEFT's and of distributed wrappers."""
    while True:
        if hasattr(model, "get_base_model"):
            model = model.get_base_model()
        elif isinstance(model, torch.nn.parallel.DistributedDataParallel):
            model = model.module
        else:
            return getattr(model, "_orig_mod", model)


def shifts_labels(model: Any) -> bool:
    """Whether the logits of this model at a position predict the label of the next one."""
    model = base_model(model)
    if getattr(model.config, "is_encoder_decoder", False):
        return False
    losses = require("transformers.loss.loss_utils", extra="transformers")
    kind = getattr(model, "loss_type", None)
    if (
        kind is None
    ):  # GPT-2 and other names that end in LMHeadModel: the loss of causal models is the default
        return bool(model.can_generate())
    return losses.LOSS_MAPPING.get(kind) is losses.ForCausalLMLoss


def num_outputs(model: Any) -> int:
    """Number of classes that a model chooses among."""
    model = base_model(model)
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if head is not None:
        return int(head.weight.shape[0])
    labels = getattr(model.config, "num_labels", None)
    return int(labels or model.config.get_text_config().vocab_size)


def _of_model(model: Any) -> dict[str, Any]:
    config = base_model(model).config
    coefficient = getattr(config.get_text_config(), "router_aux_loss_coef", None)
    return {"shift": shifts_labels(model), "aux_loss_coefficient": coefficient or 0.0}


def _logits(outputs: Any) -> Tensor:
    if isinstance(outputs, tuple):
        found = outputs[0] if outputs else None
    else:
        found = outputs.get("logits") if hasattr(outputs, "get") else getattr(outputs, "logits", None)
    if not isinstance(found, Tensor):
        raise UserError(
            "the model returned no logits, because it has another fused loss (Liger's, Unsloth's): switch "
            "that off, or use add_fused_loss(model, loss)"
        )
    return found


def aligned(logits: Tensor, labels: Tensor, shift: bool) -> tuple[Tensor, Tensor]:
    """Logits ``[N, C]`` and the labels ``[N]`` that they predict; the logits are not copied.

    Raises:
        UserError: shapes that do not fit.
    """
    if labels.shape != logits.shape[:-1] or labels.is_floating_point():
        raise UserError(
            f"logits {list(logits.shape)} and labels {list(labels.shape)} of {labels.dtype}: expected "
            f"class indices of shape {list(logits.shape[:-1])}; multi-label targets, regression and soft "
            "labels have no right class to reward"
        )
    if shift:
        if labels.dim() != 2:
            raise UserError(f"logits {list(logits.shape)}: expected [B, T, C] where labels are shifted")
        labels = F.pad(labels, (0, 1), value=IGNORED)[..., 1:]
    return logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)
