"""The modules: options, buffers, copies and stored states."""

from __future__ import annotations

import copy
import io
import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from plain_formulas import plain_eureka_loss
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from eureka_nlg.frequency import encouragement
from eureka_nlg.losses import (
    AntiFocalLoss,
    DFTLoss,
    EurekaLoss,
    FocalLoss,
    GEMLoss,
    HaltedFocalLoss,
    LDAMLoss,
    LinearEurekaLoss,
    LogitAdjustedLoss,
    MixCELoss,
    PowerLoss,
    SigmoidEurekaLoss,
    SigmoidFocalLoss,
    SigmoidHaltedFocalLoss,
    TLDRLoss,
    anti_focal_loss,
    dft_loss,
    eureka_loss,
    focal_loss,
    gem_loss,
    halted_focal_loss,
    ldam_loss,
    linear_eureka_loss,
    logit_adjusted_loss,
    mixce_loss,
    power_loss,
    runaway,
    sigmoid_eureka_loss,
    sigmoid_focal_loss,
    sigmoid_halted_focal_loss,
    tldr_loss,
)

C = 5
OPTIONS: dict[str, Any] = {
    "bonus": "power",
    "gamma": 2.0,
    "threshold": 0.1,
    "likelihood_cap": 0.6,
    "likelihood_clamp": 0.8,
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


# -- every module --------------------------------------------------------------------------------------------

SHARED: dict[str, Any] = {
    "weight": torch.tensor([0.5, 1e-7, 2.0, 3.14159, 0.1]),
    "ignore_index": 1,
    "reduction": "sum",
    "label_smoothing": 0.1,
    "impl": "reference",
}
COUNTS = [1000, 100, 10, 3, 1]
HALTED = torch.tensor([False, True, False, True, True])
PRESENT = (INPUT > 1).float()
LINEAR_ONLY = {name: value for name, value in {**OPTIONS, **SHARED}.items() if name != "impl"}

# A module, and the function with the same options on the same logits.
Case = tuple[nn.Module, Callable[..., Tensor], Tensor]
CASES: list[Case] = [
    (EurekaLoss(), eureka_loss, TARGET),
    (
        EurekaLoss(per_class(), **{**OPTIONS, **SHARED}),
        lambda *pair: eureka_loss(*pair, per_class(), **{**OPTIONS, **SHARED}),
        TARGET,
    ),
    (FocalLoss(), focal_loss, TARGET),
    (
        FocalLoss(gamma=0.5, alpha=0.3, **SHARED),
        lambda *pair: focal_loss(*pair, gamma=0.5, alpha=0.3, **SHARED),
        TARGET,
    ),
    (HaltedFocalLoss(), halted_focal_loss, TARGET),
    (
        HaltedFocalLoss(gamma=1.0, threshold=0.2, halted=HALTED, alpha=0.3, **SHARED),
        lambda *pair: halted_focal_loss(*pair, gamma=1.0, threshold=0.2, halted=HALTED, alpha=0.3, **SHARED),
        TARGET,
    ),
    (DFTLoss(), dft_loss, TARGET),
    (DFTLoss(**SHARED), lambda *pair: dft_loss(*pair, **SHARED), TARGET),
    (PowerLoss(), power_loss, TARGET),
    (PowerLoss(exponent=3.0, **SHARED), lambda *pair: power_loss(*pair, exponent=3.0, **SHARED), TARGET),
    (AntiFocalLoss(), anti_focal_loss, TARGET),
    (
        AntiFocalLoss(gamma=2.0, **SHARED),
        lambda *pair: anti_focal_loss(*pair, gamma=2.0, **SHARED),
        TARGET,
    ),
    (TLDRLoss(), tldr_loss, TARGET),
    (TLDRLoss(**SHARED), lambda *pair: tldr_loss(*pair, **SHARED), TARGET),
    (MixCELoss(), mixce_loss, TARGET),
    (MixCELoss(eta=0.2, **SHARED), lambda *pair: mixce_loss(*pair, eta=0.2, **SHARED), TARGET),
    (GEMLoss(), gem_loss, TARGET),
    (
        GEMLoss(temperature=1.2, contrast="log_sigmoid", **SHARED),
        lambda *pair: gem_loss(*pair, temperature=1.2, contrast="log_sigmoid", **SHARED),
        TARGET,
    ),
    (LogitAdjustedLoss(COUNTS), lambda *pair: logit_adjusted_loss(*pair, COUNTS), TARGET),
    (
        LogitAdjustedLoss(COUNTS, tau=0.5, **SHARED),
        lambda *pair: logit_adjusted_loss(*pair, COUNTS, tau=0.5, **SHARED),
        TARGET,
    ),
    (LDAMLoss(COUNTS), lambda *pair: ldam_loss(*pair, COUNTS), TARGET),
    (
        LDAMLoss(COUNTS, max_margin=0.3, scale=4.0, **SHARED),
        lambda *pair: ldam_loss(*pair, COUNTS, max_margin=0.3, scale=4.0, **SHARED),
        TARGET,
    ),
    (SigmoidFocalLoss(), sigmoid_focal_loss, PRESENT),
    (
        SigmoidFocalLoss(alpha=0.4, gamma=1.0, reduction="mean"),
        lambda *pair: sigmoid_focal_loss(*pair, alpha=0.4, gamma=1.0, reduction="mean"),
        PRESENT,
    ),
    (SigmoidHaltedFocalLoss(), sigmoid_halted_focal_loss, PRESENT),
    (
        SigmoidHaltedFocalLoss(alpha=0.4, gamma=1.0, threshold=0.3, halted="both", reduction="sum"),
        lambda *pair: sigmoid_halted_focal_loss(
            *pair, alpha=0.4, gamma=1.0, threshold=0.3, halted="both", reduction="sum"
        ),
        PRESENT,
    ),
    (SigmoidEurekaLoss(), sigmoid_eureka_loss, PRESENT),
    (
        SigmoidEurekaLoss(per_class(), bonus="power", bonus_gamma=2.0, threshold=0.1, likelihood_clamp=0.6),
        lambda *pair: sigmoid_eureka_loss(
            *pair, per_class(), bonus="power", bonus_gamma=2.0, threshold=0.1, likelihood_clamp=0.6
        ),
        PRESENT,
    ),
]
each_module = pytest.mark.parametrize(
    ("module", "function", "target"),
    CASES,
    ids=[type(case[0]).__name__ + (" with options" if index % 2 else "") for index, case in enumerate(CASES)],
)


@each_module
def test_each_module_is_its_function(module: Any, function: Any, target: Tensor) -> None:
    expected = function(INPUT, target)
    torch.testing.assert_close(module(INPUT, target), expected)
    assert expected.abs().sum() > 0
    for clone in (
        copy.deepcopy(module),
        pickle.loads(pickle.dumps(module)),
        copy.deepcopy(module).bfloat16(),
    ):
        assert clone(INPUT, target).equal(module(INPUT, target))  # no buffer lost its digits
        assert repr(clone) == repr(module)
    assert not list(module.parameters())


@each_module
def test_each_state_round_trips(module: Any, function: Any, target: Tensor) -> None:
    other = copy.deepcopy(module)
    for buffer in other.buffers():
        buffer.zero_()
    other.load_state_dict(module.state_dict())
    assert other(INPUT, target).equal(module(INPUT, target))


@each_module
def test_each_representation_names_the_options(module: Any, function: Any, target: Tensor) -> None:
    text = repr(module)
    assert text.startswith(f"{type(module).__name__}(")
    for name, value in module.options.items():
        shown = list(value.shape) if isinstance(value, Tensor) else repr(value)
        assert (f"{name}={shown}" in text) == (value is not None)
    assert "\n" not in text


def test_representation_by_hand() -> None:
    assert repr(FocalLoss(gamma=1.5, weight=torch.ones(3))) == (
        "FocalLoss(gamma=1.5, alpha=1.0, weight=[3], ignore_index=-100, reduction='mean', "
        "label_smoothing=0.0, impl='auto')"
    )
    assert repr(SigmoidFocalLoss()) == "SigmoidFocalLoss(alpha=0.25, gamma=2.0, reduction='none')"


@pytest.mark.parametrize("with_bias", [False, True])
def test_linear_module_is_its_function(with_bias: bool) -> None:
    hidden, weight = torch.randn(7, 3), torch.randn(C, 3)
    bias = torch.randn(C) if with_bias else None
    module = LinearEurekaLoss(per_class(), **LINEAR_ONLY)
    actual = module(hidden, weight, TARGET, bias)
    assert actual.equal(
        linear_eureka_loss(hidden, weight, TARGET, per_class(), linear_bias=bias, **LINEAR_ONLY)
    )
    expected = EurekaLoss(per_class(), **LINEAR_ONLY)(F.linear(hidden, weight, bias), TARGET)
    torch.testing.assert_close(actual, expected)
    from_counts = LinearEurekaLoss.from_counts(COUNTS)
    assert isinstance(from_counts, LinearEurekaLoss)
    assert from_counts.encouragement.equal(encouragement(COUNTS))


def test_margins_are_computed_once_and_stay_float32() -> None:
    module = LDAMLoss([16, 1, 0]).half()
    assert module.margins.dtype == torch.float32
    assert module.margins.tolist() == [0.25, 0.5, 0.0]


BAD: list[tuple[Any, Any, type[Exception], str]] = [
    (EurekaLoss, {"encouragement": -1.0}, ValueError, r"encouragement.*-1\.0"),
    (EurekaLoss, {"encouragement": torch.ones(2, 2)}, ValueError, r"encouragement.*\[2, 2\]"),
    (EurekaLoss, {"encouragement": "rare"}, TypeError, "encouragement.*str"),
    (EurekaLoss, {"bonus": "reward"}, ValueError, "bonus.*'reward'"),
    (EurekaLoss, {"gamma": 0.0}, ValueError, r"gamma.*0\.0"),
    (EurekaLoss, {"threshold": 1.5}, ValueError, r"threshold.*1\.5"),
    (EurekaLoss, {"likelihood_cap": 1.0}, ValueError, r"likelihood_cap.*1\.0"),
    (EurekaLoss, {"impl": "quick"}, ValueError, "impl.*'quick'"),
    (LinearEurekaLoss, {"label_smoothing": 2.0}, ValueError, r"label_smoothing.*2\.0"),
    (FocalLoss, {"gamma": -1.0}, ValueError, r"gamma.*-1\.0"),
    (FocalLoss, {"alpha": math.nan}, ValueError, "alpha.*nan"),
    (FocalLoss, {"alpha": [1, 2, 3]}, ValueError, r"alpha.*weight.*\[1, 2, 3\]"),
    (FocalLoss, {"weight": [1.0, 2.0]}, TypeError, "weight.*tensor.*list"),
    (LDAMLoss, {"class_counts": [1, 2], "ignore_index": None}, TypeError, "ignore_index.*None"),
    (SigmoidFocalLoss, {"alpha": [0.25, 0.5]}, ValueError, r"alpha.*\[0.25, 0.5\]"),
    (FocalLoss, {"reduction": "average"}, ValueError, "reduction.*'average'"),
    (HaltedFocalLoss, {"threshold": 1.0}, ValueError, r"threshold.*1\.0"),
    (HaltedFocalLoss, {"halted": torch.ones(3)}, TypeError, "halted.*torch.float32"),
    (HaltedFocalLoss, {"halted": [True]}, TypeError, "halted.*list"),
    (LDAMLoss, {"class_counts": [1, -2]}, ValueError, "class_counts.*-2"),
    (LDAMLoss, {"class_counts": [1, 2], "scale": 0.0}, ValueError, r"scale.*0\.0"),
    (LDAMLoss, {"class_counts": [1, 2], "max_margin": -1.0}, ValueError, r"max_margin.*-1\.0"),
    (LogitAdjustedLoss, {"class_counts": [1, 2], "tau": -1.0}, ValueError, r"tau.*-1\.0"),
    (PowerLoss, {"exponent": 0.0}, ValueError, r"exponent.*0\.0"),
    (AntiFocalLoss, {"gamma": -1.0}, ValueError, r"gamma.*-1\.0"),
    (MixCELoss, {"eta": 1.5}, ValueError, r"eta.*1\.5"),
    (SigmoidFocalLoss, {"alpha": 2.0}, ValueError, r"alpha.*2\.0"),
    (SigmoidFocalLoss, {"reduction": "average"}, ValueError, "reduction.*'average'"),
    (SigmoidHaltedFocalLoss, {"halted": "negative"}, ValueError, "halted.*'negative'"),
    (SigmoidHaltedFocalLoss, {"threshold": 0.0}, ValueError, r"threshold.*0\.0"),
    (SigmoidEurekaLoss, {"bonus_gamma": 0.0}, ValueError, r"gamma.*0\.0"),
    (SigmoidEurekaLoss, {"encouragement": math.inf}, ValueError, "encouragement.*inf"),
]


@pytest.mark.parametrize(("module", "options", "kind", "named"), BAD, ids=[case[-1] for case in BAD])
def test_bad_options_are_named_when_it_is_made(
    module: Any, options: Any, kind: type[Exception], named: str
) -> None:
    with pytest.raises(kind, match=named):
        module(**options)


@pytest.mark.parametrize("module", [EurekaLoss, LDAMLoss, HaltedFocalLoss, LogitAdjustedLoss])
def test_classes_in_the_last_dimension_are_said_to_be(module: Any) -> None:
    """Before class weights, whose number is right, are said to be wrong."""
    counts = range(1, C + 1)
    if module is EurekaLoss:
        loss = EurekaLoss.from_counts(counts)
    else:
        loss = HaltedFocalLoss(halted=torch.ones(C) > 0) if module is HaltedFocalLoss else module(counts)
    with pytest.raises(ValueError, match=r"dimension 1, of size 3, is the class dimension"):
        loss(torch.zeros(2, 3, C), torch.zeros(2, 3).long())


# -- a loss that runs away -----------------------------------------------------------------------------------


def running_away(module: Any, scale: float = 60.0) -> Tensor:
    """A batch whose mean loss is about ``-scale`` times the encouragement of class 0."""
    logits = torch.tensor([[scale, 0.0, 0.0]]).expand(4, 3)
    target = torch.zeros(4, dtype=torch.int64)
    if isinstance(module, LinearEurekaLoss):
        return module(logits, torch.eye(3), target)
    return module(logits, target)


@pytest.mark.parametrize("kind", [EurekaLoss, LinearEurekaLoss])
def test_a_loss_that_runs_away_is_told_once(kind: Any) -> None:
    module = kind(encouragement=2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert running_away(module, 40.0) > -100
    with pytest.warns(UserWarning, match="mean loss of -118.*running away.*likelihood_cap=0.9") as told:
        loss = running_away(module)
    assert loss < -100
    assert told[0].filename == __file__  # where it was called
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for again in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            running_away(again)
    with pytest.warns(UserWarning, match="running away"):
        running_away(kind(encouragement=2.0))


@pytest.mark.parametrize(
    "options",
    [
        {"likelihood_cap": 0.9, "encouragement": 100.0},  # which have a floor, however low
        {"likelihood_clamp": 0.99999, "encouragement": 100.0},
        {"bonus": "power", "encouragement": 200.0},
        {"reduction": "sum", "encouragement": 2.0},  # whose size is that of the batch
        {"reduction": "none", "encouragement": 2.0},
    ],
)
def test_what_has_a_floor_or_no_mean_is_left_alone(options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert running_away(EurekaLoss(**options)).min() < -100


@pytest.mark.parametrize("how", ["compile", "vmap", "grad", "make_fx", "fake", "meta"])
@pytest.mark.filterwarnings("ignore:.*make_fx")
def test_nobody_looks_for_it_where_values_cannot_be_seen(how: str) -> None:
    module = EurekaLoss(2.0, impl="reference")
    logits, target = torch.tensor([[60.0, 0.0, 0.0]]).expand(4, 3), torch.zeros(4, dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*running away")
        if how == "compile":
            torch.compiler.reset()
            loss = torch.compile(module, fullgraph=True, backend="eager")(logits, target)
        elif how == "vmap":
            loss = torch.func.vmap(module)(logits.unsqueeze(1), target.unsqueeze(1))
        elif how == "grad":
            loss = torch.func.grad_and_value(module)(logits, target)[1]
        elif how == "make_fx":
            loss = make_fx(module)(logits, target)(logits, target)
        elif how == "fake":
            with FakeTensorMode():
                assert EurekaLoss(2.0)(torch.empty(4, 3), torch.zeros(4, dtype=torch.int64)).shape == ()
            return
        else:
            assert module(logits.to("meta"), target.to("meta")).device.type == "meta"
            return
    assert (loss < -100).all()


def test_halted_classes_are_checked_when_the_module_is_made() -> None:
    assert HaltedFocalLoss().halted is None
    assert HaltedFocalLoss(halted=torch.tensor([True, False])).halted is not None
    with pytest.raises(TypeError, match="halted must be a bool tensor"):
        HaltedFocalLoss(halted=torch.ones(2))


def test_a_device_is_asked_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """As asking waits for it: at each thousandth call."""
    asked = []
    monkeypatch.setattr(runaway, "_value", lambda loss: asked.append(loss.item()) or 0.0)
    monkeypatch.setattr(runaway, "_is_cheap_to_read", lambda loss: False)
    module = EurekaLoss(2.0)
    for call in range(1, 2002):
        module.watch(torch.tensor(call))
    assert asked == [1000, 2000]
