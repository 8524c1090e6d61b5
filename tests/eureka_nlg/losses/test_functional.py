"""What each loss and each argument means: against ``F.cross_entropy`` and numbers worked by hand."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from loss_cases import assert_same, random_logits, random_target
from plain_formulas import plain_eureka_loss
from torch import Tensor

from eureka_nlg.frequency import log_prior, rarest_classes
from eureka_nlg.losses import (
    EurekaLoss,
    eureka_loss,
    focal_loss,
    halted_focal_loss,
    ldam_loss,
    linear_eureka_loss,
    logit_adjusted_loss,
)
from eureka_nlg.losses.bonus import Bonus
from eureka_nlg.losses.checks import Options
from eureka_nlg.losses.logits import loss_and_log_odds
from eureka_nlg.losses.objectives import eureka_objective

C = 5
SHAPES = {"[N, C]": (6, C), "[N, C, d1, d2]": (2, C, 3, 2), "[C]": (C,)}

# -- zero encouragement is cross-entropy ---------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("with_weight", [False, True])
def test_zero_encouragement_is_cross_entropy(
    impl: str, dtype: torch.dtype, shape: Any, label_smoothing: float, with_weight: bool
) -> None:
    weight = torch.tensor([0.5, 0.0, 2.0, 1.0, 3.0], dtype=dtype) if with_weight else None
    input, zeros = random_logits(shape, dtype), itertools.cycle([0, 0.0, torch.zeros(C)])
    for reduction, ignore_index in itertools.product(["none", "mean", "sum"], [-100, 2]):
        options: Any = {
            "weight": weight,
            "ignore_index": ignore_index,
            "reduction": reduction,
            "label_smoothing": label_smoothing,
        }
        for target in (random_target(shape), random_target(shape, ignore_index)):
            expected = F.cross_entropy(input, target, **options)
            assert_same(eureka_loss(input, target, next(zeros), impl=impl, **options), expected, input)


# -- the bonus -----------------------------------------------------------------------------------------------


def test_by_hand(impl: str) -> None:
    # p = 0.8 and 0.25
    input = torch.tensor([[math.log(4), 0.0], [0.0, math.log(3)]], dtype=torch.float64)
    target = torch.tensor([0, 0])
    encouragement = torch.tensor([2.0, 7.0])

    def rows(*args: Any, **options: Any) -> Any:
        return pytest.approx(
            eureka_loss(input, target, *args, reduction="none", impl=impl, **options).tolist()
        )

    assert [-math.log(0.8) + math.log(0.2), -math.log(0.25) + math.log(0.75)] == rows()
    assert [-math.log(0.8) + 2 * math.log(0.2), -math.log(0.25) + 2 * math.log(0.75)] == rows(encouragement)
    assert [-math.log(0.8) - 0.5 * 0.8**3, -math.log(0.25) - 0.5 * 0.25**3] == rows(
        0.5, bonus="power", gamma=3
    )
    assert [-math.log(0.8) + math.log(0.2) - math.log(0.5), -math.log(0.25)] == rows(threshold=0.5)
    capped = math.log(0.4) - (0.8 - 0.6) / 0.4
    assert [-math.log(0.8) + capped, -math.log(0.25) + math.log(0.75)] == rows(likelihood_cap=0.6)


def test_auto_gives_the_same(impl: str, dtype: torch.dtype) -> None:
    input, target = random_logits((6, C), dtype), random_target((6, C), ignore_index=-100)
    for encouragement in (None, 0.7, torch.rand(C)):
        expected = eureka_loss(input, target, encouragement, impl=impl)
        assert_same(eureka_loss(input, target, encouragement), expected, input)
        assert_same(eureka_loss(input, target, encouragement, impl="auto"), expected, input)


@pytest.mark.parametrize("target_dtype", [torch.uint8, torch.int8, torch.int32, torch.int64])
def test_any_integer_target(impl: str, dtype: torch.dtype, target_dtype: torch.dtype) -> None:
    input, target = random_logits((6, C), dtype), random_target((6, C))
    expected = plain_eureka_loss(input, target)
    assert_same(eureka_loss(input, target.to(target_dtype), impl=impl), expected, input)


def test_an_ignore_index_of_numpy(impl: str, dtype: torch.dtype) -> None:
    logits, target = random_logits((6, C), dtype), torch.tensor([0, 3, 1, 3, 2, 4])
    found = eureka_loss(logits, target, 1.0, ignore_index=np.int64(3), impl=impl)  # type: ignore[arg-type]
    assert found == eureka_loss(logits, target, 1.0, ignore_index=3, impl=impl)
    assert found != eureka_loss(logits, target, 1.0, impl=impl)


def test_an_encouragement_for_no_class() -> None:
    """As of a model that is made on the meta device, or whose classes are known later."""
    assert EurekaLoss(torch.empty(0)).encouragement.numel() == 0


@pytest.mark.parametrize("name", ["eureka", "ldam", "linear"])
def test_the_byte_that_minus_100_would_wrap_to_is_a_class(name: str) -> None:
    input, target = random_logits((2, 200)), torch.tensor([156, 3])
    calls: dict[str, Any] = {
        "eureka": eureka_loss,
        "ldam": lambda logits, labels: ldam_loss(logits, labels, range(1, 201)),
        "linear": lambda logits, labels: linear_eureka_loss(logits, torch.eye(200).double(), labels),
    }
    assert_same(calls[name](input, target.byte()), calls[name](input, target), input)


@pytest.mark.parametrize("bonus", ["likelihood", "power"])
def test_label_smoothing_and_weight_leave_the_bonus_alone(impl: str, dtype: torch.dtype, bonus: str) -> None:
    input, target = random_logits((6, C), dtype), random_target((6, C))
    encouragement = 3 * torch.rand(C, dtype=dtype)
    options: Any = {"reduction": "none", "label_smoothing": 0.3, "weight": torch.rand(C, dtype=dtype)}
    added = eureka_loss(input, target, encouragement, bonus=bonus, impl=impl, **options)
    added = added - F.cross_entropy(input, target, **options)
    p = input.softmax(1).gather(1, target[:, None])[:, 0]
    expected = encouragement[target] * ((1 - p).log() if bonus == "likelihood" else -p)
    assert_same(added, expected, input)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_mean_is_the_weighted_mean_of_the_term_plus_the_plain_mean_of_the_reward(
    impl: str, dtype: torch.dtype, label_smoothing: float
) -> None:
    """The authors' code divides cross-entropy by the class weights of a batch, and the reward by its rows."""
    input, target = random_logits((6, C), dtype), random_target((6, C), ignore_index=-100)
    weight = torch.tensor([0.5, 2.0, 1.0, 3.0, 0.1], dtype=torch.float64)
    options: Any = {"weight": weight, "label_smoothing": label_smoothing}
    mean = eureka_loss(input, target, impl=impl, **options)
    labels = [label for label in target.tolist() if label != -100]
    rewards = [
        math.log(1 - input.detach()[row].softmax(0)[label].item())
        for row, label in enumerate(target.tolist())
        if label != -100
    ]
    cross_entropy = F.cross_entropy(input, target, weight=weight.to(dtype), label_smoothing=label_smoothing)
    assert mean.item() == pytest.approx(cross_entropy.item() + sum(rewards) / len(labels), rel=1e-5)
    # and the gradient is that of its two sums
    term = eureka_loss(input, target, 0.0, reduction="sum", impl=impl, **options)
    both = eureka_loss(input, target, reduction="sum", impl=impl, **options)
    denominator = sum(weight[label].item() for label in labels)
    assert_same(mean, term / denominator + (both - term) / len(labels), input)


def test_the_reward_of_a_class_without_weight_counts(impl: str, dtype: torch.dtype) -> None:
    input, target = random_logits((3, C), dtype), torch.tensor([0, 1, 1])
    weight = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0])
    p = input.detach().softmax(1)[[0, 1, 2], target]
    expected = -p[0].log() + (1 - p).log().mean()
    assert eureka_loss(input, target, weight=weight, impl=impl).item() == pytest.approx(
        expected.item(), rel=1e-5
    )
    hidden_is_logits = linear_eureka_loss(input, torch.eye(C, dtype=dtype), target, weight=weight)
    assert hidden_is_logits.item() == pytest.approx(expected.item(), rel=1e-5)
    # with no weight at all there is no mean of the cross-entropy, as torch has it
    nothing = torch.zeros(C)
    assert F.cross_entropy(input, target, weight=nothing.to(dtype)).isnan()
    assert eureka_loss(input, target, weight=nothing, impl=impl).isnan()


def log_odds(p: float) -> float:
    return math.log(p) - math.log1p(-p)


def loss_at(p: float, call: Any = eureka_loss, **options: Any) -> float:
    """A loss of two classes at this likelihood."""
    input, target = torch.tensor([[log_odds(p), 0.0]], dtype=torch.float64), torch.tensor([0])
    return float(call(input, target, **options))


def bonus_at(p: float, **options: Any) -> float:
    """What Eureka loss adds to cross-entropy."""
    return loss_at(p, **options) + math.log(p)


@pytest.mark.parametrize("bonus", ["likelihood", "power"])
@pytest.mark.parametrize("phi", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("cap", [None, 0.4])
def test_threshold(bonus: str, phi: float, cap: float | None) -> None:
    options: Any = {"bonus": bonus, "gamma": 2.0, "likelihood_cap": cap}
    assert bonus_at(phi - 1e-9, threshold=phi, **options) == pytest.approx(0.0, abs=1e-15)
    assert bonus_at(phi + 1e-9, threshold=phi, **options) == pytest.approx(0.0, abs=1e-7)
    assert bonus_at(0.05, threshold=phi, **options) == pytest.approx(0.0, abs=1e-15)
    difference = bonus_at(0.97, **options) - bonus_at(phi, **options)
    assert bonus_at(0.97, threshold=phi, **options) == pytest.approx(difference)
    assert bonus_at(0.97, threshold=phi, **options) < -1e-3


@pytest.mark.parametrize("p", [0.1, 0.4999, 0.5001, 0.9, 0.99999])
def test_simplified_loss_of_equation_11(p: float) -> None:
    expected = math.log(1 - p) - math.log(0.5) if p > 0.5 else 0.0
    assert bonus_at(p, threshold=0.5) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("bonus", ["likelihood", "power"])
@pytest.mark.parametrize("cap", [0.3, 0.8, 0.99])
def test_likelihood_cap(bonus: str, cap: float) -> None:
    def capped(p: float) -> float:
        return bonus_at(p, bonus=bonus, gamma=3.0, likelihood_cap=cap)

    def exact(p: float) -> float:
        return math.log(1 - p) if bonus == "likelihood" else -(p**3)

    slope = -1 / (1 - cap) if bonus == "likelihood" else -3 * cap**2
    room = 1 - cap
    for p in (0.01, 0.5 * cap, cap):
        assert capped(p) == pytest.approx(exact(p), rel=1e-9)  # untouched below
    for p in (cap + 1e-9, cap + room / 3, cap + room / 2, 1 - 1e-12):
        assert capped(p) == pytest.approx(exact(cap) + slope * (p - cap), rel=1e-9)  # a line above
    # the value and the slope are the same on both sides
    step = 1e-5 * room
    assert capped(cap + step) - capped(cap - step) == pytest.approx(2 * step * slope, rel=1e-3)
    assert capped(cap + step) - capped(cap) == pytest.approx(capped(cap) - capped(cap - step), rel=1e-3)


def test_focal_losses_by_hand() -> None:
    quarter_of_log_2 = pytest.approx(0.25 * math.log(2))
    for p in (0.5, 0.5 - 1e-12, 0.5 + 1e-12):  # both branches meet
        assert loss_at(p, halted_focal_loss, gamma=2.0, threshold=0.5) == quarter_of_log_2
    assert loss_at(0.5, focal_loss) == quarter_of_log_2
    # at p = 0.9: 0.01 * -log 0.9, and -log 0.9 lowered by 0.75 log 2
    assert loss_at(0.9, focal_loss, alpha=3) == pytest.approx(-0.03 * math.log(0.9))
    halted = -math.log(0.9) - 0.75 * math.log(2)
    assert loss_at(0.9, halted_focal_loss, alpha=3) == pytest.approx(3 * halted)
    assert loss_at(0.3, halted_focal_loss) == pytest.approx(-0.49 * math.log(0.3))
    # with phi = 0.2, gamma = 1: b = -(1 - 0.8) log 0.2
    expected = -math.log(0.6) + 0.2 * math.log(0.2)
    assert loss_at(0.6, halted_focal_loss, gamma=1.0, threshold=0.2) == pytest.approx(expected)
    assert loss_at(0.6, halted_focal_loss, halted=torch.tensor([True, False])) == pytest.approx(
        -math.log(0.6) - 0.75 * math.log(2)
    )
    assert loss_at(0.6, halted_focal_loss, halted=torch.tensor([False, True])) == pytest.approx(
        -0.16 * math.log(0.6)
    )


def test_ldam_by_hand() -> None:
    # counts 16 and 1: margins 0.25 and 0.5; cosines 0.5 and 0.2 at scale 10
    input = torch.tensor([[0.5, 0.2]], dtype=torch.float64)
    for label, logits in ((0, [2.5, 2.0]), (1, [5.0, -3.0])):
        loss = ldam_loss(input, torch.tensor([label]), [16, 1], scale=10.0)
        expected = math.log(sum(map(math.exp, logits))) - logits[label]
        assert loss.item() == pytest.approx(expected)
    without_margin = ldam_loss(input, torch.tensor([0]), [16, 1], max_margin=0.0, scale=1.0)
    assert without_margin.item() == pytest.approx(F.cross_entropy(input, torch.tensor([0])).item())


def test_logit_adjustment_by_hand(impl: str, dtype: torch.dtype) -> None:
    # odds 3 : 1 of the logits, times 9 : 1 of the counts: 27 : 1
    input = torch.tensor([[math.log(3.0), 0.0]], dtype=dtype)
    loss = logit_adjusted_loss(input, torch.tensor([0]), [90, 10], impl=impl)
    assert loss.item() == pytest.approx(-math.log(27 / 28), rel=1e-5)
    with pytest.raises(ValueError, match="class_counts must have 2 entries, one per class, got 3"):
        logit_adjusted_loss(input, torch.tensor([0]), [90, 10, 1], impl=impl)


def test_logit_adjustment_as_a_bias_of_the_fused_layer(dtype: torch.dtype) -> None:
    hidden, weight, bias = (
        torch.randn(6, 3, dtype=dtype),
        torch.randn(C, 3, dtype=dtype),
        torch.randn(C, dtype=dtype),
    )
    counts, target = [100, 50, 20, 3, 1], torch.arange(6) % C
    prior = log_prior(counts, 1.5, dtype=dtype)
    fused = linear_eureka_loss(hidden, weight, target, 0.0, linear_bias=bias + prior)
    expected = logit_adjusted_loss(F.linear(hidden, weight, bias), target, counts, tau=1.5)
    torch.testing.assert_close(fused, expected)


def test_rarest_fraction_is_halted(impl: str, dtype: torch.dtype) -> None:
    """The paper's HFL(t): a row's loss depends on whether its class is among the rarest."""
    counts = [100, 1, 50, 2, 7]
    input, target = 3 * torch.eye(C, dtype=dtype), torch.arange(C)
    options: Any = {"reduction": "none", "impl": impl}
    mixed = halted_focal_loss(input, target, halted=rarest_classes(counts, 0.4), **options)
    focal, halted = focal_loss(input, target, **options), halted_focal_loss(input, target, **options)
    rare = torch.tensor([False, True, False, True, False])
    assert mixed.equal(torch.where(rare, halted, focal))
    assert (halted != focal).all()


# -- what the training loop takes ----------------------------------------------------------------------------


def eureka(input: Tensor, target: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
    return loss_and_log_odds(input, target, eureka_objective(None, Bonus()), Options(**options))


def test_log_odds_along_with_the_loss(impl: str, dtype: torch.dtype, half: torch.dtype) -> None:
    for input in (random_logits((2, C, 3), dtype), random_logits((2, C, 3), half)):
        target = random_target((2, C, 3), ignore_index=-100)
        for reduction in ("none", "mean", "sum"):
            options: Any = {"reduction": reduction, "impl": impl}
            loss, log_odds_of_rows = eureka(input, target, **options)
            assert loss.to(input.dtype).equal(eureka_loss(input, target, **options))
            assert log_odds_of_rows.shape == target.shape
            assert not log_odds_of_rows.requires_grad
            computed_in = torch.float64 if input.dtype == torch.float64 else torch.float32
            assert log_odds_of_rows.dtype == loss.dtype == computed_in
            expected = -F.cross_entropy(input.detach().double(), target, reduction="none")
            expected[target == -100] = math.nan
            log_p = F.logsigmoid(log_odds_of_rows).double()
            torch.testing.assert_close(log_p, expected, equal_nan=True, rtol=1e-5, atol=1e-6)


def test_loss_of_halves_before_it_is_rounded(impl: str, half: torch.dtype) -> None:
    input, target = random_logits((4, C), half), random_target((4, C))
    loss, _ = eureka(input, target, reduction="sum", impl=impl)
    expected = plain_eureka_loss(input, target, reduction="sum")
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, input)
    assert gradient.dtype == half
