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
    "library",
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
        library().pack(weight.data_ptr(), self.num_features, self._width, self._packed.data_ptr())

    @property
    def address(self) -> int:
        """Where the laid-out weights are while this object lives, for other calls into C."""
        return self._packed.data_ptr()

    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """``[N, W]`` float32 with contiguous rows -> ``[N, D]``, in ``out`` if it is given."""
        if out is None:
            out = x.new_empty(len(x), self.num_features)
        library().product(
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
    return library() is not None and _is_fast()


def lstm_step(gates: Tensor, cell: Tensor, hidden: Tensor, copy: Tensor | None = None) -> None:
    """One step of an LSTM from its gates on.

    Args:
        gates: ``[N, 4 H]``, before their nonlinearities, in the order of ``torch.nn.LSTM``; contiguous.
        cell: ``[N, H]``, contiguous; becomes the new state.
        hidden: ``[N, H]`` with contiguous rows, is written.
        copy: the same once more, for another place.
    """
    library().lstm_step(
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
    library().dropout(x.data_ptr(), x.numel(), seed, stays, torch.get_num_threads(), out.data_ptr())
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
    failed = library().best_words(
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
    return bool(library().is_fast())


@functools.cache
def library() -> Any:
    """The library with the types of its functions; None if it was not compiled or cannot be loaded."""
    found: Any = c_library.load("fairseq_plugins.kernels._native", _ABI_VERSION)
    if found is None:
        return None
    address, integer, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
    found.pack.argtypes, found.pack.restype = [address, integer, integer, address], None
    found.product.argtypes = [
        *(address, integer, integer, integer, address, address),
        *(integer, ctypes.c_int, ctypes.c_int, address, integer),
    ]
    found.product.restype = None
    sequence = [address, address, integer, integer, address]
    found.lstm_forward.argtypes = [*sequence, address, address, ctypes.c_int, address, address]
    found.lstm_backward.argtypes = [
        *(*sequence, address, address, address),
        *(ctypes.c_int, address, address, address),
    ]
    found.lstm_forward.restype = found.lstm_backward.restype = None
    found.lstm_step.argtypes = [
        *(address, integer, integer, ctypes.c_int, address),
        *(address, integer, address, integer),
    ]
    found.lstm_step.restype = None
    found.dropout.argtypes = [address, integer, integer, ctypes.c_double, ctypes.c_int, address]
    found.dropout.restype = None
    found.best_words.argtypes = [
        *(address, integer, integer, integer, integer, ctypes.c_int, address),
        *(integer, integer, integer, integer, number, integer, address, address, address),
    ]
    found.best_words.restype = ctypes.c_int
    return found
