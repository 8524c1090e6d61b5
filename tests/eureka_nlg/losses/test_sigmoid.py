"""The losses for detection against torchvision and plain formulas in float64."""

from __future__ import annotations

import math
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

from eureka_nlg.losses import sigmoid_eureka_loss, sigmoid_focal_loss, sigmoid_halted_focal_loss

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
