"""The decoder of the dialogue model, one word at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.kernels.native import PackedLinear, lstm_step
from fairseq_plugins.models.parallel_decoder import ParallelLSTMDecoder

__all__ = ["PackedDecoder", "StepwiseDecoder"]


class PackedDecoder:
    """The weights of a :class:`.ParallelLSTMDecoder` as decoding multiplies with them.

    Args:
        decoder: float32, on the CPU.
    """

    def __init__(self, decoder: ParallelLSTMDecoder) -> None:
        self._state = _state_of(decoder)
        lstm, attention = decoder.lstm, decoder.attention
        self.embeddings = decoder.embed_tokens.weight.detach()
        self.layers = [
            PackedLinear(
                torch.cat((getattr(lstm, f"weight_ih_l{layer}"), getattr(lstm, f"weight_hh_l{layer}")), 1),
                getattr(lstm, f"bias_ih_l{layer}") + getattr(lstm, f"bias_hh_l{layer}"),
            )
            for layer in range(lstm.num_layers)
        ]
        self.query = _packed(attention.input_proj)
        self.attended = _packed(attention.output_proj)
        self.narrow = _packed(decoder.additional_fc) if hasattr(decoder, "additional_fc") else None
        shared = decoder.share_input_output_embed
        self.output = PackedLinear(self.embeddings, None) if shared else _packed(decoder.fc_out)

    def is_of(self, decoder: ParallelLSTMDecoder) -> bool:
        """Whether the decoder still has the weights that were packed."""
        return self._state == _state_of(decoder)


def _packed(layer: torch.nn.Linear) -> PackedLinear:
    return PackedLinear(layer.weight, layer.bias)


def _state_of(decoder: ParallelLSTMDecoder) -> list[tuple[int, float]]:
    """What changes with the weights. torch's counts do not: fairseq's Adam writes past them, to ``data``."""
    return [(one.data_ptr(), one.detach().sum(dtype=torch.float64).item()) for one in decoder.parameters()]


class StepwiseDecoder:
    """What :class:`.ParallelLSTMDecoder` computes at one word, for sentences with several beams each.

    The same numbers with less around them: one matrix product a layer over inputs and states side by side,
    which the layer below and the step before have written there; the states of the encoder once for all beams
    of a sentence; and memory that is used again.

    Args:
        packed: the decoder's weights.
        states: of the encoder ``[S, B, E]``.
        hidden: states that each layer begins with, ``[L, B, H]``.
        cell: and its cells.
        padding: true where the source is padding, ``[S, B]``.
    """

    def __init__(
        self, packed: PackedDecoder, states: Tensor, hidden: Tensor, cell: Tensor, padding: Tensor
    ) -> None:
        self._packed = packed
        self._source = states.transpose(0, 1).contiguous()
        self._masked = padding.t().unsqueeze(1) if padding.any() else None
        self._width = packed.embeddings.shape[1]
        self._logits: Tensor | None = None
        self._take(list(hidden), [one.clone() for one in cell])

    def step(self, words: Tensor) -> Tensor:
        """Logits of the next words.

        Args:
            words: ``[N]`` the words before them; the beams of a sentence together, one each at first.

        Returns:
            ``[N, C]``, in memory that the next call uses again.
        """
        self._inputs[0][:, : self._width] = F.embedding(words, self._packed.embeddings)
        for gates_of, inputs, cell, places in zip(
            self._packed.layers, self._inputs, self._cells, self._places
        ):
            lstm_step(gates_of(inputs), cell, *places)
        x = self._attended()
        if self._packed.narrow is not None:
            x = self._packed.narrow(x)
        if self._logits is None or len(self._logits) < len(x):
            self._logits = x.new_empty(len(x), self._packed.output.num_features)
        return self._packed.output(x, self._logits[: len(x)])

    def reorder(self, rows: Tensor, sentences: Tensor | None) -> None:
        """Go on with other rows.

        Args:
            rows: ``[N']``, the rows whose states the next step has; again those of a sentence together.
            sentences: ``[B']``, the sentences that are left; None for all.
        """
        if sentences is not None:
            self._source = self._source[sentences]
            self._masked = None if self._masked is None else self._masked[sentences]
        hidden = [places[0].index_select(0, rows) for places in self._places]
        self._take(hidden, [cell.index_select(0, rows) for cell in self._cells])

    def _take(self, hidden: list[Tensor], cells: list[Tensor]) -> None:
        """Lay out the states for the next step: beside the input of their layer, and where they are read."""
        self._cells = cells
        rows, size = cells[0].shape
        widths = [self._width] + [size] * (len(cells) - 1)
        self._inputs = [cells[0].new_empty(rows, width + size) for width in widths]
        self._features = cells[0].new_empty(rows, self._source.shape[2] + size)
        readers = [*(inputs[:, :size] for inputs in self._inputs[1:]), self._features[:, -size:]]
        self._places = [(inputs[:, -size:], reader) for inputs, reader in zip(self._inputs, readers)]
        for (place, _), state in zip(self._places, hidden):
            place.copy_(state)

    def _attended(self) -> Tensor:
        num_sentences, _, width = self._source.shape
        query = self._packed.query(self._features[:, width:]).view(num_sentences, -1, width)
        scores = torch.bmm(query, self._source.transpose(1, 2))
        if self._masked is not None:
            scores.masked_fill_(self._masked, float("-inf"))
        self._features[:, :width] = torch.bmm(scores.softmax(-1), self._source).view(-1, width)
        return self._packed.attended(self._features).tanh_()
