"""torch's LSTM and fairseq's dropout, with this project's kernels where they are faster."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from fairseq.modules.fairseq_dropout import FairseqDropout
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from fairseq_plugins.kernels import lstm, native

__all__ = ["LSTM", "Dropout", "with_kernels"]


class LSTM(nn.LSTM):
    """:class:`torch.nn.LSTM`, the same numbers in less time on a CPU.

    That is in float32, for layers that run forwards, and inputs ``[T, B, W]`` or packed sequences, longest
    first. Whatever else is given goes to torch.
    """

    def forward(self, input: Any, hx: tuple[Tensor, Tensor] | None = None) -> Any:
        """See :class:`torch.nn.LSTM`."""
        packed = isinstance(input, PackedSequence)
        data = input.data if packed else input
        if not self._is_for_kernel(data, packed) or (packed and input.sorted_indices is not None):
            return super().forward(input, hx)
        sizes = input.batch_sizes if packed else torch.full((len(input),), input.shape[1], device="cpu")
        x = data if packed else data.flatten(0, 1)
        if hx is None:
            zeros = x.new_zeros(self.num_layers, int(sizes[0]), self.hidden_size)
            hx = zeros, zeros
        hidden, cells = [], []
        for layer, states in enumerate(zip(*hx)):
            if layer and self.dropout and self.training:
                x = native.dropout(x, self.dropout) if self.dropout < 1 else F.dropout(x, 1.0)
            weights, biases = (
                tuple(getattr(self, f"{kind}_{of}_l{layer}") for of in ("ih", "hh"))
                for kind in ("weight", "bias")
            )
            x, last, cell = lstm.lstm_layer(x, sizes, states, weights, biases)
            hidden.append(last)
            cells.append(cell)
        output = PackedSequence(x, sizes) if packed else x.view(*input.shape[:2], self.hidden_size)
        return output, (torch.stack(hidden), torch.stack(cells))

    def _is_for_kernel(self, data: Tensor, packed: bool) -> bool:
        return (
            _is_for_kernel(data)
            and data.dim() == (2 if packed else 3)
            and self.weight_ih_l0.dtype == torch.float32
            and not (self.bidirectional or self.proj_size or self.batch_first)
            and bool(self.bias)
        )


class Dropout(FairseqDropout):
    """fairseq's dropout, with a mask that is cheaper to draw and is not kept for the backward pass."""

    def forward(self, x: Tensor, inplace: bool = False) -> Tensor:
        """See ``FairseqDropout``."""
        if 0 < self.p < 1 and (self.training or self.apply_during_inference) and _is_for_kernel(x):
            return native.dropout(x, self.p)
        dropped: Tensor = super().forward(x, inplace)
        return dropped


_CLASSES = {nn.LSTM: LSTM, FairseqDropout: Dropout}


def with_kernels(model: nn.Module) -> None:
    """Make the LSTMs and dropouts of a model those of this file; their weights and settings stay."""
    for module in model.modules():
        module.__class__ = _CLASSES.get(type(module), type(module))


def _is_for_kernel(x: Tensor) -> bool:
    return (
        x.dtype == torch.float32
        and x.device.type == "cpu"
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and native.is_available()
    )
