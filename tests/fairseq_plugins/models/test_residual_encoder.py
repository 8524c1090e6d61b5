"""The encoder whose states hold the embeddings of their words."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest
import torch

from eureka_nlg.errors import UserError
from fairseq_plugins.models.lstm_dialogue import LSTMDialogueModel


def build(task: Any, **options: Any) -> LSTMDialogueModel:
    torch.manual_seed(3)
    sizes = {"encoder_embed_dim": 8, "encoder_hidden_size": 8}
    return LSTMDialogueModel.build_model(Namespace(criterion="eureka", **{**sizes, **options}), task)


@pytest.mark.parametrize("left_pad", [True, False])
def test_adds_the_embedding_of_each_word_to_its_state(task: Any, sample: Any, left_pad: bool) -> None:
    model, plain = build(task, encoder_residual="1").eval(), build(task).eval()
    plain.encoder.load_state_dict(model.encoder.state_dict())
    tokens, lengths = sample["net_input"]["src_tokens"], sample["net_input"]["src_lengths"]
    words = [row[row != task.source_dictionary.pad()] for row in tokens]
    for encoder in (model.encoder, plain.encoder):
        encoder.left_pad = left_pad
    if not left_pad:
        tokens = torch.nn.utils.rnn.pad_sequence(words, batch_first=True, padding_value=1)
    states, hidden, cell, padding = model.encoder(tokens, lengths)
    expected = plain.encoder(tokens, lengths)
    assert hidden.equal(expected[1])
    assert cell.equal(expected[2])
    assert padding.equal(expected[3])
    assert padding.any()
    for row, of_row in enumerate(words):
        embeddings = model.encoder.embed_tokens.weight[of_row]
        torch.testing.assert_close(
            states[: len(of_row), row], expected[0][: len(of_row), row] + embeddings, rtol=1e-6, atol=1e-7
        )


def test_trains_through_both_ways(task: Any, sample: Any) -> None:
    model = build(task, encoder_residual="1", share_all_embeddings=True, dropout=0.0)
    model(**sample["net_input"])[0].sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name


def test_widths_must_agree(task: Any) -> None:
    with pytest.raises(UserError, match=r"--encoder-embed-dim 6 and states of 8.*--encoder-residual 0"):
        build(task, encoder_embed_dim=6, encoder_residual="1")
    with pytest.raises(UserError, match="states of 16"):
        build(task, encoder_bidirectional=True, encoder_residual="1")
