"""The architecture: the baseline's defaults, everything can be overridden, one table of embeddings."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq.data import Dictionary
from torch import nn

from eureka_nlg.errors import UserError
from fairseq_plugins.models.lstm_dialogue import LSTMDialogueModel

SMALL = {"encoder_embed_dim": 6, "encoder_hidden_size": 8}


def build(task: Any, **options: Any) -> LSTMDialogueModel:
    return LSTMDialogueModel.build_model(Namespace(criterion="eureka", **options), task)


def test_defaults_are_the_baselines(task: Any) -> None:
    with torch.device("meta"):
        model = build(task)
    encoder, decoder = model.encoder, model.decoder
    assert encoder.lstm.num_layers == 2
    assert encoder.lstm.input_size == 256
    assert encoder.lstm.hidden_size == 1024
    assert not encoder.lstm.bidirectional
    assert decoder.lstm.num_layers == 2
    assert decoder.lstm.input_size == 256  # the embedding alone: no input feeding
    assert decoder.hidden_size == 1024
    assert decoder.fc_out.in_features == 256
    # attention "general": the query goes through a matrix, then a dot product with the source
    assert decoder.attention.input_proj.weight.shape == (1024, 1024)
    assert encoder.embed_tokens is decoder.embed_tokens
    assert decoder.fc_out.weight is not decoder.embed_tokens.weight
    for side in (encoder, decoder):
        assert side.dropout_in_module.p == 0.1
        assert side.dropout_out_module.p == 0.1


def test_decoder_follows_the_encoder(task: Any) -> None:
    model = build(task, **SMALL, encoder_layers=1, dropout=0.0)
    assert model.decoder.lstm.num_layers == 1
    assert model.decoder.hidden_size == 8
    assert model.decoder.embed_tokens.embedding_dim == 6
    assert model.decoder.fc_out.in_features == 6
    assert model.encoder.dropout_in_module.p == 0.0


def test_everything_can_be_overridden(task: Any) -> None:
    model = build(
        task,
        **SMALL,
        decoder_embed_dim=5,
        decoder_hidden_size=7,
        decoder_out_embed_dim=4,
        decoder_attention="0",
        input_feeding="1",
        encoder_bidirectional=True,
        share_input_embeddings="0",
    )
    assert model.decoder.embed_tokens.embedding_dim == 5
    assert model.decoder.hidden_size == 7
    assert model.decoder.fc_out.in_features == 4
    assert model.decoder.attention is None
    assert model.encoder.lstm.bidirectional
    assert model.encoder.embed_tokens is not model.decoder.embed_tokens


def test_one_table_gets_the_gradients_of_both_sides(task: Any, sample: Any) -> None:
    model = build(task, **SMALL, dropout=0.0)
    names = [name for name, _ in model.named_parameters()]
    assert [name for name in names if "embed_tokens" in name] == ["encoder.embed_tokens.weight"]
    model.encoder.embed_tokens.weight.register_hook(lambda gradient: seen.append(gradient))
    seen: list[torch.Tensor] = []
    sample["net_input"]["src_tokens"][:] = task.source_dictionary.index("cat")
    model(**sample["net_input"])[0].sum().backward()
    touched = seen[0].abs().sum(-1) > 0
    used = {task.source_dictionary.index("cat"), *sample["net_input"]["prev_output_tokens"].unique().tolist()}
    assert set(touched.nonzero()[:, 0].tolist()) == used - {task.source_dictionary.pad()}


def test_sharing_survives_a_checkpoint(task: Any) -> None:
    model, restored = build(task, **SMALL), build(task, **SMALL)
    restored.load_state_dict(model.state_dict())
    assert restored.encoder.embed_tokens is restored.decoder.embed_tokens
    for one, other in zip(model.parameters(), restored.parameters()):
        assert one.equal(other)


def test_output_may_be_tied_as_well(task: Any) -> None:
    for option in ("share_all_embeddings", "share_decoder_input_output_embed"):
        model = build(task, **SMALL, **{option: True})
        assert model.encoder.embed_tokens.weight is model.decoder.embed_tokens.weight
        assert not hasattr(model.decoder, "fc_out")


def test_pretrained_vectors_serve_both_sides(task: Any, tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("1 6\ncat 1 2 3 4 5 6\n")
    model = build(task, **SMALL, encoder_embed_path=str(path))
    vector = model.decoder.embed_tokens.weight[task.target_dictionary.index("cat")]
    assert vector.tolist() == [1, 2, 3, 4, 5, 6]


def test_a_vector_file_is_not_ignored_in_silence(task: Any, tmp_path: Path) -> None:
    path, other = tmp_path / "vectors.txt", tmp_path / "other.txt"
    path.write_text("1 6\ncat 1 2 3 4 5 6\n")
    other.write_text("1 6\ncat 6 5 4 3 2 1\n")
    with pytest.raises(UserError, match=r"--decoder-embed-path.*--share-input-embeddings 0"):
        build(task, **SMALL, encoder_embed_path=str(path), decoder_embed_path=str(other))
    with pytest.raises(UserError, match=r"--decoder-embed-path.*--share-input-embeddings 0"):
        build(task, **SMALL, decoder_embed_path=str(other))
    build(task, **SMALL, encoder_embed_path=str(path), decoder_embed_path=str(path))
    apart = build(task, **SMALL, decoder_embed_path=str(other), share_input_embeddings="0")
    assert apart.decoder.embed_tokens.weight[task.target_dictionary.index("cat")][0] == 6


def test_two_dictionaries_cannot_share(task: Any) -> None:
    task.tgt_dict = Dictionary()
    task.tgt_dict.add_symbol("other")
    with pytest.raises(UserError, match=r"joined dictionary.*--share-input-embeddings 0"):
        build(task, **SMALL)
    assert isinstance(build(task, **SMALL, share_input_embeddings="0"), nn.Module)


def test_two_widths_cannot_share(task: Any) -> None:
    with pytest.raises(UserError, match=r"--encoder-embed-dim 6.*--decoder-embed-dim 5"):
        build(task, **SMALL, decoder_embed_dim=5)
