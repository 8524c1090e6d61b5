"""The two passes as torch operators, which tracing keeps as they are.

``torch.compile``, ``torch.export``, ``make_fx`` and fake tensors see one node per pass, with the shapes of
its results and, for the first pass, its derivative. Without tracing, :mod:`.fused` calls the same passes with
less overhead.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from eureka_nlg.losses.kernels.dispatch import passes_for
from eureka_nlg.losses.kernels.passes import RowStatistics, check_target

__all__ = ["is_traced", "left_out", "log_odds"]

torch.library.define(
    "eureka_nlg::log_odds",
    "(Tensor logits, Tensor target, int ignore_index, Tensor? weight, bool with_uniform)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
)
torch.library.define(
    "eureka_nlg::log_odds_backward",
    "(Tensor logits, Tensor target, int ignore_index, Tensor? weight, Tensor log_odds, Tensor top,"
    " Tensor mass, Tensor grad_log_odds, Tensor? grad_uniform) -> Tensor",
)

_MODES = (
    torch._C._TorchDispatchModeKey.FAKE,
    torch._C._TorchDispatchModeKey.PROXY,
    torch._C._TorchDispatchModeKey.FUNCTIONAL,
)


def is_traced(*tensors: Tensor | None) -> bool:
    """Whether torch is recording the operations, or running them without values."""
    if torch.compiler.is_compiling():
        return True
    if torch._C._len_torch_dispatch_stack() and any(map(torch._C._get_dispatch_mode, _MODES)):
        return True
    return any(isinstance(tensor, FakeTensor) for tensor in tensors)


def log_odds(
    logits: Tensor, target: Tensor, ignore_index: int, weight: Tensor | None, with_uniform: bool
) -> tuple[Tensor, Tensor | None]:
    """As :func:`eureka_nlg.losses.kernels.fused_log_odds`, with ``ignore_index`` for ignored rows.

    Raises:
        IndexError: when the operator runs on a CPU, and a target is neither ``ignore_index`` nor a class.
    """
    u, uniform, _, _ = torch.ops.eureka_nlg.log_odds(logits, target, ignore_index, weight, with_uniform)
    return u, uniform if with_uniform else None


def left_out(target: Tensor, ignore_index: int) -> Tensor:
    """The targets as the passes expect them: -1 in ignored rows."""
    return torch.where(target == ignore_index, -1, target)


@torch.library.impl("eureka_nlg::log_odds", "default")
def _(
    logits: Tensor, target: Tensor, ignore_index: int, weight: Tensor | None, with_uniform: bool
) -> tuple[Tensor, ...]:
    check_target(torch.where(target == ignore_index, 0, target), logits.shape[1])
    passes, target = passes_for(logits), left_out(target, ignore_index)
    found = passes.row_statistics(logits, target, weight, with_uniform)
    return found.log_odds, _or_empty(found.uniform, found.top), found.top, found.mass


@torch.library.register_fake("eureka_nlg::log_odds")
def _(
    logits: Tensor, target: Tensor, ignore_index: int, weight: Tensor | None, with_uniform: bool
) -> tuple[Tensor, ...]:
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    u, top, mass = (logits.new_empty(logits.shape[:1], dtype=dtype) for _ in range(3))
    return u, _or_empty(torch.empty_like(top) if with_uniform else None, top), top, mass


@torch.library.impl("eureka_nlg::log_odds_backward", "default")
def _(
    logits: Tensor,
    target: Tensor,
    ignore_index: int,
    weight: Tensor | None,
    log_odds: Tensor,
    top: Tensor,
    mass: Tensor,
    grad_log_odds: Tensor,
    grad_uniform: Tensor | None,
) -> Tensor:
    out = torch.empty_like(logits, memory_format=torch.contiguous_format)
    found = RowStatistics(log_odds, None, top, mass)
    target = left_out(target, ignore_index)
    passes_for(logits).write_gradient(logits, target, weight, found, grad_log_odds, grad_uniform, out)
    return out


@torch.library.register_fake("eureka_nlg::log_odds_backward")
def _(logits: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(logits, memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    logits, target, ctx.ignore_index, weight, ctx.with_uniform = inputs
    u, _, top, mass = output
    ctx.save_for_backward(logits, target, weight, u, top, mass)
    ctx.mark_non_differentiable(top, mass)


def _backward(ctx: Any, of_log_odds: Tensor, of_uniform: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    logits, target, weight, *found = ctx.saved_tensors
    gradient = torch.ops.eureka_nlg.log_odds_backward(
        logits,
        target,
        ctx.ignore_index,
        weight,
        *found,
        of_log_odds,
        of_uniform if ctx.with_uniform else None,
    )
    return gradient, None, None, None, None


torch.library.register_autograd("eureka_nlg::log_odds", _backward, setup_context=_keep)


def _or_empty(value: Tensor | None, like: Tensor) -> Tensor:
    """The value, or an empty tensor, since an operator cannot return None."""
    return like.new_empty(0) if value is None else value
