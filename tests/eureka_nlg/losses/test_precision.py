"""Digits where a naive formula has none: likelihoods next to 0 and 1, masked classes, half precision."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from plain_formulas import closed_form_gradient, exact_log_likelihoods
from torch import Tensor

from eureka_nlg.losses import eureka_loss

OPTIONS: list[Any] = [
    {},
    {"encouragement": 3.0},
    {"bonus": "power", "gamma": 2.0},
    {"threshold": 0.5},
    {"likelihood_cap": 0.9},
    {"likelihood_cap": 0.9, "threshold": 0.95},
    {"label_smoothing": 0.1},
]

# The logit of the target, and the range of the others; the target has index 2 of 9.
RANGES = {
    "200 above the rest": (200.0, (-1.0, 1.0)),
    "200 above the rest, all far up": (12200.0, (11999.0, 12000.0)),
    "the others below what exp can hold with the target's maximum": (200.0, (-310.0, -300.0)),
    "the others far apart": (150.0, (-200.0, 50.0)),
    "p = 1 - 1e-9": (22.0, (0.0, 1.0)),
    "p = 0.99": (6.0, (0.0, 1.0)),
    "p small": (-15.0, (0.0, 1.0)),
    "200 below the rest": (-200.0, (-1.0, 1.0)),
}


def row(target_logit: float, others: tuple[float, float], dtype: torch.dtype) -> Tensor:
    logits = torch.empty(1, 9).uniform_(*others)
    logits[0, 2] = target_logit
    return logits.to(dtype).requires_grad_()


TARGET = torch.tensor([2])


def tolerance(logits: Tensor) -> float:
    """Relative, of a softmax: a logsumexp of such logits may be rounded once."""
    return 1e-5 + float(logits.detach().abs().max()) * torch.finfo(logits.dtype).eps


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("encouragement", [0.5, 1.0, 4.0])
def test_likelihood_bonus_is_right_next_to_one(
    impl: str, case: Any, dtype: torch.dtype, encouragement: float
) -> None:
    input = row(*case, dtype)
    log_p, log_not_p = exact_log_likelihoods(input[0].tolist(), 2)
    loss = eureka_loss(input, TARGET, encouragement, impl=impl)
    assert loss.item() == pytest.approx(-log_p + encouragement * log_not_p, rel=1e-5, abs=0)

    # notes, section 2: dL/dz_y = (p - 1) - w p, and its share of the others is q
    (gradient,) = torch.autograd.grad(loss, input)
    slope = torch.tensor(-math.exp(log_not_p) - encouragement * math.exp(log_p), dtype=torch.float64)
    expected = closed_form_gradient(input[0].detach(), 2, slope)
    torch.testing.assert_close(gradient[0].double(), expected, rtol=tolerance(input), atol=1e-30)


@pytest.mark.parametrize("case", RANGES.values(), ids=RANGES)
def test_power_bonus_is_right_next_to_one(impl: str, case: Any) -> None:
    input = row(*case, torch.float32)
    log_p, log_not_p = exact_log_likelihoods(input[0].tolist(), 2)
    loss = eureka_loss(input, TARGET, 2.0, bonus="power", gamma=3.0, impl=impl)
    assert loss.item() == pytest.approx(-log_p - 2 * math.exp(3 * log_p), rel=1e-5, abs=0)
    (gradient,) = torch.autograd.grad(loss, input)
    slope = -math.exp(log_not_p) - 2 * 3 * math.exp(3 * log_p) * math.exp(log_not_p)
    expected = closed_form_gradient(input[0].detach(), 2, torch.tensor(slope, dtype=torch.float64))
    torch.testing.assert_close(gradient[0].double(), expected, rtol=tolerance(input), atol=1e-30)


@pytest.mark.parametrize("log_odds", [1.0, 10.0, 20.0, 50.0, 80.0])
def test_cross_entropy_keeps_its_digits_too(impl: str, log_odds: float) -> None:
    input = torch.tensor([[log_odds, 0.0]])
    loss = eureka_loss(input, torch.tensor([0]), 0.0, impl=impl)
    assert loss.item() == pytest.approx(math.log1p(math.exp(-log_odds)), rel=1e-5, abs=0)


def test_the_reward_is_not_switched_off_by_a_clamp(impl: str) -> None:
    # a clamp of 1 - p at 1e-5 makes this gradient 1e-13 instead of one
    input = torch.tensor([[30.0, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(eureka_loss(input, torch.tensor([0]), impl=impl), input)
    torch.testing.assert_close(gradient, torch.tensor([[-1.0, 1.0]]))


@pytest.mark.parametrize("cap", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("log_odds", [10.0, 40.0, 200.0])
def test_capped_bonus_next_to_one(impl: str, cap: float, log_odds: float) -> None:
    input = torch.tensor([[log_odds, 0.0]], requires_grad=True)
    loss = eureka_loss(input, torch.tensor([0]), likelihood_cap=cap, impl=impl)
    log_p, log_not_p = exact_log_likelihoods([log_odds, 0.0], 0)
    p, not_p = math.exp(log_p), math.exp(log_not_p)
    assert loss.item() == pytest.approx(-log_p + math.log(1 - cap) - (p - cap) / (1 - cap), rel=1e-5)
    # the bonus stays on: d/du of the line is p (1 - p) times its slope
    (gradient,) = torch.autograd.grad(loss, input)
    expected = -not_p - p * not_p / (1 - cap)
    assert gradient.tolist()[0] == pytest.approx([expected, -expected], rel=1e-5, abs=1e-37)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(
    "case", ["200 above the rest", "the others far apart", "p = 0.99", "200 below the rest"]
)
def test_half_precision_is_finite(impl: str, dtype: torch.dtype, options: Any, case: str) -> None:
    input = row(*RANGES[case], dtype)
    loss = eureka_loss(input, TARGET, impl=impl, **options)
    (gradient,) = torch.autograd.grad(loss, input)
    assert loss.dtype == gradient.dtype == dtype
    assert loss.isfinite()
    assert gradient.isfinite().all()
    # the same as float32 on the same rounded logits, rounded once
    exact_input = input.detach().float().requires_grad_()
    exact_loss = eureka_loss(exact_input, TARGET, impl=impl, **options)
    (exact_gradient,) = torch.autograd.grad(exact_loss, exact_input)
    assert loss.equal(exact_loss.to(dtype))
    torch.testing.assert_close(gradient, exact_gradient.to(dtype))


@given(
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([1.0, 30.0, 1e3, 1e5, 1e30]),
    num_classes=st.integers(1, 6),
    options=st.sampled_from(OPTIONS),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_gradients_are_finite_and_bounded_everywhere(
    impl: str, seed: int, scale: float, num_classes: int, options: Any, dtype: torch.dtype
) -> None:
    torch.manual_seed(seed)
    input = (scale * torch.randn(8, num_classes)).to(dtype).requires_grad_()
    loss = eureka_loss(input, torch.randint(num_classes, (8,)), reduction="sum", impl=impl, **options)
    (gradient,) = torch.autograd.grad(loss, input)
    assert gradient.isfinite().all()
    # |dL/dz| <= 1 + w with the likelihood bonus; the others' slopes here are no steeper than 1 + 10
    assert gradient.abs().max() <= 1 + options.get("encouragement", 10.0) + 1e-5
    # a constant added to all logits changes nothing
    assert gradient.sum(-1).abs().max() <= 1e-5


@pytest.mark.parametrize("options", OPTIONS[:-1], ids=str)
def test_masked_classes_are_not_there(impl: str, options: Any) -> None:
    """Logits of -inf exclude a class: the same as a shorter vector, and no gradient for them."""
    kept = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    masked = torch.full((4, 5), -math.inf, dtype=torch.float64)
    masked[:, [0, 2, 4]] = kept.detach()
    masked.requires_grad_()
    target = torch.tensor([0, 1, 2, 1])
    expected = eureka_loss(kept, target, impl=impl, **options)
    actual = eureka_loss(masked, 2 * target, impl=impl, **options)
    torch.testing.assert_close(actual, expected)
    (gradient,) = torch.autograd.grad(actual, masked)
    (expected_gradient,) = torch.autograd.grad(expected, kept)
    torch.testing.assert_close(gradient[:, [0, 2, 4]], expected_gradient)
    assert not gradient[:, [1, 3]].any()


@pytest.mark.parametrize("options", OPTIONS[:-1], ids=str)
def test_a_target_alone_has_nothing_to_learn(impl: str, options: Any) -> None:
    input = torch.tensor([[-math.inf, 1.0, -math.inf], [0.5, 1.0, 2.0]], requires_grad=True)
    losses = eureka_loss(input, torch.tensor([1, 1]), reduction="none", impl=impl, **options)
    (gradient,) = torch.autograd.grad(losses.sum(), input)
    assert losses[0].item() == 0.0
    assert gradient[0].tolist() == [0.0, 0.0, 0.0]
    assert gradient[1].abs().min() > 0


@pytest.mark.parametrize("options", OPTIONS[:-1], ids=str)
def test_an_impossible_target_costs_infinitely(impl: str, options: Any) -> None:
    input = torch.tensor([[1.0, -math.inf, 0.0]], requires_grad=True)
    loss = eureka_loss(input, torch.tensor([1]), impl=impl, **options)
    (gradient,) = torch.autograd.grad(loss, input)
    expected = F.cross_entropy(input, torch.tensor([1]))
    assert loss.item() == expected.item() == math.inf
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, input)[0])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(
    "logits", [[math.nan, 0, 1], [0, math.nan, 1], [math.inf, 0, 1], [0, math.inf, 1]], ids=str
)
def test_broken_logits_are_not_hidden(impl: str, options: Any, logits: list[float]) -> None:
    """Overflow of a half precision model must reach the loss scaler, as it does through cross-entropy."""
    input, target = torch.tensor([logits], dtype=torch.float32, requires_grad=True), torch.tensor([0])
    assert not F.cross_entropy(input, target).isfinite()
    loss = eureka_loss(input, target, impl=impl, **options)
    assert not loss.isfinite()
    assert not torch.autograd.grad(loss, input)[0].isfinite().all()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_row_without_any_class_is_not_hidden(impl: str, options: Any) -> None:
    loss = eureka_loss(torch.full((1, 3), -math.inf), torch.tensor([0]), impl=impl, **options)
    assert loss.isnan()


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_loss_scaling_saves_small_gradients(impl: str, reduction: str) -> None:
    """The scale must reach the gradient before it is rounded to half precision, or it saves nothing."""
    logits = torch.zeros(4, 512)
    logits[:, 0] = 18.0  # the others' share of the gradient is 1.5e-8, below the smallest half of 6e-8
    input = logits.half().requires_grad_()
    scale = 2.0**15
    loss = eureka_loss(
        input, torch.ones(4, dtype=torch.long), 0.0, reduction=reduction, dtype=torch.float32, impl=impl
    )
    (gradient,) = torch.autograd.grad(scale * loss, input)
    exact = logits.double().requires_grad_()
    expected = F.cross_entropy(exact, torch.ones(4, dtype=torch.long), reduction=reduction)
    (expected_gradient,) = torch.autograd.grad(scale * expected, exact)
    rare = slice(2, None)
    assert expected_gradient[:, rare].min() > 1e-6
    torch.testing.assert_close(gradient[:, rare].double(), expected_gradient[:, rare], rtol=1e-2, atol=1e-7)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("broken", [math.inf, -math.inf, 1e30])
def test_ignored_rows_do_no_harm(impl: str, options: Any, broken: float) -> None:
    input = torch.randn(2, 4)
    input[0, 0] = broken
    input.requires_grad_()
    loss = eureka_loss(input, torch.tensor([-100, 2]), impl=impl, **options)
    (gradient,) = torch.autograd.grad(loss, input)
    alone = input.detach()[1:].requires_grad_()
    expected = eureka_loss(alone, torch.tensor([2]), impl=impl, **options)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient[1:], torch.autograd.grad(expected, alone)[0])
    if broken != math.inf:  # there F.cross_entropy has NaN as well
        assert not gradient[0].any()
