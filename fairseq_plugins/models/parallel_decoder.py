"""An LSTM decoder with attention after the LSTM, so that all words of the targets are computed at once."""

from __future__ import annotations

from typing import Any

import torch
from fairseq.models.lstm import LSTM, AttentionLayer, LSTMDecoder
from torch import Tensor

__all__ = ["ParallelAttention", "ParallelLSTMDecoder"]


class ParallelAttention(AttentionLayer):
    """fairseq's attention (Luong's "general"), for all target positions in two matrix products."""

    def forward(
        self, input: Tensor, source_hids: Tensor, encoder_padding_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Compute attention and attentional states.

        Args:
            input: states of the decoder ``[T, B, H]``.
            source_hids: states of the encoder ``[S, B, E]``.
            encoder_padding_mask: ``[S, B]`` bool, True at padding; None without padding.

        Returns:
            Attentional states ``[T, B, H]`` and attention ``[B, T, S]``.
        """
        source = source_hids.transpose(0, 1)
        scores = torch.bmm(self.input_proj(input).transpose(0, 1), source.transpose(1, 2)).float()
        if encoder_padding_mask is not None:
            scores = scores.masked_fill(encoder_padding_mask.t().unsqueeze(1), float("-inf"))
        attention = scores.softmax(-1).type_as(source)
        attended = torch.bmm(attention, source).transpose(0, 1)
        return torch.tanh(self.output_proj(torch.cat((attended, input), dim=-1))), attention


class ParallelLSTMDecoder(LSTMDecoder):
    """fairseq's LSTM decoder without input feeding (Luong et al. 2015, section 3.3).

    The attentional state at one word is not an input of the LSTM at the next word. So one call of the LSTM
    processes a whole target, and attention and output layer process all positions together. The arguments are
    those of ``LSTMDecoder``; an encoder and attention are required.
    """

    def __init__(self, dictionary: Any, **options: Any) -> None:
        super().__init__(dictionary, **options)
        width, hidden_size = self.embed_tokens.embedding_dim, self.hidden_size
        del self.layers  # LSTM cells whose input includes the attentional state
        self.lstm = LSTM(
            width,
            hidden_size,
            num_layers=self.num_layers,
            dropout=self.dropout_out_module.p if self.num_layers > 1 else 0.0,
        )
        self.attention = ParallelAttention(hidden_size, self.encoder_output_units, hidden_size)

    def extract_features(
        self,
        prev_output_tokens: Tensor,
        encoder_out: tuple[Tensor, Tensor, Tensor, Tensor],
        incremental_state: dict[str, dict[str, Tensor | None]] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """States before the output layer ``[B, T, D]``, and attention ``[B, T, S]`` unless training."""
        encoder_outs, hidden, cell, encoder_padding_mask = encoder_out
        if incremental_state:
            prev_output_tokens = prev_output_tokens[:, -1:]
            hidden, cell = (torch.stack(states) for states in self.get_cached_state(incremental_state)[:2])
        elif self.encoder_hidden_proj is not None:
            hidden, cell = self.encoder_hidden_proj(hidden), self.encoder_cell_proj(cell)
        x = self.dropout_in_module(self.embed_tokens(prev_output_tokens)).transpose(0, 1)
        x, (hidden, cell) = self.lstm(x, (hidden.contiguous(), cell.contiguous()))
        x, attention = self.attention(x, encoder_outs, encoder_padding_mask)
        x = self.dropout_out_module(x).transpose(0, 1)
        state = {"prev_hiddens": hidden, "prev_cells": cell, "input_feed": None}
        self.set_incremental_state(incremental_state, "cached_state", state)
        if hasattr(self, "additional_fc") and self.adaptive_softmax is None:
            x = self.dropout_out_module(self.additional_fc(x))
        return x, attention if not self.training and self.need_attn else None
