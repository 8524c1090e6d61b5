"""The last linear layer and the log-odds as torch operators, which tracing keeps as they are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from eureka_nlg.losses.checks import Options
from eureka_nlg.losses.chunked_projection import Layer, by_chunks
from eureka_nlg.losses.kernels import operator, passes_for
from eureka_nlg.losses.kernels.passes import check_target
from eureka_nlg.losses.objectives import Objective
from eureka_nlg.losses.rows import Rows, reduced

__all__ = ["traced_loss_and_log_odds"]

_ARGUMENTS = (
    "Tensor hidden, Tensor weight, Tensor? bias, Tensor target, int ignore_index, Tensor? class_weight"
)
torch.library.define("eureka_nlg::linear_log_odds", f"({_ARGUMENTS}, bool with_uniform) -> (Tensor, Tensor)")
torch.library.define(
    "eureka_nlg::linear_log_odds_backward",
    f"({_ARGUMENTS}, Tensor grad_log_odds, Tensor? grad_uniform, bool[] needed) -> (Tensor, Tensor, Tensor)",
)


def traced_loss_and_log_odds(
    layer: Layer, target: Tensor, rows: Rows, objective: Objective, options: Options
) -> tuple[Tensor, Tensor]:
    """Loss and log-odds when torch traces the call, as :func:`.projection.loss_and_log_odds_of_projection`.

    An operator cannot contain the objective, a Python function. So the operator computes the log-odds, and
    its backward pass computes the logits a second time.
    """
    with_uniform = options.label_smoothing > 0.0
    log_odds, uniform = torch.ops.eureka_nlg.linear_log_odds(
        *layer, target, options.ignore_index, rows.class_weight, with_uniform
    )
    if options.reduction == "mean" and objective.reward is not None:
        rows = rows.balanced()
    loss = reduced(rows.loss(objective, log_odds, uniform if with_uniform else None), rows, options.reduction)
    return loss, rows.only_kept(log_odds.detach(), torch.nan)


@torch.library.impl("eureka_nlg::linear_log_odds", "default")
def _(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    ignore_index: int,
    class_weight: Tensor | None,
    with_uniform: bool,
) -> tuple[Tensor, Tensor]:
    check_target(torch.where(target == ignore_index, 0, target), len(weight))
    log_odds, uniform = _shapes(hidden, with_uniform)

    targets = operator.left_out(target, ignore_index)

    def keep(chunk: slice, logits: Tensor) -> bool:
        found = passes_for(logits).row_statistics(logits, targets[chunk], class_weight, with_uniform)
        log_odds[chunk] = found.log_odds
        if found.uniform is not None:
            uniform[chunk] = found.uniform
        return False

    with torch.autocast(hidden.device.type, enabled=False):
        by_chunks(Layer(hidden, weight, bias), keep, (False, False, False))
    return log_odds, uniform


@torch.library.register_fake("eureka_nlg::linear_log_odds")
def _(hidden: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
    return _shapes(hidden, arguments[-1])


@torch.library.impl("eureka_nlg::linear_log_odds_backward", "default")
def _(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    ignore_index: int,
    class_weight: Tensor | None,
    grad_log_odds: Tensor,
    grad_uniform: Tensor | None,
    needed: list[bool],
) -> tuple[Tensor, ...]:
    targets, with_uniform = operator.left_out(target, ignore_index), grad_uniform is not None

    def to_gradient(chunk: slice, logits: Tensor) -> bool:
        passes = passes_for(logits)
        found = passes.row_statistics(logits, targets[chunk], class_weight, with_uniform)
        slopes = grad_log_odds[chunk], None if grad_uniform is None else grad_uniform[chunk]
        passes.write_gradient(logits, targets[chunk], class_weight, found, *slopes, out=logits)
        return True

    with torch.autocast(hidden.device.type, enabled=False):
        gradients = by_chunks(Layer(hidden, weight, bias), to_gradient, tuple(needed))
    return tuple(hidden.new_empty(0) if gradient is None else gradient for gradient in gradients)


@torch.library.register_fake("eureka_nlg::linear_log_odds_backward")
def _(hidden: Tensor, weight: Tensor, bias: Tensor | None, *arguments: Any) -> tuple[Tensor, ...]:
    return tuple(
        torch.empty_like(value, memory_format=torch.contiguous_format)
        if is_needed and value is not None
        else hidden.new_empty(0)
        for value, is_needed in zip((hidden, weight, bias), arguments[-1])
    )


def _shapes(hidden: Tensor, with_uniform: bool) -> tuple[Tensor, Tensor]:
    dtype = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    log_odds = hidden.new_empty(hidden.shape[:1], dtype=dtype)
    return log_odds, torch.empty_like(log_odds) if with_uniform else log_odds.new_empty(0)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    hidden, weight, bias, target, ctx.ignore_index, class_weight, ctx.with_uniform = inputs
    ctx.save_for_backward(hidden, weight, bias, target, class_weight)


def _backward(ctx: Any, of_log_odds: Tensor, of_uniform: Tensor) -> tuple[Tensor | None, ...]:
    hidden, weight, bias, target, class_weight = ctx.saved_tensors
    needed = list(ctx.needs_input_grad[:3])
    gradients = torch.ops.eureka_nlg.linear_log_odds_backward(
        *(hidden, weight, bias, target, ctx.ignore_index, class_weight),
        *(of_log_odds, of_uniform if ctx.with_uniform else None, needed),
    )
    return *(one if is_needed else None for one, is_needed in zip(gradients, needed)), None, None, None, None


torch.library.register_autograd("eureka_nlg::linear_log_odds", _backward, setup_context=_keep)
