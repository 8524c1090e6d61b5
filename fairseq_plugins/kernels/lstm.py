"""Layers of an LSTM in training, on the kernels in C."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fairseq_plugins.kernels.native import PackedLinear, library

__all__ = ["lstm_layer"]


def lstm_layer(
    x: Tensor,
    sizes: Tensor,
    first: tuple[Tensor, Tensor],
    weights: tuple[Tensor, Tensor],
    biases: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """A layer of an LSTM over sequences, and its gradients.

    Args:
        x: ``[P, W]`` float32, the inputs of all steps as torch's packed sequences have them, longest first.
        sizes: ``[T]`` int64, how many sequences there are at each step.
        first: hidden and cell states ``[B, H]`` before the first step.
        weights: of inputs ``[4 H, W]`` and of hidden states ``[4 H, H]``, in torch's order of the gates.
        biases: two ``[4 H]``.

    Returns:
        Hidden states of all steps ``[P, H]``; hidden and cell states ``[B, H]`` after the last step of each.
    """
    found: tuple[Tensor, Tensor, Tensor]
    found = _Layer.apply(x, sizes, *first, *weights, *biases)
    return found


class _Layer(torch.autograd.Function):
    """Products of all steps at once are torch's; those of one step, and what lies between, are in C."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        sizes: Tensor,
        hidden: Tensor,
        cell: Tensor,
        weight: Tensor,
        recurrent: Tensor,
        bias: Tensor,
        other_bias: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        gates = torch.addmm(bias + other_bias, x, weight.t())
        size = hidden.shape[1]
        states, cells = gates.new_empty(len(x), size), gates.new_empty(len(x), size)
        hidden, cell = hidden.contiguous(), cell.contiguous()
        packed = PackedLinear(recurrent, None)
        library().lstm_forward(
            gates.data_ptr(),
            sizes.data_ptr(),
            len(sizes),
            size,
            packed.address,
            hidden.data_ptr(),
            cell.data_ptr(),
            torch.get_num_threads(),
            cells.data_ptr(),
            states.data_ptr(),
        )
        last = _last_rows(sizes)
        ctx.save_for_backward(x, sizes, hidden, cell, weight, recurrent, gates, cells, states)
        ctx.set_materialize_grads(False)
        return states, states[last], cells[last]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        x, sizes, hidden, cell, weight, recurrent, gates, cells, states = ctx.saved_tensors
        of_outputs, *of_last = gradients
        of_hidden, of_cell = (
            torch.zeros_like(state) if given is None else given.contiguous().clone()
            for state, given in zip((hidden, cell), of_last)
        )
        of_outputs = None if of_outputs is None else of_outputs.contiguous()
        of_gates = torch.empty_like(gates)
        packed = PackedLinear(recurrent.t(), None)
        library().lstm_backward(
            gates.data_ptr(),
            sizes.data_ptr(),
            len(sizes),
            hidden.shape[1],
            packed.address,
            cell.data_ptr(),
            cells.data_ptr(),
            None if of_outputs is None else of_outputs.data_ptr(),
            torch.get_num_threads(),
            of_hidden.data_ptr(),
            of_cell.data_ptr(),
            of_gates.data_ptr(),
        )
        needs_x, _, _, _, needs_weight, needs_recurrent, *needs_bias = ctx.needs_input_grad
        of_bias = of_gates.sum(0) if any(needs_bias) else None
        before = _states_before(states, hidden, sizes) if needs_recurrent else None
        return (
            torch.mm(of_gates, weight) if needs_x else None,
            None,
            of_hidden,
            of_cell,
            torch.mm(of_gates.t(), x) if needs_weight else None,
            None if before is None else torch.mm(of_gates.t(), before),
            of_bias,
            of_bias,
        )


def _last_rows(sizes: Tensor) -> Tensor:
    """Where the last step of each sequence is in the packed rows."""
    starts = sizes.cumsum(0) - sizes
    lengths = (sizes.unsqueeze(1) > torch.arange(int(sizes[0]), device=sizes.device)).sum(0)
    return starts[lengths - 1] + torch.arange(len(lengths), device=sizes.device)


def _states_before(states: Tensor, first: Tensor, sizes: Tensor) -> Tensor:
    """The hidden state that each of the packed rows began with."""
    steps = states.split(sizes.tolist())
    return torch.cat([first, *(step[:rows] for step, rows in zip(steps, sizes[1:].tolist()))])
