"""The loss as a model's ``loss_function``, and how to put it into a model."""

from __future__ import annotations

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from eureka_nlg.errors import UserError
from eureka_nlg.integrations.token_loss import IGNORED, TokenLoss
from eureka_nlg.integrations.transformers.fused import add_fused_loss
from eureka_nlg.integrations.transformers.probe import dummy_batch, undisturbed
from eureka_nlg.integrations.transformers.trainer_loss import EurekaTrainerLoss, base_model, shifts_labels

__all__ = ["CausalLMLoss", "apply_eureka"]


class CausalLMLoss:
    """The Eureka loss with the signature of transformers' own loss of causal language models.

    It can be pickled. ``from_pretrained`` does not restore it: after that, set ``model.loss_function =
    CausalLMLoss(loss)`` again.

    Args:
        loss: the loss of tokens.
        model: if given, the loss is plain cross-entropy while this model is in eval mode, and not only where
            no gradients are recorded.
    """

    def __init__(self, loss: TokenLoss, model: Any = None) -> None:
        self.loss = loss
        self.model = model
        self.calls = 0

    @torch.compiler.disable
    def __call__(
        self,
        logits: Tensor,
        labels: Tensor | None = None,
        vocab_size: int | None = None,
        num_items_in_batch: Tensor | int | None = None,
        ignore_index: int = IGNORED,
        shift_labels: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Loss of logits ``[B, T, C]`` and labels ``[B, T]``, or of shifted ``shift_labels``.

        The arguments are those of transformers' ``ForCausalLMLoss``, which ignores others too.
        """
        self.calls += 1
        if shift_labels is None:
            if labels is None:
                raise UserError("a loss of a causal language model needs labels or shift_labels")
            shift_labels = F.pad(labels, (0, 1), value=IGNORED if labels is None else ignore_index)[..., 1:]
        if ignore_index != IGNORED:
            shift_labels = torch.where(shift_labels == ignore_index, IGNORED, shift_labels)
        training = self.model is None or self.model.training
        return self.loss.of_logits(
            logits.reshape(-1, logits.shape[-1]), shift_labels.reshape(-1), num_items_in_batch, training
        )


def apply_eureka(model: Any, loss: EurekaTrainerLoss, *, fused: bool = False) -> Any:
    """Put the loss into a model, so that any trainer trains with it.

    Args:
        model: a Hugging Face model, with or without PEFT's wrapper.
        loss: the loss for this model; see :meth:`EurekaTrainerLoss.for_model`.
        fused: compute it in the output layer, by :func:`add_fused_loss`; works for encoder-decoders too.

    Returns:
        The model.

    Raises:
        UserError: the model computes its loss itself, so that it would still train with cross-entropy.
    """
    if fused:
        return add_fused_loss(model, loss)
    inner = base_model(model)
    name = type(inner).__name__
    installed = CausalLMLoss(loss, inner)
    if not shifts_labels(inner) or not _calls_loss_function(inner, installed):
        raise UserError(
            f"{name} computes its loss itself and does not call model.loss_function, so it would still train "
            "with cross-entropy: use Trainer(compute_loss_func=loss), or apply_eureka(model, loss, "
            "fused=True)"
        )
    inner.loss_function = installed
    inner._eureka_loss = loss
    return model


def _calls_loss_function(model: Any, installed: CausalLMLoss) -> bool:
    if any(parameter.is_meta for parameter in model.parameters()):
        return "self.loss_function(" in inspect.getsource(type(model).forward)
    before, model.loss_function = model.__dict__.get("_loss_function"), installed
    try:
        with undisturbed(model):
            model(**dummy_batch(model, labels=True))
        return installed.calls > 0
    finally:
        installed.calls = 0
        if before is None:
            del model._loss_function
        else:
            model.loss_function = before
