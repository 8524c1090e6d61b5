"""Digits where a naive formula has none: likelihoods next to 0 and 1, masked classes, half precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from plain_formulas import (
    Point,
    anti_focal_at,
    closed_form_gradient,
    dft_at,
    eureka_at,
    exact_log_likelihoods,
    focal_at,
    halted_focal_at,
    long_log_likelihoods,
    mixce_at,
    power_at,
    tldr_at,
)
from torch import Tensor

from eureka_nlg.losses import (
    anti_focal_loss,
    dft_loss,
    eureka_loss,
    focal_loss,
    halted_focal_loss,
    ldam_loss,
    mixce_loss,
    power_loss,
    tldr_loss,
)
from eureka_nlg.losses.checks import Options
from eureka_nlg.losses.logits import loss_and_log_odds
from eureka_nlg.losses.objectives import CrossEntropy

# Each loss, the same at one likelihood, and the options of both.
FORMULAS: list[tuple[Callable[..., Tensor], Callable[..., Point], dict[str, Any]]] = [
    (eureka_loss, eureka_at, {"encouragement": 0.0}),
    (eureka_loss, eureka_at, {}),
    (eureka_loss, eureka_at, {"encouragement": 4.0}),
    (eureka_loss, eureka_at, {"bonus": "power", "gamma": 3.0, "encouragement": 2.0}),
    (eureka_loss, eureka_at, {"bonus": "power", "gamma": 0.5}),
    (eureka_loss, eureka_at, {"threshold": 0.5}),
    (eureka_loss, eureka_at, {"likelihood_cap": 0.9}),
    (eureka_loss, eureka_at, {"likelihood_cap": 0.999, "bonus": "power", "gamma": 2.0}),
    (eureka_loss, eureka_at, {"likelihood_cap": 0.9, "threshold": 0.95}),
    (eureka_loss, eureka_at, {"likelihood_clamp": 0.999}),
    (focal_loss, focal_at, {"gamma": 0.5}),
    (focal_loss, focal_at, {"gamma": 1.0}),
    (focal_loss, focal_at, {"gamma": 2.0, "alpha": 0.25}),
    (focal_loss, focal_at, {"gamma": 5.0}),
    (halted_focal_loss, halted_focal_at, {}),
    (halted_focal_loss, halted_focal_at, {"gamma": 1.0, "threshold": 0.9, "alpha": 0.25}),
    (dft_loss, dft_at, {}),
    (power_loss, power_at, {}),
    (power_loss, power_at, {"exponent": 10.0}),
    (anti_focal_loss, anti_focal_at, {"gamma": 2.5}),
    (tldr_loss, tldr_at, {}),
    (mixce_loss, mixce_at, {"eta": 0.3}),
]


def multiple_of_cross_entropy(call: Any, options: dict[str, Any]) -> float:
    """What a loss is at p = 0; those that have the factor p are zero and flat there."""
    others = {dft_loss: 0.0, power_loss: 0.0, tldr_loss: 2.0, mixce_loss: options.get("eta", 0.5)}
    return others.get(call, options.get("alpha", 1.0))


def name(options: Any) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items()) if isinstance(options, dict) else ""


each_formula = pytest.mark.parametrize(("call", "at", "options"), FORMULAS, ids=name)

# The logit of the target, and the range of the others; the target has index 2 of 9.
RANGES = {
    "200 above the rest": (200.0, (-1.0, 1.0)),
    "200 above the rest, all far up": (12200.0, (11999.0, 12000.0)),
    "the others below what exp can hold with the target's maximum": (200.0, (-310.0, -300.0)),
    "the others far apart": (150.0, (-200.0, 50.0)),
    "p = 1 - 1e-9": (22.0, (0.0, 1.0)),
    "p = 1 - 1e-12": (30.0, (0.0, 1.0)),
    "p = 0.99": (6.0, (0.0, 1.0)),
    "p small": (-15.0, (0.0, 1.0)),
    "p = 1e-30": (-67.0, (0.0, 1.0)),
    "200 below the rest": (-200.0, (-1.0, 1.0)),
}
TARGET = torch.tensor([2])


def row(target_logit: float, others: tuple[float, float], dtype: torch.dtype) -> Tensor:
    logits = torch.empty(1, 9, dtype=dtype).uniform_(*others)
    logits[0, 2] = target_logit
    return logits


def assert_exact(loss: Tensor, gradient: Tensor, point: Point, logits: Tensor, label: int) -> None:
    """Value, slope and the share of each other class to 1e-5 relative, zero only where float32 has none."""
    smallest = 1e-37
    size = max(map(abs, point.parts))
    assert loss.item() == pytest.approx(math.fsum(point.parts), abs=max(1e-5 * size, smallest))
    expected = closed_form_gradient(logits, label, point.slope)
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-5, atol=smallest)


@each_formula
def test_each_loss_is_exact_at_any_likelihood(
    impl: str, dtype: torch.dtype, call: Any, at: Any, options: Any
) -> None:
    rows = torch.cat([row(*case, torch.float32) for case in RANGES.values()])
    for exact_in in {torch.float32, dtype}:
        input = rows.to(exact_in).requires_grad_()
        losses = call(input, TARGET.expand(len(rows)), reduction="none", impl=impl, **options)
        (gradient,) = torch.autograd.grad(losses.sum(), input)
        for logits, loss, slopes in zip(rows, losses, gradient):
            point = at(*exact_log_likelihoods(tuple(logits.tolist()), 2), **options)
            assert_exact(loss, slopes, point, logits, 2)


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("num_classes", [2, 10, 3000, 100_000])
def test_any_number_of_classes_and_scale(impl: str, num_classes: int, scale: float) -> None:
    """Targets from p = 1e-30 to 1 - 1e-12 among logits of this scale."""
    log_odds = [math.log(1e-30), math.log(1e-8), -1.0, 0.5, math.log(1e6), math.log(1e12)]
    if num_classes > 10_000:
        log_odds = log_odds[::5]
    input = scale * torch.randn(len(log_odds), num_classes)
    target = torch.randint(num_classes, (len(log_odds),))
    target[0], target[-1] = num_classes - 1, 0
    others = input.double().scatter(1, target[:, None], -math.inf).logsumexp(1, keepdim=True)
    wanted = (torch.tensor(log_odds, dtype=torch.float64)[:, None] + others).float()
    input = input.scatter_(1, target[:, None], wanted).requires_grad_()
    exact = [long_log_likelihoods(*pair) for pair in zip(input.tolist(), target.tolist())]
    for call, at, options in FORMULAS if num_classes < 10_000 else FORMULAS[::5]:
        losses = call(input, target, reduction="none", impl=impl, **options)
        (gradient,) = torch.autograd.grad(losses.sum(), input)
        for index, logs in enumerate(exact):
            arguments = (input[index].detach(), int(target[index]))
            assert_exact(losses[index], gradient[index], at(*logs, **options), *arguments)


def test_long_formula_is_the_decimal_one() -> None:
    for case in RANGES.values():
        logits = row(*case, torch.float64)[0].tolist()
        assert long_log_likelihoods(logits, 2) == pytest.approx(
            exact_log_likelihoods(tuple(logits), 2), rel=1e-11
        )


@pytest.mark.parametrize("cosine", [1.0, 0.7, -1.0])
def test_margin_loss_is_exact(impl: str, cosine: float) -> None:
    input = torch.tensor([[cosine, -0.9, -1.0, -0.95]], requires_grad=True)
    loss = ldam_loss(input, torch.tensor([0]), [1, 16, 81, 16], impl=impl)
    logits = [30 * (logit - margin) for logit, margin in zip(input[0].tolist(), [0.5, 0, 0, 0])]
    point = eureka_at(*exact_log_likelihoods(tuple(logits), 0), encouragement=0.0)
    (gradient,) = torch.autograd.grad(loss, input)
    assert loss.item() == pytest.approx(point.parts[0], rel=1e-5, abs=0)
    expected = 30 * closed_form_gradient(torch.tensor(logits), 0, point.slope)
    torch.testing.assert_close(gradient[0].double(), expected, rtol=1e-5, atol=0)


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


@each_formula
def test_half_precision_is_rounded_once(
    impl: str, half: torch.dtype, call: Any, at: Any, options: Any
) -> None:
    cases = ["200 above the rest", "the others far apart", "p = 0.99", "200 below the rest"]
    input = torch.cat([row(*RANGES[case], half) for case in cases]).requires_grad_()
    target = TARGET.expand(len(input))
    exact_input = input.detach().float().requires_grad_()
    for label_smoothing in (0.0, 0.1):
        shared: Any = {"label_smoothing": label_smoothing, "reduction": "none", "impl": impl, **options}
        loss = call(input, target, **shared)
        (gradient,) = torch.autograd.grad(loss.sum(), input)
        assert loss.dtype == gradient.dtype == half
        assert gradient.isfinite().all()
        exact_loss = call(exact_input, target, **shared)
        (exact_gradient,) = torch.autograd.grad(exact_loss.sum(), exact_input)
        assert loss.equal(exact_loss.to(half))
        torch.testing.assert_close(gradient, exact_gradient.to(half))


def test_margins_are_not_rounded_to_half(impl: str, half: torch.dtype) -> None:
    input = torch.tensor([[0.9, -0.9, 0.3, 0.89]], dtype=half)
    counts, target = [30, 16, 3, 1], torch.tensor([0])  # margins that no half holds
    exact = ldam_loss(input.float(), target, counts, impl=impl)
    assert ldam_loss(input, target, counts, impl=impl).equal(exact.to(half))


@each_formula
def test_masked_classes_are_not_there(
    impl: str, dtype: torch.dtype, call: Any, at: Any, options: Any
) -> None:
    """Logits of -inf exclude a class: the same as a shorter vector, and no gradient for them."""
    kept = torch.randn(4, 3, dtype=dtype, requires_grad=True)
    masked = torch.full((4, 5), -math.inf, dtype=dtype)
    masked[:, [0, 2, 4]] = kept.detach()
    masked.requires_grad_()
    target = torch.tensor([0, 1, 2, 1])
    expected = call(kept, target, impl=impl, **options)
    actual = call(masked, 2 * target, impl=impl, **options)
    torch.testing.assert_close(actual, expected)
    (gradient,) = torch.autograd.grad(actual, masked)
    (expected_gradient,) = torch.autograd.grad(expected, kept)
    torch.testing.assert_close(gradient[:, [0, 2, 4]], expected_gradient)
    assert not gradient[:, [1, 3]].any()


@each_formula
def test_a_target_alone_has_nothing_to_learn(
    impl: str, dtype: torch.dtype, call: Any, at: Any, options: Any
) -> None:
    """All mass on the target: what the formula gives at p = 1, without a bonus, which is -inf there."""
    input = torch.tensor([[-math.inf, 1.0, -math.inf], [0.5, 1.0, 2.0]], dtype=dtype, requires_grad=True)
    losses = call(input, torch.tensor([1, 1]), reduction="none", impl=impl, **options)
    (gradient,) = torch.autograd.grad(losses.sum(), input)
    expected = 0.0 if call is eureka_loss else math.fsum(at(0.0, -math.inf, **options).parts)
    assert losses[0].item() == pytest.approx(expected, rel=1e-6)
    assert gradient[0].tolist() == [0.0, 0.0, 0.0]
    assert gradient[1].abs().min() > 0


@each_formula
def test_an_impossible_target_costs_infinitely(
    impl: str, dtype: torch.dtype, call: Any, at: Any, options: Any
) -> None:
    multiple = multiple_of_cross_entropy(call, options)
    input = torch.tensor([[1.0, -math.inf, 0.0]], dtype=dtype, requires_grad=True)
    loss = call(input, torch.tensor([1]), impl=impl, **options)
    (gradient,) = torch.autograd.grad(loss, input)
    cross_entropy = F.cross_entropy(input, torch.tensor([1]))
    assert cross_entropy.item() == math.inf
    assert loss.item() == (math.inf if multiple else 0.0)
    expected = multiple * torch.autograd.grad(cross_entropy, input)[0]
    torch.testing.assert_close(gradient, expected)


@each_formula
@pytest.mark.parametrize(
    "logits", [[math.nan, 0, 1], [0, math.nan, 1], [math.inf, 0, 1], [0, math.inf, 1]], ids=str
)
def test_broken_logits_are_not_hidden(
    impl: str, call: Any, at: Any, options: Any, logits: list[float]
) -> None:
    """Overflow of a half precision model must reach the loss scaler, as it does through cross-entropy."""
    input, target = torch.tensor([logits], dtype=torch.float32, requires_grad=True), torch.tensor([0])
    assert not F.cross_entropy(input, target).isfinite()
    for label_smoothing in (0.0, 0.1, 1.0):
        loss = call(input, target, label_smoothing=label_smoothing, impl=impl, **options)
        assert not loss.isfinite()
        assert not torch.autograd.grad(loss, input)[0].isfinite().all()


@each_formula
def test_a_row_without_any_class_is_not_hidden(impl: str, call: Any, at: Any, options: Any) -> None:
    loss = call(torch.full((1, 3), -math.inf), torch.tensor([0]), impl=impl, **options)
    assert loss.isnan()


def test_full_smoothing_of_a_certain_target(impl: str, dtype: torch.dtype) -> None:
    """The mean cost of the classes alone, also where the log-odds of the target are infinite."""
    for logits in ([[200.0, 0.0, 1.0]], [[-200.0, 0.0, 1.0]], [[3.0]]):
        input = torch.tensor(logits, dtype=dtype, requires_grad=True)
        options: Any = {"label_smoothing": 1.0}
        actual = eureka_loss(input, torch.tensor([0]), 0.0, impl=impl, **options)
        expected = F.cross_entropy(input, torch.tensor([0]), **options)
        torch.testing.assert_close(actual, expected)
        gradients = (torch.autograd.grad(loss, input)[0] for loss in (actual, expected))
        torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_loss_scaling_saves_small_gradients(impl: str, reduction: str) -> None:
    """The scale must reach the gradient before it is rounded to half precision, or it saves nothing."""
    logits = torch.zeros(4, 512)
    logits[:, 0] = 18.0  # the others' share of the gradient is 1.5e-8, below the smallest half of 6e-8
    input, target = logits.half().requires_grad_(), torch.ones(4, dtype=torch.long)
    scale = 2.0**15
    loss, _ = loss_and_log_odds(
        input, target, CrossEntropy().objective(), Options(reduction=reduction, impl=impl)
    )
    (gradient,) = torch.autograd.grad(scale * loss, input)
    exact = logits.double().requires_grad_()
    expected = F.cross_entropy(exact, target, reduction=reduction)
    (expected_gradient,) = torch.autograd.grad(scale * expected, exact)
    rare = slice(2, None)
    assert expected_gradient[:, rare].min() > 1e-6
    torch.testing.assert_close(gradient[:, rare].double(), expected_gradient[:, rare], rtol=1e-2, atol=1e-7)


@each_formula
@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf, 1e30])
def test_ignored_rows_do_no_harm(impl: str, call: Any, at: Any, options: Any, broken: float) -> None:
    input = torch.randn(2, 4)
    input[0, 0] = broken
    input.requires_grad_()
    alone = input.detach()[1:].requires_grad_()
    for label_smoothing in (0.0, 0.1):
        shared: Any = {"label_smoothing": label_smoothing, "impl": impl, **options}
        loss = call(input, torch.tensor([-100, 2]), **shared)
        (gradient,) = torch.autograd.grad(loss, input)
        expected = call(alone, torch.tensor([2]), **shared)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(gradient[1:], torch.autograd.grad(expected, alone)[0])
        if math.isfinite(broken) or broken == -math.inf or impl == "fused":
            assert not gradient[0].any()  # else F.cross_entropy has NaN there as well


# What masks whole rows: the lowest number of the dtype, or some other large negative one.
HEIGHTS = [torch.finfo(torch.float32).min, -1e20, -1e13, 1e13, 1e30]


@pytest.mark.parametrize("height", HEIGHTS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_equal_logits_of_any_size_are_a_uniform_distribution(
    impl: str, half: torch.dtype, height: float, label_smoothing: float, weighted: bool
) -> None:
    """Beside a large maximum the logarithm of the sum must not vanish; the field's mask is finfo.min."""
    num_classes, label = 1000, 1
    options: dict[str, Any] = {"label_smoothing": label_smoothing}
    if weighted:
        options["weight"] = torch.linspace(0.5, 2.0, num_classes)
    for dtype in (torch.float32, half):
        height = max(height, torch.finfo(dtype).min)  # the mask of that dtype
        if height > torch.finfo(dtype).max:
            continue
        logits = torch.full((2, num_classes), height, dtype=dtype)
        logits[1, 2:] = -math.inf if label_smoothing == 0.0 else height / 2 if height < 0 else height
        logits.requires_grad_()
        target = torch.tensor([label, label])
        loss = focal_loss(logits, target, gamma=0.0, impl=impl, reduction="none", **options)
        expected = F.cross_entropy(logits.float(), target, reduction="none", **options)
        precision: dict[str, float] = {"rtol": 1e-5 if dtype == torch.float32 else 1e-2, "atol": 1e-6}
        torch.testing.assert_close(loss.float(), expected.float(), **precision)
        actual, wanted = (torch.autograd.grad(value.sum(), logits)[0] for value in (loss, expected))
        torch.testing.assert_close(actual, wanted, **precision)


@each_formula
@pytest.mark.parametrize("height", [torch.finfo(torch.float32).min, -1.7e38, -1e38, -math.inf])
def test_a_masked_target_has_the_gradient_of_cross_entropy(
    impl: str, call: Any, at: Any, options: Any, height: float
) -> None:
    """However it is masked: by -inf, or by a number whose multiples overflow."""
    logits = torch.randn(2, 5)
    logits[0, 0] = height
    logits.requires_grad_()
    target = torch.tensor([0, 1])
    loss = call(logits, target, impl=impl, reduction="none", **options)
    (gradient,) = torch.autograd.grad(loss[0], logits, retain_graph=True)
    (expected,) = torch.autograd.grad(F.cross_entropy(logits, target, reduction="none")[0], logits)
    torch.testing.assert_close(gradient, multiple_of_cross_entropy(call, options) * expected)
