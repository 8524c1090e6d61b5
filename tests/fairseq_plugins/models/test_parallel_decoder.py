"""The decoder without input feeding: equal to the formula word by word, and to itself when it decodes."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest
import torch
from torch import Tensor

from eureka_nlg.errors import UserError
from fairseq_plugins.models.lstm_dialogue import LSTMDialogueModel
from fairseq_plugins.models.parallel_decoder import ParallelLSTMDecoder

SIZES = {"encoder_embed_dim": 6, "encoder_hidden_size": 8}


def build(task: Any, **options: Any) -> LSTMDialogueModel:
    torch.manual_seed(3)
    return LSTMDialogueModel.build_model(Namespace(criterion="eureka", **{**SIZES, **options}), task)


def by_hand(decoder: ParallelLSTMDecoder, tokens: Tensor, encoder_out: Any) -> tuple[Tensor, Tensor]:
    """Luong et al. 2015, "general" attention without input feeding, one example and one word at a time."""
    weights = {name: value.detach().double() for name, value in decoder.named_parameters()}
    states, hidden, cell, padding = (value.double() for value in encoder_out)
    layers, width = decoder.num_layers, decoder.hidden_size
    if "encoder_hidden_proj.weight" in weights:
        hidden, cell = (
            values @ weights[f"encoder_{name}_proj.weight"].t() + weights[f"encoder_{name}_proj.bias"]
            for name, values in (("hidden", hidden), ("cell", cell))
        )
    logits = torch.zeros(*tokens.shape, decoder.fc_out.out_features, dtype=torch.float64)
    attention = torch.zeros(*tokens.shape, states.size(0), dtype=torch.float64)
    for row in range(tokens.size(0)):
        h, c = hidden[:, row].clone(), cell[:, row].clone()
        for position in range(tokens.size(1)):
            x = weights["embed_tokens.weight"][tokens[row, position]]
            for layer in range(layers):
                gates = sum(
                    weights[f"lstm.weight_{kind}_l{layer}"] @ value + weights[f"lstm.bias_{kind}_l{layer}"]
                    for kind, value in (("ih", x), ("hh", h[layer]))
                )
                enter, forget, new, leave = gates.split(width)
                c[layer] = forget.sigmoid() * c[layer] + enter.sigmoid() * new.tanh()
                x = h[layer] = leave.sigmoid() * c[layer].tanh()
            scores = states[:, row] @ (weights["attention.input_proj.weight"] @ x)
            scores[padding[:, row].bool()] = float("-inf")
            attention[row, position] = scores.softmax(0)
            context = attention[row, position] @ states[:, row]
            out = torch.tanh(weights["attention.output_proj.weight"] @ torch.cat((context, x)))
            if "additional_fc.weight" in weights:
                out = weights["additional_fc.weight"] @ out + weights["additional_fc.bias"]
            logits[row, position] = weights["fc_out.weight"] @ out + weights["fc_out.bias"]
    return logits, attention


@pytest.mark.parametrize(
    "options",
    [{}, {"encoder_bidirectional": True}, {"encoder_layers": 1}, {"decoder_hidden_size": 5}],
    ids=["default", "bidirectional", "one layer", "other width"],
)
def test_equals_the_formula_word_by_word(task: Any, sample: Any, options: dict[str, Any]) -> None:
    model = build(task, **options).eval()
    inputs = sample["net_input"]
    encoder_out = model.encoder(inputs["src_tokens"], inputs["src_lengths"])
    assert encoder_out[3].any()  # there is padding
    logits, attention = model.decoder(inputs["prev_output_tokens"], encoder_out)
    expected = by_hand(model.decoder, inputs["prev_output_tokens"], encoder_out)
    torch.testing.assert_close(logits.double(), expected[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(attention.double(), expected[1], rtol=1e-5, atol=1e-6)


def test_decoding_word_by_word_gives_the_same(task: Any, sample: Any) -> None:
    model = build(task).eval()
    inputs = sample["net_input"]
    encoder_out = model.encoder(inputs["src_tokens"], inputs["src_lengths"])
    tokens = inputs["prev_output_tokens"]
    whole, _ = model.decoder(tokens, encoder_out)
    state: dict[str, Any] = {}
    order = torch.arange(tokens.size(0))
    for end in range(1, tokens.size(1) + 1):
        step, _ = model.decoder(tokens[order, :end], encoder_out, incremental_state=state)
        torch.testing.assert_close(step[:, -1], whole[order, end - 1])
        # as beam search does between words
        reverse = torch.arange(tokens.size(0) - 1, -1, -1)
        model.decoder.reorder_incremental_state(state, reverse)
        encoder_out = model.encoder.reorder_encoder_out(encoder_out, reverse)
        order = order[reverse]


def test_input_feeding_is_fairseqs_own_decoder(task: Any, sample: Any) -> None:
    model = build(task, input_feeding="1")
    assert not isinstance(model.decoder, ParallelLSTMDecoder)
    assert len(model.decoder.layers) == 2
    assert model(**sample["net_input"])[0].shape == (*sample["target"].shape, len(task.target_dictionary))


def test_dropout_acts_in_training_alone(task: Any, sample: Any) -> None:
    model = build(task, dropout=0.5)
    assert model.decoder.lstm.dropout == 0.5
    assert not model(**sample["net_input"])[0].equal(model(**sample["net_input"])[0])
    model.eval()
    assert model(**sample["net_input"])[0].equal(model(**sample["net_input"])[0])


def test_half_precision_is_close(task: Any, sample: Any) -> None:
    model = build(task).eval()
    expected = model(**sample["net_input"])[0]
    half = model.bfloat16()(**sample["net_input"])[0]
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), expected, rtol=0.05, atol=0.02)


def test_attention_is_needed(task: Any) -> None:
    with pytest.raises(UserError, match=r"--decoder-attention 0.*--input-feeding 1"):
        build(task, decoder_attention="0")
