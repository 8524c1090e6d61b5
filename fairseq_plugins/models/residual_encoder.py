"""An LSTM encoder that adds the embeddings of the words to its states."""

from __future__ import annotations

import torch
from fairseq import utils
from fairseq.models.lstm import LSTMEncoder
from torch import Tensor

__all__ = ["ResidualLSTMEncoder"]


class ResidualLSTMEncoder(LSTMEncoder):
    """fairseq's LSTM encoder with a residual connection from the embeddings to its states.

    Attention then reads the state of a word plus its embedding, as in Gehring et al. 2017, section 3.3. So a
    decoder whose output layer shares the embeddings can copy a word of the context that it has not learnt to
    produce otherwise. The initial states of the decoder are not changed.
    """

    def forward(
        self, src_tokens: Tensor, src_lengths: Tensor, enforce_sorted: bool = True
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """States ``[S, B, H]``, last hidden and cell states ``[L, B, H]``, padding ``[S, B]``."""
        states, hidden, cell, padding = super().forward(src_tokens, src_lengths, enforce_sorted)
        if self.left_pad:  # the states are right-padded
            nothing = torch.full_like(src_tokens, self.padding_idx)
            src_tokens = utils.convert_padding_direction(src_tokens, nothing, left_to_right=True)
        words = self.dropout_out_module(self.embed_tokens(src_tokens)).transpose(0, 1)
        return states + words, hidden, cell, padding
