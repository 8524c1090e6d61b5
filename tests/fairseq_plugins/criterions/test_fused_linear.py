"""``--fused-linear`` gives the results of the logits, without the logits."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
import torch
from fairseq.models.lstm import LSTMModel, base_architecture
from torch import nn

from eureka_nlg.errors import UserError
from fairseq_plugins import criterions
from fairseq_plugins.model_output import features_for, output_layer_of

CONFIGS = {
    "focal": (criterions.FocalCriterion, criterions.FocalCriterionConfig, {"focal_gamma": 1.0}),
    "logit_adjusted": (criterions.LogitAdjustedCriterion, criterions.LogitAdjustedCriterionConfig, {}),
    "class_balanced": (criterions.ClassBalancedCriterion, criterions.ClassBalancedCriterionConfig, {}),
    "eureka": (
        criterions.EurekaCriterion,
        criterions.EurekaCriterionConfig,
        {"encouragement_start_epoch": 1, "label_smoothing": 0.1},
    ),
}


def lstm(task: Any, **options: Any) -> LSTMModel:
    """A small LSTM of fairseq without dropout."""
    args = argparse.Namespace(
        encoder_embed_dim=8,
        encoder_hidden_size=8,
        decoder_embed_dim=8,
        decoder_hidden_size=8,
        decoder_out_embed_dim=8,
        dropout=0.0,
        criterion="eureka",
        **options,
    )
    base_architecture(args)
    torch.manual_seed(2)
    return LSTMModel.build_model(args, task)


def criterion_of(name: str, task: Any, **options: Any) -> Any:
    kind, config, defaults = CONFIGS[name]
    values = {"sentence_avg": False, "train_subset": "train", **defaults, **options}
    criterion = kind(config(**values), task)
    task.begin_epoch(1, None)
    return criterion


def gradients(loss: torch.Tensor, model: nn.Module) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("tied", [False, True], ids=["own layer", "tied to the embeddings"])
@pytest.mark.parametrize("prefix", [0, 1])
def test_same_as_from_the_logits(task: Any, sample: Any, name: str, tied: bool, prefix: int) -> None:
    model = lstm(task, share_decoder_input_output_embed=tied)
    plain, fused = (
        criterion_of(name, task, fused_linear=on, ignore_prefix_size=prefix) for on in (False, True)
    )
    expected, expected_size, expected_log = plain(model, sample)
    loss, size, log = fused(model, sample)
    torch.testing.assert_close(loss, expected)
    assert size == expected_size
    assert log.keys() == expected_log.keys()
    for key, value in expected_log.items():
        torch.testing.assert_close(torch.as_tensor(log[key]), torch.as_tensor(value), rtol=1e-5, atol=1e-5)
    theirs = gradients(expected, model)
    ours = gradients(fused(model, sample)[0], model)
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        torch.testing.assert_close(ours[key], value, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(fused(model, sample, reduce=False)[0], plain(model, sample, reduce=False)[0])


def test_the_model_is_left_as_it_was(task: Any, sample: Any) -> None:
    model = lstm(task)
    with features_for(model):
        assert model(**sample["net_input"])[0].size(-1) == 8
    assert model(**sample["net_input"])[0].size(-1) == len(task.target_dictionary)
    with pytest.raises(RuntimeError, match="on purpose"), features_for(model):
        raise RuntimeError("on purpose")
    assert model(**sample["net_input"])[0].size(-1) == len(task.target_dictionary)


def test_refused_where_it_cannot_serve(task: Any, model: Any, pointer_model: Any) -> None:
    criterion_of("eureka", task, fused_linear=True)  # listens to the task from now on
    with pytest.raises(UserError, match=r"fused-linear.*TableDecoder"):
        task.begin_epoch(1, model)
    with pytest.raises(UserError, match=r"fused-linear.*softmax"):
        task.begin_epoch(1, pointer_model)
    changed = lstm(task)
    changed.decoder.fc_out = nn.Sequential(changed.decoder.fc_out, nn.Tanh())
    with pytest.raises(UserError, match=r"fused-linear.*Sequential"):
        output_layer_of(changed)

    class Scaled(type(changed.decoder)):  # type: ignore[misc]
        def output_layer(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().output_layer(x)

    other = lstm(task)
    other.decoder.__class__ = Scaled
    with pytest.raises(UserError, match=r"fused-linear.*Scaled"):
        output_layer_of(other)
