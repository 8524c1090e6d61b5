"""Output layer and loss in one, for every architecture, so that training never holds logits ``[B, T, C]``.

``model.forward`` is wrapped, and so is the ``forward`` of the output layer. When labels are given, the model
runs as usual, except that its output layer gets the labels and returns the loss instead of logits. The layer
is called as before, so that FSDP gathers its weight and reduces its gradient, and autocast and hooks see it.

A forward pass of three tokens shows what a model does to its logits after the layer. A constant factor is
taken into account; anything else, such as soft capping, is refused.
"""

from __future__ import annotations

import functools
import inspect
import types
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eureka_nlg.errors import UserError
from eureka_nlg.integrations.token_loss import IGNORED
from eureka_nlg.integrations.transformers.probe import dummy_batch, undisturbed
from eureka_nlg.integrations.transformers.trainer_loss import (
    EurekaTrainerLoss,
    base_model,
    decoder_inputs,
    lacks_decoder_inputs,
    shifts_labels,
)

__all__ = ["add_fused_loss"]

_PENDING = "_eureka_pending"


@dataclass
class _Pending:
    """The labels of the current forward pass, and the loss that the output layer computes from them."""

    loss_function: EurekaTrainerLoss
    labels: Tensor  # [B, T], of the same position
    num_items: Tensor | int | None
    training: bool
    scale: float
    loss: Tensor | None = None

    @torch.compiler.disable
    def take(self, head: nn.Linear, hidden: Tensor) -> Tensor:
        """The loss, in a shape that models can treat like logits."""
        if hidden.shape[:-1] != self.labels.shape:
            raise UserError(
                f"the output layer got {list(hidden.shape)} for labels {list(self.labels.shape)}, expected "
                "one position for each label: prompt tuning and logits_to_keep do not work with a fused loss"
            )
        weight, bias = _whole(head.weight), None if head.bias is None else _whole(head.bias)
        if self.scale != 1.0:
            hidden, bias = hidden * self.scale, None if bias is None else bias * self.scale
        self.loss = self.loss_function.of_projection(
            hidden.reshape(-1, hidden.shape[-1]),
            weight,
            bias,
            self.labels.reshape(-1),
            self.num_items,
            self.training,
        )
        return self.loss.reshape(1, 1, 1)


def add_fused_loss(model: Any, loss: EurekaTrainerLoss, *, logits_in_evaluation: bool = False) -> Any:
    """Compute the loss of a language model in its output layer, some tokens at a time.

    ``model(**batch, labels=labels)`` returns the loss and ``logits=None``; without labels, as in
    ``generate``, nothing changes. Call it before PEFT, DDP or FSDP wrap the model, or after.

    Args:
        model: a Hugging Face decoder or encoder-decoder whose output layer is an ``nn.Linear``.
        loss: the loss for this model.
        logits_in_evaluation: return the logits too when the model evaluates, for a ``compute_metrics`` that
            needs them.

    Returns:
        The model.

    Raises:
        UserError: the model has no linear output layer, PEFT has adapted or replaced it, or the model changes
            its logits by more than a constant factor.
    """
    inner = base_model(model)
    name = type(inner).__name__
    if loss.shift != shifts_labels(inner):
        raise UserError(f"{name}: build the loss by EurekaTrainerLoss.for_model(model, ...)")
    original = inner.__dict__.get("forward")
    if original is None:
        function = type(inner).forward
    elif isinstance(original, types.MethodType):
        function = original.__func__
    else:
        raise UserError(
            f"{name}.forward was replaced by {original!r}: switch other fused losses (Liger's, Unsloth's) off"
        )
    if getattr(function, "_is_fused", False):
        raise UserError(f"{name} already has a fused loss: call add_fused_loss once")
    scale = _logit_scale(inner, _checked_head(inner))
    inner.forward = types.MethodType(_fused(function, loss, scale, logits_in_evaluation), inner)
    # the Trainer passes num_items_in_batch on, and so divides by nothing else
    inner.accepts_loss_kwargs = True
    inner._eureka_loss = loss
    return model


def _fused(function: Any, loss: EurekaTrainerLoss, scale: float, logits_in_evaluation: bool) -> Any:
    """Wrap this ``forward``."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def forward(
        self: Any,
        *args: Any,
        num_items_in_batch: Tensor | int | None = None,
        shift_labels: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        if kwargs.get("fused_lm_head"):  # TRL's own fused layer, which lies below this one
            own = {"num_items_in_batch": num_items_in_batch, "shift_labels": shift_labels}
            return function(self, *args, **kwargs, **own)
        given = _by_name(signature, (self, *args), kwargs)
        labels = given.pop("labels", None)
        if labels is None and shift_labels is None:
            return function(self, **given)
        if self.config.is_encoder_decoder and lacks_decoder_inputs(given):
            given["decoder_input_ids"] = decoder_inputs(self, labels)
        if shift_labels is None:
            shift_labels = F.pad(labels, (0, 1), value=IGNORED)[..., 1:] if loss.shift else labels
        if logits_in_evaluation and not self.training:
            outputs = function(self, **given)
            logits = outputs.logits
            plain = loss.of_logits(
                logits.reshape(-1, logits.shape[-1]), shift_labels.reshape(-1), num_items_in_batch, False
            )
            return _with_loss(self, outputs, plain, loss.aux_loss_coefficient, logits)
        if "use_cache" in signature.parameters and given.get("use_cache") is None:
            given["use_cache"] = False
        pending = _Pending(loss, shift_labels, num_items_in_batch, self.training, scale)
        head = _checked_head(self)
        head.__dict__[_PENDING] = pending
        try:
            outputs = function(self, **given)
        finally:
            head.__dict__.pop(_PENDING, None)
        if pending.loss is None:
            raise RuntimeError(f"{type(self).__name__} did not call its output layer: no fused loss possible")
        return _with_loss(self, outputs, pending.loss, loss.aux_loss_coefficient, None)

    forward._is_fused = True  # type: ignore[attr-defined]
    return forward


def _by_name(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call of a method, without ``self``, by their names."""
    given = signature.bind(*args, **kwargs).arguments
    given.pop(next(iter(signature.parameters)))
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            given |= given.pop(parameter.name, {})
    return dict(given)


def _head_forward(self: nn.Linear, input: Tensor) -> Tensor:
    pending = self.__dict__.get(_PENDING)
    return F.linear(input, self.weight, self.bias) if pending is None else pending.take(self, input)


def _checked_head(model: Any) -> nn.Linear:
    """The output layer, looked up anew each time as it may be replaced, with our ``forward``."""
    head = model.get_output_embeddings()
    name = type(model).__name__
    if head is None:
        raise UserError(f"{name} has no output layer: expected a language model")
    if hasattr(head, "base_layer") or hasattr(head, "modules_to_save"):
        raise UserError(
            f"{name}: PEFT adapts the output layer ({type(head).__name__}), which the fused loss would "
            "ignore: leave it out of target_modules and modules_to_save, or use "
            "Trainer(compute_loss_func=loss)"
        )
    if not isinstance(head, nn.Linear) or type(head).forward is not nn.Linear.forward:
        raise UserError(f"{name}: the output layer is a {type(head).__name__}, expected an nn.Linear")
    own = head.__dict__.get("forward")
    if own is None:
        head.__dict__["forward"] = types.MethodType(_head_forward, head)
    elif torch.compiler.is_compiling():
        return head  # torch.compile of torch 2.6 does not see that a method is this function
    elif getattr(own, "__func__", None) is not _head_forward:
        raise UserError(f"{name}: the forward of the output layer was replaced (device_map, a quantiser?)")
    return head


def _logit_scale(model: Any, head: nn.Linear) -> float:
    """The factor between the output layer's values and the logits.

    Raises:
        UserError: the logits differ by more than a factor.
    """
    known: list[Tensor] = []

    def instead(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        # values that any soft capping or shift would change
        values = torch.linspace(-64.0, 64.0, output.shape[-1], device=output.device).to(output.dtype)
        known.append(values.expand_as(output).clone())
        return known[-1].clone()

    handle = head.register_forward_hook(instead)
    try:
        with undisturbed(model):
            logits = model(**dummy_batch(model, labels=False)).logits
    finally:
        handle.remove()
    name = type(model).__name__
    if len(known) != 1 or known[0].shape != logits.shape:
        raise UserError(
            f"{name}: its logits are not the values of its output layer, so no fused loss is possible: use "
            "Trainer(compute_loss_func=loss)"
        )
    before, after = known[0].double(), logits.double()
    if torch.equal(before, after):
        return 1.0
    measured = float((before * after).sum() / (before * before).sum())
    tolerance = 1e-2 if logits.element_size() == 2 else 1e-5
    if measured <= 0.0 or not torch.allclose(after, measured * before, rtol=tolerance, atol=tolerance):
        capping = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
        reason = f"soft capping at {capping}" if capping else "by more than a factor"
        raise UserError(
            f"{name} changes the logits after its output layer ({reason}), so no fused loss is possible: use "
            "Trainer(compute_loss_func=loss)"
        )
    # The factor in the config is exact, the measured one is rounded.
    config = model.config.get_text_config().to_dict().values()
    numbers = [float(value) for value in config if isinstance(value, float | int) and value]
    near = min([*numbers, *(1.0 / number for number in numbers)], key=lambda known: abs(known - measured))
    return near if abs(near / measured - 1.0) < tolerance else measured


def _whole(value: Any) -> Tensor:
    """The whole parameter, where FSDP2 has sharded it; its gradient is the mean over the ranks."""
    if not hasattr(value, "full_tensor"):
        return value
    from torch.distributed.tensor import Partial

    return value.full_tensor(grad_placements=[Partial("avg")] * value.device_mesh.ndim)


def _with_loss(
    model: Any, outputs: Any, loss: Tensor, aux_loss_coefficient: float, logits: Tensor | None
) -> Any:
    if isinstance(outputs, tuple):
        return (loss, *([] if logits is None else [logits]), *outputs[1:])
    aux_loss = outputs.get("aux_loss")
    if aux_loss is not None and aux_loss_coefficient and model.training:
        loss = loss + aux_loss_coefficient * aux_loss.to(loss.device)
    kept = {name: value for name, value in outputs.items() if name not in ("loss", "logits")}
    return type(outputs)(loss=loss, logits=logits, **kept)
