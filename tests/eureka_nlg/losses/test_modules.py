"""The modules: options, buffers, copies and stored states."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from plain_formulas import plain_eureka_loss
from torch import nn

from eureka_nlg.frequency import encouragement
from eureka_nlg.losses import EurekaLoss

C = 5
OPTIONS: dict[str, Any] = {
    "bonus": "power",
    "gamma": 2.0,
    "threshold": 0.1,
    "likelihood_cap": 0.6,
    "ignore_index": 1,
    "reduction": "sum",
    "label_smoothing": 0.1,
}
INPUT = torch.linspace(-3, 4, 7 * C).reshape(7, C).sin() * 2
TARGET = torch.tensor([0, 1, 2, 3, 4, 0, 2])


def per_class() -> torch.Tensor:
    # no number here survives bfloat16 unharmed, and the largest is too large for float16
    return torch.tensor([0.0, 1e-7, 0.3, 3.14159, 7e4])


@pytest.mark.parametrize("weights", [None, 0.7, per_class()], ids=["none", "number", "per class"])
@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["defaults", "options"])
def test_module_is_the_function(impl: str, weights: Any, options: Any) -> None:
    module = EurekaLoss(weights, impl=impl, **options)
    expected = plain_eureka_loss(INPUT, TARGET, weights, **options)
    torch.testing.assert_close(module(INPUT, TARGET).double(), expected, rtol=1e-5, atol=1e-6)


def test_class_weights_of_cross_entropy(impl: str) -> None:
    weight = torch.rand(C)
    module = EurekaLoss(weight=weight, impl=impl)
    expected = plain_eureka_loss(INPUT, TARGET, weight=weight)
    torch.testing.assert_close(module(INPUT, TARGET).double(), expected, rtol=1e-5, atol=1e-6)
    assert "weight" in dict(module.named_buffers())


@pytest.mark.parametrize("options", [{}, {"measure": "count"}, {"normalization": "mean_weight"}], ids=str)
def test_from_counts(options: Any) -> None:
    module = EurekaLoss.from_counts([100, 0, 7, 3, 1], beta=0.9, reduction="sum", **options)
    assert module.encouragement.equal(encouragement([100, 0, 7, 3, 1], 0.9, **options))
    assert module.reduction == "sum"
    with pytest.raises(ValueError, match=r"beta.*1\.0"):
        EurekaLoss.from_counts([1, 2], beta=1.0)
    with pytest.raises(ValueError, match="-2"):
        EurekaLoss.from_counts([1, -2])


def test_one_number_in_a_tensor(impl: str) -> None:
    expected = plain_eureka_loss(INPUT, TARGET, 0.5)
    actual = EurekaLoss(torch.tensor(0.5), impl=impl)(INPUT, TARGET)
    torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "cast",
    [
        lambda module: module.half(),
        lambda module: module.bfloat16(),
        lambda module: module.double(),
        lambda module: module.to(torch.bfloat16),
        lambda module: module.to("cpu", torch.float16),
        lambda module: nn.Sequential(nn.Linear(2, 2), module).half()[1],
        lambda module: module.half().float(),
    ],
    ids=[
        "half",
        "bfloat16",
        "double",
        "to(bfloat16)",
        "to(cpu, float16)",
        "half of a parent",
        "there and back",
    ],
)
def test_encouragement_stays_float32(cast: Any) -> None:
    module = cast(EurekaLoss(per_class()))
    assert module.encouragement.dtype == torch.float32
    assert module.encouragement.equal(per_class())
    assert module._buffers["encouragement"] is module.encouragement


def test_encouragement_is_made_float32() -> None:
    assert EurekaLoss(per_class().double()).encouragement.dtype == torch.float32
    assert EurekaLoss.from_counts(torch.tensor([3, 1])).encouragement.dtype == torch.float32


def test_half_precision_logits_meet_float32_weights(impl: str) -> None:
    module = EurekaLoss(per_class(), reduction="none", impl=impl).half()
    logits = (INPUT / 4).half()
    rows = TARGET != 4  # whose loss is beyond what a half can hold
    expected = plain_eureka_loss(logits, TARGET, per_class(), reduction="none")
    torch.testing.assert_close(module(logits, TARGET)[rows].double(), expected[rows], rtol=1e-3, atol=1e-3)


def test_moves_between_devices() -> None:
    module = EurekaLoss(per_class(), weight=torch.ones(C)).half()
    on_meta = copy.deepcopy(module).to("meta")
    assert {buffer.device.type for buffer in on_meta.buffers()} == {"meta"}
    assert on_meta.encouragement.dtype == torch.float32
    # as large models are loaded: made on meta, given memory, filled from a state
    restored = on_meta.to_empty(device="cpu")
    restored.load_state_dict(module.state_dict())
    assert restored.encouragement.equal(per_class())
    assert restored.encouragement.dtype == torch.float32


def test_is_no_parameter_and_does_not_share_memory() -> None:
    weights = per_class()
    module = EurekaLoss(weights)
    assert not list(module.parameters())
    weights.zero_()
    assert module.encouragement.equal(per_class())


def test_state_dict_round_trip() -> None:
    file = io.BytesIO()
    torch.save(EurekaLoss(per_class()).half().state_dict(), file)
    file.seek(0)
    module = EurekaLoss(torch.ones(C))
    module.load_state_dict(torch.load(file, weights_only=True))
    assert module.encouragement.equal(per_class())
    with pytest.raises(RuntimeError, match="encouragement"):
        EurekaLoss(torch.ones(C + 1)).load_state_dict(module.state_dict())


@pytest.mark.parametrize("weights", [None, 0.7, per_class()], ids=["none", "number", "per class"])
@pytest.mark.parametrize(
    "clone", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))], ids=["deepcopy", "pickle"]
)
def test_copies(impl: str, weights: Any, clone: Any) -> None:
    module = EurekaLoss(weights, impl=impl, **OPTIONS)
    twin = clone(module)
    assert twin(INPUT, TARGET).equal(module(INPUT, TARGET))
    assert twin.half().encouragement is None or isinstance(twin.encouragement, (float, torch.Tensor))
    if isinstance(weights, torch.Tensor):
        assert twin.encouragement.equal(weights)
        twin.encouragement.zero_()
        assert module.encouragement.equal(weights)


def test_bad_options_are_named_when_it_is_made() -> None:
    bad: list[tuple[Any, type[Exception], str]] = [
        ({"encouragement": -1.0}, ValueError, r"encouragement.*-1\.0"),
        ({"encouragement": torch.ones(2, 2)}, ValueError, r"encouragement.*\[2, 2\]"),
        ({"encouragement": "rare"}, TypeError, "encouragement.*str"),
        ({"bonus": "reward"}, ValueError, "bonus.*'reward'"),
        ({"gamma": 0.0}, ValueError, r"gamma.*0\.0"),
        ({"threshold": 1.5}, ValueError, r"threshold.*1\.5"),
        ({"likelihood_cap": 1.0}, ValueError, r"likelihood_cap.*1\.0"),
    ]
    for options, kind, named in bad:
        with pytest.raises(kind, match=named):
            EurekaLoss(**options)


def test_representation() -> None:
    assert (
        repr(EurekaLoss(per_class())) == "EurekaLoss(encouragement=[5], bonus='likelihood', reduction='mean')"
    )
    assert "encouragement=0.7" in repr(EurekaLoss(0.7, bonus="power"))
