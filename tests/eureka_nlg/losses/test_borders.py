"""Where two branches of a formula meet, and next to the numbers that a branch is for."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from eureka_nlg.losses import (
    EurekaLoss,
    FocalLoss,
    LDAMLoss,
    LinearEurekaLoss,
    eureka_loss,
    focal_loss,
    gem,
    gem_loss,
)
from eureka_nlg.losses.bonus import Bonus, log_odds_of
from eureka_nlg.losses.checks import Options
from eureka_nlg.losses.kernels import portable
from eureka_nlg.losses.logits import loss_of_logits
from eureka_nlg.losses.objectives import CrossEntropy, Focal, HaltedFocal, TokenLossDynamicReweighting


def slope_of(function: Any, at: float) -> float:
    point = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(function(point), point)
    return float(slope)


def test_there_is_no_bonus_up_to_the_threshold_itself() -> None:
    bonus = Bonus(threshold=0.5)
    assert slope_of(bonus, log_odds_of(0.5)) == 0
    # d log(1 - p) / du = -p
    assert slope_of(bonus, 1e-9) == pytest.approx(-0.5)
    capped = Bonus(threshold=0.5, likelihood_cap=0.75)
    assert slope_of(capped.of_log_likelihood, math.log(0.5)) == 0
    # d log(1 - p) / d log p = -p / (1 - p)
    assert slope_of(capped.of_log_likelihood, math.log(0.5) + 1e-9) == pytest.approx(-1)


def test_a_bonus_of_the_log_likelihood_is_exact_at_its_cap() -> None:
    for cap in (0.25, 0.5, 0.75):
        at_cap = torch.tensor(math.log(cap), dtype=torch.float64)
        assert Bonus(likelihood_cap=cap).of_log_likelihood(at_cap).item() == pytest.approx(math.log(1 - cap))


def test_halted_focal_loss_is_focal_loss_up_to_the_threshold_itself() -> None:
    assert slope_of(HaltedFocal(2.0, 0.5), 0.0) == slope_of(Focal(2.0), 0.0)
    # the slope of cross-entropy in u is p - 1
    assert slope_of(HaltedFocal(2.0, 0.5), 1e-9) == pytest.approx(-0.5)


@pytest.mark.parametrize("log_odds", [-1e4, -10_000.5, -2e4, -1e30])
def test_losses_of_an_impossible_target(log_odds: float) -> None:
    """(1 - p) ** gamma is 1 and cos(pi p) + 1 is 2 there, to the last digit."""
    given = torch.tensor(log_odds, dtype=torch.float64)
    assert Focal(2.0)(given).item() == -log_odds
    assert TokenLossDynamicReweighting()(given).item() == -2 * log_odds


def test_a_factor_of_one_is_no_special_one(impl: str, dtype: torch.dtype) -> None:
    logits, target = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0]], dtype=dtype), torch.tensor([0, 2])
    p = logits.softmax(1).gather(1, target[:, None])[:, 0]
    expected = (-p.log() + (1 - p).log()).mean()
    for encouragement in (1.0, 1, torch.ones(3), None):
        loss = eureka_loss(logits, target, encouragement, impl=impl)  # type: ignore[arg-type]
        torch.testing.assert_close(loss, expected)
    for factor in (1.0, 2.0, 3.0):
        focal = (-((1 - p) ** 2) * p.log()).mean()
        torch.testing.assert_close(focal_loss(logits, target, alpha=factor, impl=impl), factor * focal)


def test_one_row_with_a_weight(impl: str, dtype: torch.dtype) -> None:
    """Its weight cancels in the mean of the term, and does not touch the reward."""
    logits, target = torch.tensor([[2.0, 0.0, -1.0]] * 2, dtype=dtype), torch.tensor([0, -100])
    weight = torch.tensor([3.0, 1.0, 1.0], dtype=dtype)
    p = logits[0].softmax(0)[0]
    for rows in (slice(0, 1), slice(0, 2)):
        loss = eureka_loss(logits[rows], target[rows], 0.5, weight=weight, impl=impl)
        torch.testing.assert_close(loss, -p.log() + 0.5 * (1 - p).log())


def test_one_class_and_a_row_that_is_ignored(impl: str, dtype: torch.dtype) -> None:
    """It is certain, so that there is neither cost nor reward; in the other row no class but 0 would do."""
    logits = torch.zeros(2, 1, dtype=dtype, requires_grad=True)
    loss = eureka_loss(logits, torch.tensor([0, -100]), impl=impl)
    assert loss.item() == 0
    for again in (False, True):
        assert not torch.autograd.grad(loss, logits, retain_graph=True, create_graph=again)[0].any()


@pytest.mark.parametrize("gap", [1.0, 50.0, 1000.0])
def test_all_of_the_target_is_spread(impl: str, dtype: torch.dtype, gap: float) -> None:
    """Then the target's own term has no part, however unlikely it is."""
    logits, target = torch.tensor([[0.0, gap]], dtype=dtype), torch.tensor([0])
    expected = F.cross_entropy(logits, target, label_smoothing=1.0)
    loss = eureka_loss(logits, target, 0.0, label_smoothing=1.0, impl=impl)
    torch.testing.assert_close(loss, expected)
    assert loss.item() == pytest.approx(gap / 2 + math.log1p(math.exp(-gap)))


def test_all_of_an_impossible_target_is_spread(impl: str, dtype: torch.dtype) -> None:
    """The cost of the target among all classes is infinite, and no NaN."""
    logits, target = torch.tensor([[-math.inf, 0.0], [0.0, 0.0]], dtype=dtype), torch.tensor([0, 1])
    loss = eureka_loss(logits, target, 0.0, label_smoothing=1.0, reduction="none", impl=impl)
    assert loss.tolist() == [math.inf, pytest.approx(math.log(2))]


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_many_incoming_gradients_at_once(
    impl: str, dtype: torch.dtype, num_classes: int, label_smoothing: float, weighted: bool
) -> None:
    """Of an impossible target, a certain one and one in between, whose slopes may be -1, 0 and 1."""
    rows = torch.tensor([[0.0, 200.0], [200.0, 0.0], [0.5, 0.0], [1.0, 2.0]], dtype=dtype)
    rows = F.pad(rows, (0, num_classes - 2))
    target, slopes = torch.tensor([0, 0, 1, -100]), torch.tensor([[1.0] * 4, [-1.0] * 4, [0, 0.5, 2, 1]])
    options: Any = {"label_smoothing": label_smoothing, "reduction": "none"}
    if weighted:
        options["weight"] = torch.tensor([1.0, 3.0, 2.0], dtype=dtype)[:num_classes]
    logits = rows.clone().requires_grad_()
    loss = eureka_loss(logits, target, 0.0, impl=impl, **options)  # type: ignore[arg-type]
    (together,) = torch.autograd.grad(loss, logits, slopes.to(dtype), is_grads_batched=True)
    exact = rows.double().requires_grad_()
    if weighted:
        options["weight"] = options["weight"].double()
    expected = F.cross_entropy(exact, target, **options)
    apart = [torch.autograd.grad(expected, exact, one, retain_graph=True)[0] for one in slopes.double()]
    torch.testing.assert_close(together, torch.stack(apart).to(dtype))


@pytest.mark.parametrize("num_classes", [1, 2, 3])
def test_logits_whose_rows_are_columns(impl: str, dtype: torch.dtype, num_classes: int) -> None:
    columns = torch.randn(num_classes, 5, dtype=dtype)
    target = torch.arange(5) % num_classes
    losses = [eureka_loss(one, target, impl=impl) for one in (columns.t(), columns.t().contiguous())]  # type: ignore[arg-type]
    torch.testing.assert_close(*losses, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_rows_that_are_larger_than_a_chunk(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Are taken one by one."""
    logits, target = torch.randn(4, 6).to(dtype).requires_grad_(), torch.tensor([0, 1, -100, 5])
    for function in (eureka_loss, gem_loss):
        whole = function(logits, target)
        expected = whole, torch.autograd.grad(whole, logits)[0]
        with monkeypatch.context() as patched:
            for module in (portable, gem):
                patched.setattr(module, "_CHUNK_BYTES_ON_CPU", 1)
            loss = function(logits, target)
            found = loss, torch.autograd.grad(loss, logits)[0]
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("ignored", [0, 1, 2])
def test_the_ignored_class_is_the_first_or_the_last(impl: str, dtype: torch.dtype, ignored: int) -> None:
    logits, target = torch.randn(3, 3, dtype=dtype), torch.tensor([0, 1, 2])
    loss = focal_loss(logits, target, gamma=0.0, ignore_index=ignored, impl=impl)
    torch.testing.assert_close(loss, F.cross_entropy(logits, target, ignore_index=ignored))


def test_modules_take_the_logits_of_one_example(dtype: torch.dtype) -> None:
    logits, target = torch.tensor([1.0, 2.0, 3.0], dtype=dtype), torch.tensor(1)
    for module in (
        FocalLoss(gamma=0.0),
        EurekaLoss(torch.zeros(3)),
        LDAMLoss([1, 1, 1], max_margin=0.0, scale=1.0),
    ):
        torch.testing.assert_close(module(logits, target), F.cross_entropy(logits, target))


def test_the_linear_module_has_all_options_but_one() -> None:
    assert set(EurekaLoss().options) - set(LinearEurekaLoss().options) == {"impl"}


@pytest.mark.parametrize(("mean", "warns"), [(-100.0, 0), (-100.5, 1)])
def test_what_counts_as_running_away(mean: float, warns: int) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        EurekaLoss().watch(torch.tensor(mean))
    assert len(caught) == warns


def test_the_wrong_target_is_named(impl: str, dtype: torch.dtype) -> None:
    with pytest.raises(IndexError, match="target 4 is out of bounds for 3 classes"):
        eureka_loss(torch.zeros(3, 3, dtype=dtype), torch.tensor([1, 4, 2]), impl=impl)
    with pytest.raises(IndexError, match="target -9 is out of bounds for 3 classes"):
        eureka_loss(torch.zeros(2, 3, dtype=dtype), torch.tensor([-9, 7]), impl=impl)


def test_the_wrong_weight_is_named() -> None:
    for weights in ([0.0, 2.0, -1.0], [0.5, 0.5, math.nan]):
        with pytest.raises(ValueError, match=f"got {weights[2]} for class 2"):
            eureka_loss(torch.zeros(1, 3), torch.tensor([0]), torch.tensor(weights))


@dataclass(frozen=True)
class Twice(CrossEntropy):
    """Inherits the numbers for the compiled pass, which are those of another formula."""

    def __call__(self, log_odds: Tensor) -> Tensor:
        return 2 * super().__call__(log_odds)


def test_a_formula_of_ones_own_wins_over_inherited_numbers(impl: str, dtype: torch.dtype) -> None:
    logits, target = torch.randn(3, 4, dtype=dtype), torch.tensor([0, 2, 3])
    loss = loss_of_logits(logits, target, Twice().objective(), Options(impl=impl))  # type: ignore[arg-type]
    torch.testing.assert_close(loss, 2 * F.cross_entropy(logits, target))
