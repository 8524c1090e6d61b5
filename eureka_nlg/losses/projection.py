"""The last linear layer and the loss together, some rows at a time, so that ``[N, C]`` is never there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eureka_nlg.losses.checks import Options, check_arguments
from eureka_nlg.losses.kernels import RowStatistics, operator, passes_for
from eureka_nlg.losses.kernels.passes import check_target
from eureka_nlg.losses.objectives import Objective
from eureka_nlg.losses.rows import Rows, reduced, result_dtype

__all__ = ["loss_and_log_odds_of_projection", "loss_of_projection"]

# Logits held at once. Fewer rows would read and write the gradient of the weight more often, which counts
# when that is larger than this.
_CHUNK_BYTES = 1 << 25
# Rows of zeros make up a multiple of this for oneDNN, which compiles a 16-bit product anew for each number of
# rows (5 ms on a core with AMX, where the product takes 1) and forgets the first when it has a thousand.
_ROWS_TOGETHER = 32


def loss_of_projection(
    hidden: Tensor,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    target: Tensor,
    objective: Objective,
    options: Options,
) -> Tensor:
    """Loss in the dtype of the logits. See :func:`eureka_nlg.losses.linear_eureka_loss`."""
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
    """Loss and detached log-odds ``[N]``, as :func:`eureka_nlg.losses.rows.loss_and_log_odds`."""
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
    compute_dtype = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    rows = Rows.of(target.long(), num_classes, options, compute_dtype)
    if operator.is_traced(hidden, target):
        return _traced(_Layer(hidden, linear_weight, linear_bias), target.long(), rows, objective, options)
    # Padding is a good part of a batch of sentences, and a multiplication less for each of its rows.
    kept = None if rows.kept is None else rows.kept.nonzero().squeeze(-1)
    if kept is not None:
        hidden, rows = hidden[kept], rows.select(kept)._replace(kept=None)
    if options.reduction == "mean" and objective.reward is not None:
        rows = rows.balanced()
    denominator = rows.denominator(compute_dtype) if options.reduction == "mean" else None
    # the mean of nothing is NaN, its gradient zero
    scale = None if denominator is None else torch.where(denominator == 0.0, 0.0, 1.0 / denominator)
    if not torch.is_grad_enabled():  # else the gradients would be computed for nothing
        hidden, linear_weight = hidden.detach(), linear_weight.detach()
        linear_bias = None if linear_bias is None else linear_bias.detach()
    with torch.autocast(hidden.device.type, enabled=False):
        loss, log_odds = _ProjectionLoss.apply(
            hidden, linear_weight, linear_bias, rows, objective, scale, options.reduction == "none"
        )
    if denominator is not None:
        loss = loss + torch.where(denominator == 0.0, torch.nan, torch.zeros_like(denominator))
    if kept is not None:
        log_odds = log_odds.new_full(target.shape, torch.nan).index_copy_(0, kept, log_odds)
        if options.reduction == "none":
            loss = loss.new_zeros(target.shape).index_copy(0, kept, loss)
    return loss, log_odds


class _ProjectionLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        linear_weight: Tensor,
        linear_bias: Tensor | None,
        rows: Rows,
        objective: Objective,
        scale: Tensor | None,
        by_row: bool,
    ) -> tuple[Tensor, Tensor]:
        needed = tuple(ctx.needs_input_grad[:3])
        # Gradients along with the loss save one product with the weight. Not so where each row's share in the
        # result is not known yet, nor in float16, which cannot hold gradients before they are loss-scaled.
        ctx.is_late = by_row or hidden.dtype == torch.float16
        layer = _Layer(hidden, linear_weight, linear_bias)
        loss, log_odds, gradients = _losses(
            layer, rows, objective, scale, (False, False, False) if ctx.is_late else needed
        )
        ctx.rows, ctx.objective, ctx.scale = rows, objective, scale
        ctx.save_for_backward(*(layer if ctx.is_late else gradients))
        ctx.mark_non_differentiable(log_odds)
        if by_row:
            return loss, log_odds
        return (loss.sum() if scale is None else loss.sum() * scale), log_odds

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph
            raise RuntimeError(
                "the fused loss has no second derivative: use eureka_loss with impl='reference'"
            )
        if ctx.is_late:
            layer = _Layer(*ctx.saved_tensors)
            factor = grad_loss if ctx.scale is None else grad_loss * ctx.scale
            _, _, gradients = _losses(layer, ctx.rows, ctx.objective, factor, tuple(ctx.needs_input_grad[:3]))
        else:
            gradients = tuple(
                None if gradient is None else (gradient * grad_loss).to(gradient.dtype)
                for gradient in ctx.saved_tensors
            )
        return *gradients, None, None, None, None


class _Layer(NamedTuple):
    hidden: Tensor
    weight: Tensor
    bias: Tensor | None


def _losses(
    layer: _Layer, rows: Rows, objective: Objective, factor: Tensor | None, needed: tuple[bool, ...]
) -> tuple[Tensor, Tensor, tuple[Tensor | None, ...]]:
    """Losses and log-odds of the rows, and the needed gradients of the sum of the losses times ``factor``."""
    dtype = torch.float64 if layer.hidden.dtype == torch.float64 else torch.float32
    loss, log_odds = (
        torch.empty(len(layer.hidden), dtype=dtype, device=layer.hidden.device) for _ in range(2)
    )

    def slopes_of(chunk: slice, found: RowStatistics) -> _Slopes | None:
        part = rows.select(chunk)
        log_odds[chunk] = found.log_odds
        if not any(needed):
            loss[chunk] = part.loss(objective, found.log_odds, found.uniform)
            return None
        leaves = [value.requires_grad_() for value in found[:2] if value is not None]
        with torch.enable_grad():
            losses = part.loss(objective, *leaves, *[None] * (2 - len(leaves)))
            weighted = losses if factor is None else losses * (factor[chunk] if factor.dim() else factor)
            slopes = torch.autograd.grad(weighted.sum(), leaves)
        loss[chunk] = losses.detach()
        return slopes[0], slopes[1] if len(slopes) > 1 else None

    with_uniform = rows.label_smoothing > 0.0
    gradients = _by_chunks(layer, rows.target, rows.class_weight, with_uniform, slopes_of, needed)
    return loss, log_odds, gradients


_Slopes = tuple[Tensor, "Tensor | None"]  # of the loss in the log-odds and in the uniform cross-entropy


def _by_chunks(
    layer: _Layer,
    target: Tensor,
    class_weight: Tensor | None,
    with_uniform: bool,
    slopes_of: Callable[[slice, RowStatistics], _Slopes | None],
    needed: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    """Make the logits of some rows at a time, ask for the slopes there, and gather the needed gradients.

    Args:
        target: ``[N]`` int64, -1 for a row to leave out.
        slopes_of: called with the rows of a chunk and what is found out about them; None for no gradients.
    """
    hidden, weight, bias = layer
    num_rows, num_classes = len(hidden), len(weight)
    dtype = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    together = _ROWS_TOGETHER if hidden.device.type == "cpu" and hidden.element_size() == 2 else 1
    of_hidden = hidden.new_empty(_rounded_up(num_rows, together), hidden.shape[1]) if needed[0] else None
    of_weight = torch.zeros_like(weight) if needed[1] and not num_rows else None
    of_bias = torch.zeros(num_classes, dtype=dtype, device=hidden.device) if needed[2] else None
    chunk_bytes = max(_CHUNK_BYTES, weight.numel() * weight.element_size())
    most_rows = chunk_bytes // (num_classes * hidden.element_size() or 1) // together * together
    size = max(together, min(_rounded_up(num_rows, together), most_rows))
    buffer = hidden.new_empty(size, num_classes)
    for start in range(0, num_rows, size):
        chunk = slice(start, min(start + size, num_rows))
        inputs, labels = hidden[chunk], target[chunk]
        added = -len(inputs) % together
        if added:
            inputs = torch.nn.functional.pad(inputs, (0, 0, 0, added))
        padded = buffer[: len(inputs)]
        if bias is None:
            torch.mm(inputs, weight.t(), out=padded)
        else:
            torch.addmm(bias, inputs, weight.t(), out=padded)
        logits = padded[: len(inputs) - added]
        passes = passes_for(logits)
        found = passes.row_statistics(logits, labels, class_weight, with_uniform)
        slopes = slopes_of(chunk, found)
        if slopes is None:
            continue
        passes.write_gradient(logits, labels, class_weight, found, *slopes, out=logits)
        padded[len(logits) :] = 0.0
        if of_hidden is not None:
            torch.mm(padded, weight, out=of_hidden[start : start + len(padded)])
        if needed[1]:
            if of_weight is None:  # Sums over chunks are kept in the dtype of the computation.
                of_weight = (padded.t() @ inputs).to(weight.dtype if num_rows <= size else dtype)
            elif of_weight.dtype == padded.dtype:
                of_weight.addmm_(padded.t(), inputs)
            else:
                of_weight += padded.t() @ inputs
        if of_bias is not None:
            of_bias += logits.sum(0, dtype=dtype)
    return (
        None if of_hidden is None else of_hidden[:num_rows],
        None if of_weight is None else of_weight.to(weight.dtype),
        None if of_bias is None or bias is None else of_bias.to(bias.dtype),
    )


# -- the same as operators, for what torch traces ------------------------------------------------------------

_ARGUMENTS = (
    "Tensor hidden, Tensor weight, Tensor? bias, Tensor target, int ignore_index, Tensor? class_weight"
)
torch.library.define("eureka_nlg::linear_log_odds", f"({_ARGUMENTS}, bool with_uniform) -> (Tensor, Tensor)")
torch.library.define(
    "eureka_nlg::linear_log_odds_backward",
    f"({_ARGUMENTS}, Tensor grad_log_odds, Tensor? grad_uniform, bool[] needed) -> (Tensor, Tensor, Tensor)",
)


def _traced(
    layer: _Layer, target: Tensor, rows: Rows, objective: Objective, options: Options
) -> tuple[Tensor, Tensor]:
    """The objective cannot be part of an operator, so the backward pass makes the logits once more."""
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

    def keep(chunk: slice, found: RowStatistics) -> None:
        log_odds[chunk] = found.log_odds
        if found.uniform is not None:
            uniform[chunk] = found.uniform

    targets, nothing = operator.left_out(target, ignore_index), (False, False, False)
    with torch.autocast(hidden.device.type, enabled=False):
        _by_chunks(_Layer(hidden, weight, bias), targets, class_weight, with_uniform, keep, nothing)
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
    def slopes_of(chunk: slice, found: RowStatistics) -> _Slopes:
        return grad_log_odds[chunk], None if grad_uniform is None else grad_uniform[chunk]

    targets = operator.left_out(target, ignore_index)
    with torch.autocast(hidden.device.type, enabled=False):
        gradients = _by_chunks(
            _Layer(hidden, weight, bias),
            targets,
            class_weight,
            grad_uniform is not None,
            slopes_of,
            tuple(needed),
        )
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


def _rounded_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


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
