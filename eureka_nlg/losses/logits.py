"""Losses of logits: accepts all shapes of logits and chooses the implementation."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from eureka_nlg.losses.checks import Options, check_arguments, is_transformed, needs_plain_operations
from eureka_nlg.losses.kernels import (
    CompiledLoss,
    LossOfRows,
    fused_log_odds,
    fused_loss,
    native,
    operator,
    reference_log_odds,
)
from eureka_nlg.losses.objective import Objective
from eureka_nlg.losses.rows import Rows, reduced, result_dtype

__all__ = ["for_compiled_pass", "loss_and_log_odds", "loss_of_logits", "loss_of_rows"]


def loss_of_logits(input: Tensor, target: Tensor, objective: Objective, options: Options) -> Tensor:
    """Loss of logits in their dtype, or float32 under autocast; see :func:`eureka_nlg.losses.eureka_loss`."""
    loss, _ = loss_and_log_odds(input, target, objective, options)
    return loss.to(result_dtype(input))


def loss_and_log_odds(
    input: Tensor, target: Tensor, objective: Objective, options: Options
) -> tuple[Tensor, Tensor]:
    """Loss of logits, and the log-odds of the targets, whose ``logsigmoid`` is ``log p``.

    Args:
        input: logits ``[N, C]``, ``[N, C, d1, ...]`` or ``[C]``, floating.
        target: ``[N]``, ``[N, d1, ...]`` or ``[]``, integer.
        objective: the loss as a function of the log-odds.
        options: the arguments that all losses share.

    Returns:
        The loss, reduced or in the shape of ``target``; and the detached log-odds in the shape of
        ``target``, NaN in ignored rows. Both are float64 for float64 logits and float32 otherwise.
    """
    check_arguments(input, target, options)
    class_dim = 1 if input.dim() > 1 else 0
    num_classes = input.shape[class_dim]
    logits = input if input.dim() == 2 else input.movedim(class_dim, -1).reshape(target.numel(), num_classes)
    labels = target if target.dim() == 1 else target.reshape(-1)
    labels = labels if labels.dtype == torch.int64 else labels.long()
    impl = _implementation(options)
    of = for_compiled_pass(logits, objective, options) if impl == "fused" else None
    if of is not None:
        loss, log_odds = fused_loss(
            logits, labels, of, lambda again: _by_log_odds(again, labels, objective, options, "reference")[0]
        )
    else:
        loss, log_odds = _by_log_odds(logits, labels, objective, options, impl)
    if target.dim() != 1:
        log_odds = log_odds.reshape(target.shape)
        loss = loss.reshape(target.shape) if options.reduction == "none" else loss
    return loss, log_odds


def loss_of_rows(
    input: Tensor,
    target: Tensor,
    of_rows: Callable[[Tensor, Tensor, str], tuple[Tensor, Tensor | None]],
    options: Options,
) -> Tensor:
    """A loss that is not a function of the target's log-odds alone.

    Args:
        input, target: as in :func:`loss_and_log_odds`.
        of_rows: called with logits ``[N, C]``, targets ``[N]`` (negative in ignored rows) and the
            implementation, "fused" or "reference". Returns the terms ``[N]``, which class weights and label
            smoothing act on, and ``[N]`` to be added to them unchanged, or None. Both are float64 for float64
            logits and float32 otherwise; their values in ignored rows do not matter.
        options: the arguments that all losses share.

    Returns:
        The loss, reduced or in the shape of ``target``, in the dtype of ``input`` (float32 under autocast).
    """
    check_arguments(input, target, options)
    class_dim = 1 if input.dim() > 1 else 0
    num_classes = input.shape[class_dim]
    logits = input if input.dim() == 2 else input.movedim(class_dim, -1).reshape(target.numel(), num_classes)
    impl = _implementation(options)
    if is_transformed(logits, target):
        impl = "reference"  # its operations can be traced and transformed
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    if options.label_smoothing > 0.0:
        logits = logits.to(dtype)  # two gradients are added up: half precision is rounded after that
    rows = Rows.of(target.reshape(-1).long(), num_classes, options, dtype)
    targets = rows.only_kept(rows.target, -1)
    term, added = of_rows(logits, targets, impl)
    if options.reduction == "mean" and added is not None:
        rows = rows.balanced()
    uniform = None
    if options.label_smoothing > 0.0:
        if impl == "reference":
            _, uniform = reference_log_odds(rows.cleaned(logits), rows.target, rows.class_weight, True)
        else:
            _, uniform = fused_log_odds(logits, targets, rows.class_weight, True)
    loss = rows.weighted(term, torch.where(term == math.inf, 0.0, 0.0 * term), uniform)
    loss = rows.only_kept(loss if added is None else loss + added, 0.0)
    result = reduced(loss, rows, options.reduction)
    if options.reduction == "none":
        result = result.reshape(target.shape)
    return result.to(result_dtype(input))


def _implementation(options: Options) -> str:
    """The implementation to use, "fused" or "reference"."""
    weight_is_learned = (
        options.label_smoothing > 0.0
        and options.weight is not None
        and options.weight.requires_grad
        and torch.is_grad_enabled()
    )
    if options.impl == "auto":
        return "reference" if weight_is_learned or needs_plain_operations() else "fused"
    if options.impl == "fused" and weight_is_learned:
        raise ValueError(
            "impl='fused' has no gradient for weight with label smoothing: give impl='reference'"
        )
    return options.impl


def for_compiled_pass(logits: Tensor, objective: Objective, options: Options) -> LossOfRows | None:
    """The arguments of the compiled pass; None if it does not know the loss or cannot read these tensors.

    Only the dtype and the device of ``logits`` matter.
    """
    loss, weight = objective.compiled, options.weight
    if loss is None or logits.device.type != "cpu" or not native.supports(logits) or is_transformed(logits):
        return None
    form, encouragement, halted = loss
    for tensor in (weight, halted, encouragement):
        if isinstance(tensor, Tensor) and (
            tensor.device.type != "cpu" or (tensor.requires_grad and torch.is_grad_enabled())
        ):
            return None
    if isinstance(encouragement, Tensor):
        encouragement = _in_float32(encouragement)
    return LossOfRows(
        CompiledLoss(form, encouragement, None if halted is None else halted.contiguous()),
        None if weight is None else _in_float32(weight),
        options.ignore_index,
        options.reduction,
        options.label_smoothing,
    )


def _in_float32(tensor: Tensor) -> Tensor:
    if tensor.dtype == torch.float32 and tensor.is_contiguous() and not tensor.requires_grad:
        return tensor
    return tensor.detach().to(torch.float32).contiguous()


def _by_log_odds(
    logits: Tensor, target: Tensor, objective: Objective, options: Options, impl: str
) -> tuple[Tensor, Tensor]:
    """Loss and detached log-odds; between the two passes over the logits, torch computes the loss."""
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    rows = Rows.of(target, logits.shape[1], options, dtype)
    if options.reduction == "mean" and objective.reward is not None:
        rows = rows.balanced()
    needs_uniform = options.label_smoothing > 0.0
    if impl == "reference":
        clean = rows.cleaned(logits)
        log_odds, uniform = reference_log_odds(clean, rows.target, rows.class_weight, needs_uniform)
    elif operator.is_traced(logits, target):
        log_odds, uniform = operator.log_odds(
            logits, target, options.ignore_index, rows.class_weight, needs_uniform
        )
    else:
        targets = rows.only_kept(rows.target, -1)
        log_odds, uniform = fused_log_odds(logits, targets, rows.class_weight, needs_uniform)
    loss = reduced(rows.loss(objective, log_odds, uniform), rows, options.reduction)
    return loss, rows.only_kept(log_odds.detach(), torch.nan)
