"""The losses for detection against torchvision and plain formulas in float64."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import assert_same
from plain_formulas import (
    Point,
    eureka_at,
    focal_at,
    halted_focal_at,
    plain_bonus,
    plain_focal,
    plain_halted_focal,
)
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from eureka_nlg.losses import (
    SigmoidEurekaLoss,
    SigmoidFocalLoss,
    SigmoidHaltedFocalLoss,
    sigmoid_eureka_loss,
    sigmoid_focal_loss,
    sigmoid_halted_focal_loss,
)
from eureka_nlg.options import BadOption

C = 5
FUNCTIONS = [sigmoid_focal_loss, sigmoid_halted_focal_loss, sigmoid_eureka_loss]
each_function = pytest.mark.parametrize("call", FUNCTIONS, ids=lambda call: call.__name__)


def batch(shape: tuple[int, ...] = (4, C), dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    logits = (3 * torch.randn(shape, dtype=torch.float64)).to(dtype).requires_grad_()
    return logits, torch.randint(2, shape).to(dtype)


def reduced(loss: Tensor, present: Tensor, alpha: float, reduction: str) -> Tensor:
    loss = loss if alpha == -1 else torch.where(present, alpha, 1 - alpha) * loss
    return loss if reduction == "none" else getattr(loss, reduction)()


def likelihoods(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    present = target > 0
    p = 1 / (1 + (-input.double()).exp())
    return torch.where(present, p, 1 - p), present


def plain_halted(
    input: Tensor,
    target: Tensor,
    *,
    gamma: float,
    threshold: float,
    halted: str,
    alpha: float,
    reduction: str,
) -> Tensor:
    p, present = likelihoods(input, target)
    loss = plain_halted_focal(p, gamma, threshold)
    if halted == "positive":
        loss = torch.where(present, loss, plain_focal(p, gamma))
    return reduced(loss, present, alpha, reduction)


def plain_eureka(
    input: Tensor,
    target: Tensor,
    encouragement: Any,
    *,
    bonus: str,
    bonus_gamma: float,
    threshold: float | None,
    likelihood_cap: float | None,
    likelihood_clamp: float | None,
    gamma: float,
    alpha: float,
    reduction: str,
) -> Tensor:
    p, present = likelihoods(input, target)
    rewarded = p if likelihood_clamp is None else p.clamp(max=likelihood_clamp)
    value = plain_bonus(rewarded, bonus, bonus_gamma, likelihood_cap)
    if threshold is not None:
        start = plain_bonus(torch.tensor(threshold, dtype=torch.float64), bonus, bonus_gamma, likelihood_cap)
        value = torch.where(p > threshold, value - start, 0.0)
    weight = 1.0 if encouragement is None else encouragement
    loss = torch.where(present, -p.log() + weight * value, plain_focal(p, gamma))
    return reduced(loss, present, alpha, reduction)


SHARED: dict[str, Any] = {
    "seed": st.integers(0, 2**31),
    "shape": st.sampled_from([(4, C), (C,), (2, 3, C), (0, C)]),
    "gamma": st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]),
    "alpha": st.sampled_from([-1.0, 0.0, 0.25, 1.0]),
    "reduction": st.sampled_from(["none", "mean", "sum"]),
    "dtype": st.sampled_from([torch.float64, torch.float32]),
}


@given(**SHARED)
def test_focal_loss_is_torchvisions(
    seed: int, shape: tuple[int, ...], dtype: torch.dtype, **options: Any
) -> None:
    ops = pytest.importorskip("torchvision.ops")
    torch.manual_seed(seed)
    input, target = batch(shape, dtype)
    actual = sigmoid_focal_loss(input, target, **options)
    assert actual.dtype == dtype
    assert_same(actual, ops.sigmoid_focal_loss(input.double(), target.double(), **options), input)


@given(**SHARED, threshold=st.sampled_from([0.1, 0.5, 0.9]), halted=st.sampled_from(["positive", "both"]))
def test_halted_focal_loss(seed: int, shape: tuple[int, ...], dtype: torch.dtype, **options: Any) -> None:
    torch.manual_seed(seed)
    input, target = batch(shape, dtype)
    actual = sigmoid_halted_focal_loss(input, target, **options)
    assert actual.dtype == dtype
    assert_same(actual, plain_halted(input, target, **options), input)


@given(
    **SHARED,
    encouragement=st.sampled_from([None, 0.0, 2.5, torch.linspace(0, 3, C, dtype=torch.float64)]),
    bonus=st.sampled_from(["likelihood", "power"]),
    bonus_gamma=st.sampled_from([0.5, 1.0, 3.0]),
    threshold=st.sampled_from([None, 0.5]),
    likelihood_cap=st.sampled_from([None, 0.4, 0.9]),
    likelihood_clamp=st.sampled_from([None, 0.7]),
)
def test_eureka_loss(
    seed: int, shape: tuple[int, ...], dtype: torch.dtype, encouragement: Any, **options: Any
) -> None:
    torch.manual_seed(seed)
    input, target = batch(shape, dtype)
    actual = sigmoid_eureka_loss(input, target, encouragement, **options)
    assert actual.dtype == dtype
    assert_same(actual, plain_eureka(input, target, encouragement, **options), input)


def test_by_hand() -> None:
    # p = 0.8 present, 0.25 absent (p_t = 0.75)
    input = torch.tensor([math.log(4), -math.log(3)], dtype=torch.float64)
    target = torch.tensor([1, 0])
    approx = pytest.approx
    focal = [0.25 * 0.04 * -math.log(0.8), 0.75 * 0.0625 * -math.log(0.75)]
    assert sigmoid_focal_loss(input, target).tolist() == approx(focal)
    shift = 0.75 * math.log(2)
    halted = [0.25 * (-math.log(0.8) - shift), focal[1]]
    assert sigmoid_halted_focal_loss(input, target).tolist() == approx(halted)
    both = [halted[0], 0.75 * (-math.log(0.75) - shift)]
    assert sigmoid_halted_focal_loss(input, target, halted="both").tolist() == approx(both)
    eureka = [0.25 * (-math.log(0.8) + math.log(0.2)), focal[1]]
    assert sigmoid_eureka_loss(input, target).tolist() == approx(eureka)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("call", "options", "at_present", "at_absent"),
    [
        (sigmoid_focal_loss, {}, focal_at, focal_at),
        (sigmoid_focal_loss, {"gamma": 5.0}, focal_at, focal_at),
        (sigmoid_halted_focal_loss, {}, halted_focal_at, focal_at),
        (sigmoid_halted_focal_loss, {"halted": "both"}, halted_focal_at, halted_focal_at),
        (sigmoid_eureka_loss, {}, eureka_at, focal_at),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value),
)
def test_exact_at_extreme_logits(
    dtype: torch.dtype, call: Any, options: Any, at_present: Any, at_absent: Any
) -> None:
    logits = [-200.0, -67.0, -15.0, -1.0, 0.5, 15.0, 30.0, 80.0, 200.0]
    formula = {key: value for key, value in options.items() if key != "halted"}
    for present in (1, 0):
        input = torch.tensor(logits, dtype=dtype, requires_grad=True)
        losses = call(input, torch.full_like(input, present), alpha=-1, **options)
        (gradient,) = torch.autograd.grad(losses.sum(), input)
        for logit, loss, slope in zip(logits, losses.tolist(), gradient.tolist()):
            u = logit if present else -logit
            logs = [-(max(-x, 0.0) + math.log1p(math.exp(-abs(x)))) for x in (u, -u)]
            gamma = {} if at_present is eureka_at and present else formula
            point: Point = (at_present if present else at_absent)(*logs, **gamma)
            size = max(map(abs, point.parts))
            assert loss == pytest.approx(math.fsum(point.parts), abs=max(1e-5 * size, 1e-37))
            assert slope == pytest.approx(point.slope if present else -point.slope, rel=1e-5, abs=1e-37)


@each_function
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast(call: Any, dtype: torch.dtype) -> None:
    input, target = batch(dtype=dtype)
    exact = call(input.float(), target)
    loss = call(input, target)
    assert loss.equal(exact.to(dtype))  # rounded once
    (gradient,) = torch.autograd.grad(loss.sum(), input)
    assert gradient.dtype == dtype
    with torch.autocast("cpu", dtype):
        assert call(input, target).equal(exact)  # in float32, as binary cross-entropy is


@each_function
def test_infinite_logits(call: Any) -> None:
    """Certainty costs nothing or infinitely; focal loss of an impossible class is that of cross-entropy."""
    input = torch.tensor([-math.inf, math.inf], requires_grad=True)
    losses = call(input, torch.tensor([1, 0]))
    assert losses.tolist() == [math.inf, math.inf]
    (gradient,) = torch.autograd.grad(losses.sum(), input)
    assert gradient.tolist() == [-0.25, 0.75]
    certain = call(-input.detach(), torch.tensor([1, 0]))
    assert not certain.isnan().any()


@each_function
@pytest.mark.parametrize("target_dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float64])
def test_any_dtype_of_the_target(call: Any, target_dtype: torch.dtype) -> None:
    input, target = batch()
    assert call(input, target.to(target_dtype)).equal(call(input, target))


@each_function
def test_derivatives_and_transforms(call: Any) -> None:
    input, target = batch((3, 4))
    assert torch.autograd.gradcheck(lambda logits: call(logits, target), (input,))
    assert torch.autograd.gradgradcheck(lambda logits: call(logits, target), (input,))
    torch.testing.assert_close(torch.func.vmap(call)(input, target), call(input, target))
    gradient = torch.func.vmap(torch.func.grad(lambda *pair: call(*pair).sum()))(input.detach(), target)
    torch.testing.assert_close(gradient, torch.autograd.grad(call(input, target).sum(), input)[0])


@pytest.mark.filterwarnings("ignore")
def test_all_compile_in_one_piece() -> None:
    torch.compiler.reset()
    input, target = batch()

    def every(logits: Tensor, labels: Tensor) -> Tensor:
        return torch.stack([call(logits, labels, reduction="mean") for call in FUNCTIONS])

    compiled = torch.compile(every, fullgraph=True, backend="aot_eager")
    assert_same(compiled(input, target), every(input, target), input)


# -- targets that are neither 0 nor 1 ------------------------------------------------------------------------


def value_and_gradient(how: str, call: Any, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Of a loss ``[N]``, where the values of targets cannot be looked at."""
    if how == "grad":
        total = torch.func.grad_and_value(lambda logits: call(logits, target).sum())
        gradient, loss = total(input)
        return loss.expand(len(input)), gradient
    if how == "compile":
        torch.compiler.reset()
        call = torch.compile(call, fullgraph=True, backend="aot_eager")
    elif how == "vmap":
        call = torch.func.vmap(call)
    else:
        call = make_fx(call)(input, torch.zeros_like(target))
    logits = input.clone().requires_grad_()
    loss = call(logits, target)
    return loss, torch.autograd.grad(loss.sum(), logits)[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["compile", "grad", "vmap", "make_fx"])
@each_function
@pytest.mark.parametrize("alpha", [-1.0, 1.0])
@pytest.mark.parametrize("wrong", [torch.tensor([1.0, 0.3]), torch.tensor([1, 2])], ids=["soft", "integer"])
def test_unseen_targets_are_never_taken_for_absent(how: str, call: Any, alpha: float, wrong: Tensor) -> None:
    input = torch.tensor([[0.5, -1.0], [2.0, 0.1]])
    target = torch.stack([wrong, torch.zeros_like(wrong)])
    loss, gradient = value_and_gradient(how, lambda *pair: call(*pair, alpha=alpha).sum(-1), input, target)
    assert loss[0].isnan()
    assert gradient.isnan().tolist() == [[False, True], [False, False]]


@each_function
@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        (0.3, r"0\.3.*soft targets.*lam \* loss"),
        (-1.0, "-1.*ignore_index=-1"),
        (2.0, r"2\.0.*ignore_index=2"),
    ],
)
def test_wrong_targets_are_named_with_the_remedy(call: Any, wrong: float, remedy: str) -> None:
    with pytest.raises(ValueError, match="target must be 0 or 1 everywhere, got " + remedy):
        call(torch.zeros(3), torch.tensor([0.0, wrong, 1.0]))


@each_function
@pytest.mark.parametrize(("dtype", "ignored"), [(torch.int64, -1), (torch.float32, -1), (torch.uint8, 255)])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_ignored_entries_count_for_nothing(
    call: Any, dtype: torch.dtype, ignored: int, reduction: str
) -> None:
    input, present = batch((3, 4))
    kept = torch.tensor([[1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 1, 1]]) == 1
    with torch.no_grad():
        input[1, 0] = math.nan  # not even that reaches a gradient
    target = torch.where(kept, present, ignored).to(dtype)
    loss = call(input, target, ignore_index=ignored, reduction=reduction)
    (gradient,) = torch.autograd.grad(loss.sum(), input)
    alone = input.detach()[kept].requires_grad_()
    expected = call(alone, present[kept], reduction=reduction)
    (slope,) = torch.autograd.grad(expected.sum(), alone)
    if reduction == "none":
        expected = torch.zeros_like(loss).masked_scatter(kept, expected)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient).masked_scatter(kept, slope))


@each_function
def test_the_mean_of_nothing_is_nan_as_in_cross_entropy(call: Any) -> None:
    input = torch.randn(3, requires_grad=True)
    loss = call(input, torch.full((3,), -1), ignore_index=-1, reduction="mean")
    assert loss.isnan()
    assert call(input, torch.full((3,), -1), ignore_index=-1, reduction="sum").item() == 0.0


def test_what_cannot_be_ignored() -> None:
    for wrong in (0, 1, 0.5, True, "x"):
        with pytest.raises(BadOption, match="ignore_index must be an integer other than 0 and 1, or None"):
            SigmoidFocalLoss(ignore_index=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unsigned"):  # which -1 cannot be found in
        sigmoid_focal_loss(torch.zeros(2), torch.tensor([0, 255], dtype=torch.uint8), ignore_index=-1)


@pytest.mark.parametrize("kind", [SigmoidFocalLoss, SigmoidHaltedFocalLoss, SigmoidEurekaLoss])
def test_modules_ignore_too(kind: Any) -> None:
    input, target = torch.randn(4), torch.tensor([0, 1, -1, 1])
    module = pickle.loads(pickle.dumps(kind(ignore_index=-1, reduction="mean")))
    kept = target >= 0
    torch.testing.assert_close(module(input, target), kind(reduction="mean")(input[kept], target[kept]))
    assert "ignore_index=-1" in repr(module)
    before = kind()
    del before.__dict__["ignore_index"]  # as a module that was pickled before it had one
    assert before(input[kept], target[kept]).shape == (3,)


def test_one_logit_and_one_row() -> None:
    """A scalar takes one weight, and a row without further dimensions one for each class."""
    p = torch.tensor(0.5).sigmoid()
    for encouragement in (2.0, torch.tensor(2.0), torch.tensor([2.0])):
        for call in (
            lambda *given, weight=encouragement: sigmoid_eureka_loss(*given, weight, alpha=1.0),
            SigmoidEurekaLoss(encouragement, alpha=1.0),
        ):
            loss = call(torch.tensor(0.5), torch.tensor(1))
            assert loss.shape == ()
            torch.testing.assert_close(loss, -p.log() + 2 * (1 - p).log())
    weights = torch.tensor([1.0, 2.0, 3.0])
    row = sigmoid_eureka_loss(torch.full((3,), 0.5), torch.ones(3), weights, alpha=1.0)
    torch.testing.assert_close(row, -p.log() + weights * (1 - p).log())
    with pytest.raises(ValueError, match=r"encouragement must have shape \[1\]"):
        sigmoid_eureka_loss(torch.tensor(0.5), torch.tensor(1), weights)


def test_a_module_with_one_logit_per_class() -> None:
    """Without a dimension of rows, and without any dimension."""
    encouragement = torch.tensor([0.5, 1.0, 2.0])
    input, target = torch.randn(3), torch.tensor([1.0, 0.0, 1.0])
    found = SigmoidEurekaLoss(encouragement)(input, target)
    assert found.equal(SigmoidEurekaLoss(encouragement)(input[None], target[None])[0])
    alone = SigmoidEurekaLoss(torch.tensor([0.5]))(input[0], target[0])
    assert alone.equal(SigmoidEurekaLoss(0.5)(input, target)[0])
