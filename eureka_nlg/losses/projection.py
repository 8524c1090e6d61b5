"""The last linear layer and the loss together, some rows at a time, so that ``[N, C]`` is never there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eureka_nlg.losses.checks import Options, check_arguments
from eureka_nlg.losses.kernels import incoming, native, operator, passes_for
from eureka_nlg.losses.kernels.passes import check_target
from eureka_nlg.losses.objectives import Objective
from eureka_nlg.losses.rows import Rows, for_compiled_pass, reduced, result_dtype

__all__ = ["loss_and_log_odds_of_projection", "loss_of_projection"]

# Logits held at once. Fewer rows would read and write the gradient of the weight more often, which counts
# when that is larger than this.
_CHUNK_BYTES = 1 << 25
# Rows of zeros make up a multiple of this for oneDNN, which compiles a 16-bit product anew for each number of
# rows (5 ms on a core with AMX, where the product takes 1) and forgets the first when it has a thousand.
_ROWS_TOGETHER = 32
# Of the weight in float32 at once, where its products are computed in that.
_PIECE_BYTES = 1 << 22


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
    denominator: Tensor | float = 1.0
    if options.reduction == "mean" and rows.weight is None:
        denominator = float(hidden.shape[0])
    elif options.reduction == "mean":
        denominator = rows.denominator(compute_dtype)
    # the mean of nothing is NaN, its gradient zero
    scale: Tensor | float
    if isinstance(denominator, Tensor):
        scale = torch.where(denominator == 0.0, 0.0, 1.0 / denominator)
    else:
        scale = 1.0 / denominator if denominator else 0.0
    if not torch.is_grad_enabled():  # else the gradients would be computed for nothing
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
        # Gradients along with the loss save one product with the weight. Not so where each row's share in the
        # result is not known yet, nor in float16, which cannot hold gradients before they are loss-scaled.
        ctx.is_late = by_row or hidden.dtype == torch.float16
        layer = _Layer(hidden, linear_weight, linear_bias)
        ctx.incoming = incoming.expected() if hidden.device.type == "cpu" and not ctx.is_late else 1.0
        loss, log_odds, gradients = _losses(
            *(layer, rows, objective, scale * ctx.incoming),
            (False, False, False) if ctx.is_late else needed,
        )
        ctx.rows, ctx.objective, ctx.scale, ctx.is_handed_over = rows, objective, scale, False
        ctx.save_for_backward(*(layer if ctx.is_late else gradients))
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
        if ctx.is_late:
            layer = _Layer(*ctx.saved_tensors)
            needed = tuple(ctx.needs_input_grad[:3])
            _, _, gradients = _losses(layer, ctx.rows, ctx.objective, grad_loss * ctx.scale, needed)
        elif incoming.is_as_expected(grad_loss, ctx.incoming) and not ctx.is_handed_over:
            ctx.is_handed_over = True  # as in fused.py: once, and as another tensor on the same memory
            gradients = tuple(None if gradient is None else gradient.data for gradient in ctx.saved_tensors)
        else:
            factor = grad_loss / ctx.incoming
            gradients = tuple(
                None if gradient is None else (gradient * factor).to(gradient.dtype)
                for gradient in ctx.saved_tensors
            )
        return *gradients, None, None, None, None


class _Layer(NamedTuple):
    hidden: Tensor
    weight: Tensor
    bias: Tensor | None


def _losses(
    layer: _Layer, rows: Rows, objective: Objective, factor: Tensor | float, needed: tuple[bool, ...]
) -> tuple[Tensor, Tensor, tuple[Tensor | None, ...]]:
    """Losses and log-odds of the rows, and the needed gradients of the sum of the losses times ``factor``."""
    hidden = layer.hidden
    dtype = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    loss, log_odds = (torch.empty(hidden.shape[0], dtype=dtype, device=hidden.device) for _ in range(2))
    is_needed = any(needed)
    of, by = None, 1.0
    if not isinstance(factor, Tensor) or factor.dim() == 0:
        options = Options(rows.class_weight, reduction="sum", label_smoothing=rows.label_smoothing)
        one = hidden.new_empty(0, dtype=_dtype_of_products(hidden))
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

    gradients = _by_chunks(layer, in_two_passes if of is None else in_one_call, needed)
    return loss, log_odds, gradients


def _by_chunks(
    layer: _Layer, to_gradient: Callable[[slice, Tensor], bool], needed: tuple[bool, ...]
) -> tuple[Tensor | None, ...]:
    """Make the logits of some rows at a time and gather the needed gradients.

    Args:
        to_gradient: called with the rows of a chunk and their logits, which it overwrites with their
            gradient; False if it does not, and there are none to gather.
    """
    hidden, weight, bias = layer
    num_rows, num_classes = hidden.shape[0], weight.shape[0]
    dtype = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    of_products = _dtype_of_products(hidden)
    is_short = hidden.device.type == "cpu" and of_products.itemsize == 2
    together = _ROWS_TOGETHER if is_short else 1
    chunk_bytes = max(_CHUNK_BYTES, weight.numel() * weight.element_size())
    most_rows = chunk_bytes // (num_classes * of_products.itemsize or 1) // together * together
    size = max(together, min(_rounded_up(num_rows, together), most_rows))
    of_hidden = of_weight = of_bias = None
    if needed[0]:
        of_hidden = hidden.new_empty(_rounded_up(num_rows, together), hidden.shape[1], dtype=of_products)
    if needed[1]:  # sums over chunks are kept in the dtype of the computation
        of_weight = torch.empty(
            weight.shape, dtype=weight.dtype if num_rows <= size else dtype, device=weight.device
        )
        if not num_rows:
            of_weight.zero_()
    if needed[2]:
        of_bias = torch.zeros(num_classes, dtype=dtype, device=hidden.device)
    added_bias = None if bias is None else bias.to(of_products)
    buffer = hidden.new_empty(size, num_classes, dtype=of_products)
    for start in range(0, num_rows, size):
        chunk = slice(start, min(start + size, num_rows))
        inputs = hidden[chunk].to(of_products)
        num_inputs = chunk.stop - start
        added = -num_inputs % together
        if added:
            inputs = torch.nn.functional.pad(inputs, (0, 0, 0, added))
        padded = buffer[: num_inputs + added]
        for classes, part in _pieces(weight, of_products):
            if added_bias is None:
                torch.mm(inputs, part.t(), out=padded[:, classes])
            else:
                torch.addmm(added_bias[classes], inputs, part.t(), out=padded[:, classes])
        logits = padded[:num_inputs]
        if not to_gradient(chunk, logits):
            continue
        if added:
            padded[num_inputs:] = 0.0
        if of_hidden is not None:
            whole = of_hidden[start : start + num_inputs + added]
            for classes, part in _pieces(weight, of_products):
                if classes.start == 0:
                    torch.mm(padded[:, classes], part, out=whole)
                else:
                    whole.addmm_(padded[:, classes], part)
        if of_weight is not None:
            for classes, _ in _pieces(weight, of_products, with_values=False):
                _add_product(of_weight[classes], padded[:, classes].t(), inputs, is_first=start == 0)
        if of_bias is not None:
            of_bias += logits.sum(0, dtype=dtype)
    return (
        None if of_hidden is None else of_hidden[:num_rows].to(hidden.dtype),
        None if of_weight is None else of_weight.to(weight.dtype),
        None if of_bias is None or bias is None else of_bias.to(bias.dtype),
    )


def _dtype_of_products(hidden: Tensor) -> torch.dtype:
    """That of hidden, but float32 on a CPU without 16-bit products, which take up to 50 times as long."""
    if hidden.device.type != "cpu" or hidden.element_size() != 2 or _has_products(hidden.dtype):
        return hidden.dtype
    return torch.float32


@functools.cache
def _has_products(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies matrices of this 16-bit dtype on this CPU."""
    name = "_is_mkldnn_bf16_supported" if dtype == torch.bfloat16 else "_is_mkldnn_fp16_supported"
    ask = getattr(torch.ops.mkldnn, name, None)
    return ask is None or bool(ask())


def _pieces(weight: Tensor, dtype: torch.dtype, with_values: bool = True) -> Iterator[tuple[slice, Tensor]]:
    """The weight whole, or some classes at a time where it has to be converted, with their slice."""
    num_classes, width = weight.shape
    if weight.dtype == dtype or not num_classes:
        yield slice(0, num_classes), weight
        return
    size = max(1, _PIECE_BYTES // (dtype.itemsize * width or 1))
    for start in range(0, num_classes, size):
        piece = slice(start, min(start + size, num_classes))
        yield piece, weight[piece].to(dtype) if with_values else weight


def _add_product(total: Tensor, left: Tensor, right: Tensor, is_first: bool) -> None:
    """Add a product of matrices to a total, or put it there; its dtype may be another one."""
    if total.dtype != right.dtype:
        product = left @ right
        if is_first:
            total.copy_(product)
        else:
            total += product
    elif is_first:
        torch.mm(left, right, out=total)
    else:
        total.addmm_(left, right)


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

    targets = operator.left_out(target, ignore_index)

    def keep(chunk: slice, logits: Tensor) -> bool:
        found = passes_for(logits).row_statistics(logits, targets[chunk], class_weight, with_uniform)
        log_odds[chunk] = found.log_odds
        if found.uniform is not None:
            uniform[chunk] = found.uniform
        return False

    with torch.autocast(hidden.device.type, enabled=False):
        _by_chunks(_Layer(hidden, weight, bias), keep, (False, False, False))
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
        gradients = _by_chunks(_Layer(hidden, weight, bias), to_gradient, tuple(needed))
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
