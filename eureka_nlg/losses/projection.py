"""The last linear layer and the loss together, some rows at a time, without ever storing ``[N, C]``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from eureka_nlg.losses.checks import Options, check_arguments, needs_plain_operations
from eureka_nlg.losses.chunked_projection import Layer, by_chunks, dtype_of_products
from eureka_nlg.losses.kernels import incoming, native, operator, passes_for
from eureka_nlg.losses.logits import for_compiled_pass, loss_and_log_odds
from eureka_nlg.losses.objectives import Objective
from eureka_nlg.losses.projection_operator import traced_loss_and_log_odds
from eureka_nlg.losses.rows import Rows, result_dtype

__all__ = ["loss_and_log_odds_of_projection", "loss_of_projection"]


def loss_of_projection(
    hidden: Tensor,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    target: Tensor,
    objective: Objective,
    options: Options,
) -> Tensor:
    """Loss in the dtype of the logits; see :func:`eureka_nlg.losses.linear_eureka_loss`."""
    loss, _ = loss_and_log_odds_of_projection(hidden, linear_weight, linear_bias, target, objective, options)
    return loss.to(result_dtype(hidden))


def loss_and_log_odds_of_projection(
    hidden: Tensor,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    target: Tensor,
    objective: Objective,
    options: Options,
) -> tuple[Tensor, Tensor]:
    """Loss and detached log-odds ``[N]``, as from :func:`eureka_nlg.losses.logits.loss_and_log_odds`."""
    _check_projection(hidden, linear_weight, linear_bias)
    num_classes = linear_weight.shape[0]
    check_arguments(hidden.new_empty(1).expand(len(hidden), num_classes), target, options)
    if torch.is_autocast_enabled(hidden.device.type) and hidden.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(hidden.device.type)
        hidden, linear_weight = hidden.to(dtype), linear_weight.to(dtype)
        linear_bias = None if linear_bias is None else linear_bias.to(dtype)
    for name, value in (("linear_weight", linear_weight), ("linear_bias", linear_bias)):
        if value is not None and value.dtype != hidden.dtype:
            raise TypeError(f"{name} must have the dtype of hidden, {hidden.dtype}, got {value.dtype}")
    if needs_plain_operations():
        logits = torch.nn.functional.linear(hidden, linear_weight, linear_bias)
        return loss_and_log_odds(logits, target, objective, options)
    compute_dtype = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    rows = Rows.of(target.long(), num_classes, options, compute_dtype)
    if operator.is_traced(hidden, target):
        return traced_loss_and_log_odds(
            Layer(hidden, linear_weight, linear_bias), target.long(), rows, objective, options
        )
    # Batches of sentences hold a lot of padding: without its rows the products are smaller.
    kept = None if rows.kept is None else rows.kept.nonzero().squeeze(-1)
    if kept is not None:
        hidden, rows = hidden[kept], rows.select(kept)._replace(kept=None)
    if options.reduction == "mean" and objective.reward is not None:
        rows = rows.balanced()
    denominator: Tensor | float = 1.0
    if options.reduction == "mean" and rows.weight is None:
        denominator = float(hidden.shape[0])
    elif options.reduction == "mean":
        denominator = rows.denominator(compute_dtype)
    # the mean of no rows is NaN, and its gradient is zero
    scale: Tensor | float
    if isinstance(denominator, Tensor):
        scale = torch.where(denominator == 0.0, 0.0, 1.0 / denominator)
    else:
        scale = 1.0 / denominator if denominator else 0.0
    if not torch.is_grad_enabled():  # otherwise parameters would get gradients computed in vain
        hidden, linear_weight = hidden.detach(), linear_weight.detach()
        linear_bias = None if linear_bias is None else linear_bias.detach()
    with torch.autocast(hidden.device.type, enabled=False):
        loss, log_odds = _ProjectionLoss.apply(
            hidden, linear_weight, linear_bias, rows, objective, scale, options.reduction == "none"
        )
    if isinstance(denominator, Tensor):
        loss = loss + torch.where(denominator == 0.0, torch.nan, torch.zeros_like(denominator))
    elif not denominator:
        loss = loss + torch.nan
    if kept is not None:
        log_odds = log_odds.new_full(target.shape, torch.nan).index_copy_(0, kept, log_odds)
        if options.reduction == "none":
            loss = loss.new_zeros(target.shape).index_copy(0, kept, loss)
    return loss, log_odds


class _ProjectionLoss(torch.autograd.Function):
    """The loss of the layer with its gradients, as one operation of autograd."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        linear_weight: Tensor,
        linear_bias: Tensor | None,
        rows: Rows,
        objective: Objective,
        scale: Tensor | float,
        by_row: bool,
    ) -> tuple[Tensor, Tensor]:
        needed = tuple(ctx.needs_input_grad[:3])
        # Computing the gradients together with the loss saves one product with the weight. It is not possible
        # without reduction, where the incoming gradient differs by row, nor in float16, whose range is too
        # small for gradients without loss scaling. A checkpoint would compute them twice.
        is_kept = incoming.is_kept()
        ctx.is_late = by_row or hidden.dtype == torch.float16 or is_kept is False
        layer = Layer(hidden, linear_weight, linear_bias)
        is_predicted = is_kept and hidden.device.type == "cpu" and not ctx.is_late
        ctx.incoming = incoming.expected() if is_predicted else 1.0
        loss, log_odds, gradients = _losses(
            *(layer, rows, objective, scale * ctx.incoming),
            (False, False, False) if ctx.is_late else needed,
        )
        ctx.rows, ctx.objective, ctx.scale, ctx.is_handed_over = rows, objective, scale, False
        ctx.save_for_backward(*layer, *(() if ctx.is_late else gradients))
        ctx.mark_non_differentiable(log_odds)
        ctx.set_materialize_grads(False)
        if by_row:
            return loss, log_odds
        return loss.sum() * scale, log_odds

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph
            raise RuntimeError(
                "the fused loss has no second derivative: use eureka_loss with impl='reference'"
            )
        hidden, linear_weight, linear_bias, *gradients = (
            ctx.saved_tensors
        )  # once: a checkpoint allows no more
        layer = Layer(hidden, linear_weight, linear_bias)
        if ctx.is_late or ctx.is_handed_over:  # who received the gradients may have changed them
            needed = tuple(ctx.needs_input_grad[:3])
            _, _, gradients = _losses(layer, ctx.rows, ctx.objective, grad_loss * ctx.scale, needed)
        elif incoming.is_as_expected(grad_loss, ctx.incoming):
            ctx.is_handed_over = True  # as in fused.py: only once, as a new tensor on the same memory
            gradients = tuple(None if gradient is None else gradient.data for gradient in gradients)
        else:
            factor = grad_loss / ctx.incoming
            gradients = tuple(
                None if gradient is None else (gradient * factor).to(gradient.dtype) for gradient in gradients
            )
        return *gradients, None, None, None, None


def _losses(
    layer: Layer, rows: Rows, objective: Objective, factor: Tensor | float, needed: tuple[bool, ...]
) -> tuple[Tensor, Tensor, tuple[Tensor | None, ...]]:
    """Losses and log-odds of the rows, and gradients of the sum of the losses times ``factor``.

    Args:
        factor: a number for all rows, or ``[N]``.
        needed: for each part of the layer, whether its gradient is needed.

    Returns:
        Losses ``[N]``, log-odds ``[N]``, and the gradients of the layer, None where not needed.
    """
    hidden = layer.hidden
    dtype = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    loss, log_odds = (torch.empty(hidden.shape[0], dtype=dtype, device=hidden.device) for _ in range(2))
    is_needed = any(needed)
    of, by = None, 1.0
    if not isinstance(factor, Tensor) or factor.dim() == 0:
        options = Options(rows.class_weight, reduction="sum", label_smoothing=rows.label_smoothing)
        one = hidden.new_empty(0, dtype=dtype_of_products(hidden))
        of = for_compiled_pass(one, objective, options)
        by = 1.0 if of is None else float(factor)

    def in_one_call(chunk: slice, logits: Tensor) -> bool:
        assert of is not None
        _, found = native.loss(logits, rows.target[chunk], of, logits if is_needed else None, by)
        log_odds[chunk], loss[chunk] = found[0], found[5]
        return is_needed

    def in_two_passes(chunk: slice, logits: Tensor) -> bool:
        part, passes = rows.select(chunk), passes_for(logits)
        found = passes.row_statistics(logits, part.target, rows.class_weight, rows.label_smoothing > 0.0)
        log_odds[chunk] = found.log_odds
        if not is_needed:
            loss[chunk] = part.loss(objective, found.log_odds, found.uniform)
            return False
        leaves = [value.requires_grad_() for value in found[:2] if value is not None]
        with torch.enable_grad():
            losses = part.loss(objective, *leaves, *[None] * (2 - len(leaves)))
            by_row = isinstance(factor, Tensor) and factor.dim() > 0
            weighted = losses * (factor[chunk] if by_row else factor)  # type: ignore[index]
            slopes = torch.autograd.grad(weighted.sum(), leaves)
        loss[chunk] = losses.detach()
        of_uniform = slopes[1] if len(slopes) > 1 else None
        passes.write_gradient(
            logits, part.target, rows.class_weight, found, slopes[0], of_uniform, out=logits
        )
        return True

    gradients = by_chunks(layer, in_two_passes if of is None else in_one_call, needed)
    return loss, log_odds, gradients


def _check_projection(hidden: Tensor, linear_weight: Tensor, linear_bias: Tensor | None) -> None:
    if hidden.dim() != 2 or linear_weight.dim() != 2 or hidden.shape[1] != linear_weight.shape[1]:
        raise ValueError(
            "hidden and linear_weight must have shapes [N, H] and [C, H], "
            f"got {list(hidden.shape)} and {list(linear_weight.shape)}"
        )
    if linear_bias is not None and linear_bias.shape != linear_weight.shape[:1]:
        raise ValueError(f"linear_bias must have shape [{len(linear_weight)}], got {list(linear_bias.shape)}")
    if not hidden.is_floating_point():
        raise TypeError(f"hidden must be floating, got {hidden.dtype}")
