"""The kernels in C (``_native.c``), for float32 on the CPU."""

from __future__ import annotations

import ctypes
import functools
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from eureka_nlg import c_library

__all__ = [
    "MOST_WORDS",
    "Continuations",
    "PackedLinear",
    "Rules",
    "best_words",
    "dropout",
    "is_available",
    "lstm_layer",
    "lstm_step",
]

MOST_WORDS = 512
"""Most continuations of a sentence that :func:`best_words` can be asked for."""

_ABI_VERSION = 1  # of the C signatures below
_PANEL = 24  # WIDE in C


class PackedLinear:
    """A linear layer for few rows, a dozen to some hundreds, where torch's products are slow.

    Args:
        weight: ``[D, W]`` float32; a copy is laid out anew, so what changes later is not seen.
        bias: ``[D]`` or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        weight = weight.detach().contiguous()
        self.num_features, self._width = weight.shape
        self._bias = None if bias is None else bias.detach().float().contiguous()
        panels = -(-self.num_features // _PANEL)
        self._packed = torch.empty(panels * _PANEL * self._width, dtype=torch.float32, device="cpu")
        _library().pack(weight.data_ptr(), self.num_features, self._width, self._packed.data_ptr())

    @property
    def address(self) -> int:
        """Where the laid-out weights are while this object lives, for other calls into C."""
        return self._packed.data_ptr()

    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """``[N, W]`` float32 with contiguous rows -> ``[N, D]``, in ``out`` if it is given."""
        if out is None:
            out = x.new_empty(len(x), self.num_features)
        _library().product(
            x.data_ptr(),
            x.stride(0),
            len(x),
            self._width,
            self._packed.data_ptr(),
            None if self._bias is None else self._bias.data_ptr(),
            self.num_features,
            torch.get_num_threads(),
            0,
            out.data_ptr(),
            out.stride(0),
        )
        return out


class Rules(NamedTuple):
    """Which words may come next.

    Attributes:
        pad: never comes.
        unk: the unknown word.
        penalty: what is taken off its log-likelihood.
        banned: does not come now; -1 for none.
        only: nothing else comes now; -1 for all.
    """

    pad: int
    unk: int
    penalty: float
    banned: int = -1
    only: int = -1


class Continuations(NamedTuple):
    """The best continuations of each sentence, best first; of equal ones that of the first beam and word.

    Attributes:
        scores: ``[B, most]`` float32, the score of the beam plus the log-likelihood of the word; -inf where
            there are fewer.
        words: ``[B, most]`` int64; the padding where there are fewer.
        beams: ``[B, most]`` int64, which beam of the sentence each continues.
    """

    scores: np.ndarray
    words: np.ndarray
    beams: np.ndarray


def is_available() -> bool:
    """Whether the library was compiled, can be loaded, and is faster than torch on this machine."""
    return _library() is not None and _is_fast()


def lstm_step(gates: Tensor, cell: Tensor, hidden: Tensor, copy: Tensor | None = None) -> None:
    """One step of an LSTM from its gates on.

    Args:
        gates: ``[N, 4 H]``, before their nonlinearities, in the order of ``torch.nn.LSTM``; contiguous.
        cell: ``[N, H]``, contiguous; becomes the new state.
        hidden: ``[N, H]`` with contiguous rows, is written.
        copy: the same once more, for another place.
    """
    _library().lstm_step(
        gates.data_ptr(),
        len(cell),
        cell.shape[1],
        torch.get_num_threads(),
        cell.data_ptr(),
        hidden.data_ptr(),
        hidden.stride(0),
        None if copy is None else copy.data_ptr(),
        0 if copy is None else copy.stride(0),
    )


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
        _library().lstm_forward(
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
        _library().lstm_backward(
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


def dropout(x: Tensor, p: float) -> Tensor:
    """Dropout whose mask is not stored: a hash of each place and of a seed, which torch's generator gives.

    Args:
        x: float32, of any shape.
        p: likelihood that an element becomes zero, in [0, 1); the others are divided by ``1 - p``.
    """
    result: Tensor = _Dropout.apply(x, p)
    return result


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        ctx.seed, ctx.stays = int(torch.randint(2**63 - 1, (), device="cpu")), 1.0 - p
        return _dropped(x, ctx.seed, ctx.stays)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _dropped(gradient, ctx.seed, ctx.stays), None


def _dropped(x: Tensor, seed: int, stays: float) -> Tensor:
    x = x.contiguous()
    out = torch.empty_like(x)
    _library().dropout(x.data_ptr(), x.numel(), seed, stays, torch.get_num_threads(), out.data_ptr())
    return out


def best_words(logits: Tensor, scores: np.ndarray, most: int, rules: Rules) -> Continuations | None:
    """The best continuations by the sum of a beam's score and a word's log-likelihood.

    Args:
        logits: ``[B * K, C]`` float32 with contiguous rows, the beams of a sentence one after the other.
        scores: ``[B, K]`` float32.
        most: how many of a sentence, up to :data:`MOST_WORDS`.
        rules: which words may come.

    Returns:
        The continuations; None where logits are no distribution, as those of a diverged model.
    """
    num_sentences, beams = scores.shape
    scores = np.ascontiguousarray(scores, np.float32)
    shape = num_sentences, most
    found = Continuations(np.empty(shape, np.float32), np.empty(shape, np.int64), np.empty(shape, np.int64))
    failed = _library().best_words(
        logits.data_ptr(),
        logits.stride(0),
        num_sentences,
        beams,
        logits.shape[1],
        torch.get_num_threads(),
        scores.ctypes.data,
        rules.pad,
        rules.banned,
        rules.only,
        rules.unk,
        rules.penalty,
        most,
        *(array.ctypes.data for array in found),
    )
    if failed == 2:
        raise ValueError(f"most must be from 1 to {MOST_WORDS}, got {most}")
    return None if failed else found


@functools.cache
def _is_fast() -> bool:
    return bool(_library().is_fast())


@functools.cache
def _library() -> Any:
    library: Any = c_library.load("fairseq_plugins.kernels._native", _ABI_VERSION)
    if library is None:
        return None
    address, integer, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
    library.pack.argtypes, library.pack.restype = [address, integer, integer, address], None
    library.product.argtypes = [
        *(address, integer, integer, integer, address, address),
        *(integer, ctypes.c_int, ctypes.c_int, address, integer),
    ]
    library.product.restype = None
    sequence = [address, address, integer, integer, address]
    library.lstm_forward.argtypes = [*sequence, address, address, ctypes.c_int, address, address]
    library.lstm_backward.argtypes = [
        *(*sequence, address, address, address),
        *(ctypes.c_int, address, address, address),
    ]
    library.lstm_forward.restype = library.lstm_backward.restype = None
    library.lstm_step.argtypes = [
        *(address, integer, integer, ctypes.c_int, address),
        *(address, integer, address, integer),
    ]
    library.lstm_step.restype = None
    library.dropout.argtypes = [address, integer, integer, ctypes.c_double, ctypes.c_int, address]
    library.dropout.restype = None
    library.best_words.argtypes = [
        *(address, integer, integer, integer, integer, ctypes.c_int, address),
        *(integer, integer, integer, integer, number, integer, address, address, address),
    ]
    library.best_words.restype = ctypes.c_int
    return library
