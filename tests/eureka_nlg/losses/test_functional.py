"""Values, arguments and shapes of the losses, against the plain formulas and ``F.cross_entropy``."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from plain_formulas import plain_eureka_loss
from torch import Tensor

from eureka_nlg.losses import eureka_loss

C = 5
SHAPES = {"[N, C]": (6, C), "[N, C, d1, d2]": (2, C, 3, 2), "[C]": (C,)}


def random_logits(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    return (2 * torch.randn(shape, dtype=torch.float64)).to(dtype).requires_grad_()


def random_target(shape: tuple[int, ...], ignore_index: int | None = None) -> Tensor:
    """Targets for logits of this shape; with ``ignore_index`` every third is that."""
    target = torch.randint(C, shape[:1] + shape[2:] if len(shape) > 1 else ())
    if ignore_index is not None and target.dim() > 0:
        target.view(-1)[::3] = ignore_index
    return target


def value_and_gradient(loss: Tensor, input: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient for a fixed incoming gradient that differs from row to row."""
    incoming = torch.linspace(0.5, 2.0, loss.numel(), dtype=loss.dtype).reshape(loss.shape)
    (gradient,) = torch.autograd.grad(loss, input, incoming, retain_graph=True)
    return loss.detach(), gradient


def assert_same(actual: Tensor, expected: Tensor, input: Tensor, **tolerance: float) -> None:
    for one, other in zip(value_and_gradient(actual, input), value_and_gradient(expected, input)):
        torch.testing.assert_close(one, other, equal_nan=True, **tolerance)


# -- zero encouragement is cross-entropy ---------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("ignore_index", [-100, 2])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("with_weight", [False, True])
def test_zero_encouragement_is_cross_entropy(
    impl: str, shape: Any, reduction: str, ignore_index: int, label_smoothing: float, with_weight: bool
) -> None:
    weight = torch.tensor([0.5, 2.0, 0.0, 1.0, 3.0], dtype=torch.float64) if with_weight else None
    options: Any = {
        "weight": weight,
        "ignore_index": ignore_index,
        "reduction": reduction,
        "label_smoothing": label_smoothing,
    }
    input = random_logits(shape)
    for target in (random_target(shape), random_target(shape, ignore_index)):
        expected = F.cross_entropy(input, target, **options)
        for zero in (0, 0.0, torch.zeros(C)):
            assert_same(eureka_loss(input, target, zero, impl=impl, **options), expected, input)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_zero_encouragement_in_each_dtype(impl: str, dtype: torch.dtype, reduction: str) -> None:
    input, target = random_logits((7, C), dtype), random_target((7, C))
    # cross-entropy in float64 of the same, already rounded logits
    expected = F.cross_entropy(input.double(), target, reduction=reduction).to(dtype)
    actual = eureka_loss(input, target, 0.0, reduction=reduction, impl=impl)
    assert actual.dtype == F.cross_entropy(input, target, reduction=reduction).dtype == dtype
    assert_same(actual, expected, input)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("encouragement", [0.0, 1.5])
@pytest.mark.parametrize("shape", [(0, C), (0, C, 3), (2, C, 0)], ids=str)
def test_no_rows(impl: str, shape: Any, reduction: str, encouragement: float) -> None:
    input, target = random_logits(shape), random_target(shape)
    expected = F.cross_entropy(input, target, reduction=reduction)
    assert_same(eureka_loss(input, target, encouragement, reduction=reduction, impl=impl), expected, input)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("encouragement", [0.0, 1.5])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_all_rows_ignored(impl: str, shape: Any, reduction: str, encouragement: float) -> None:
    input = random_logits(shape)
    target = torch.full_like(random_target(shape), -100)
    expected = F.cross_entropy(input, target, reduction=reduction)
    assert_same(eureka_loss(input, target, encouragement, reduction=reduction, impl=impl), expected, input)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("bonus", ["likelihood", "power"])
@pytest.mark.parametrize("encouragement", [0.0, None])
def test_one_class_has_nothing_to_learn(
    impl: str, encouragement: float | None, bonus: str, label_smoothing: float
) -> None:
    input, target = random_logits((3, 1)), torch.zeros(3, dtype=torch.long)
    expected = F.cross_entropy(input, target, label_smoothing=label_smoothing)
    options: Any = {"bonus": bonus, "label_smoothing": label_smoothing, "impl": impl}
    assert_same(eureka_loss(input, target, encouragement, **options), expected, input)


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


ENCOURAGEMENTS = st.sampled_from([None, 0.0, 0.3, 2, "per class"])


@given(
    seed=st.integers(0, 2**31),
    num_rows=st.integers(0, 5),
    num_classes=st.integers(2, 8),
    extra=st.sampled_from([(), (1,), (3,), (2, 2), "no batch"]),
    encouragement=ENCOURAGEMENTS,
    bonus=st.sampled_from(["likelihood", "power"]),
    gamma=st.sampled_from([0.5, 1.0, 2.0, 3.7]),
    threshold=st.sampled_from([None, 0.0, 0.1, 0.5, 0.95]),
    likelihood_cap=st.sampled_from([None, 0.05, 0.5, 0.9]),
    with_weight=st.booleans(),
    ignored=st.sampled_from([-100, -1, 0, 1]),
    reduction=st.sampled_from(["none", "mean", "sum"]),
    label_smoothing=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_any_arguments(
    impl: str,
    seed: int,
    num_rows: int,
    num_classes: int,
    extra: Any,
    encouragement: Any,
    with_weight: bool,
    ignored: int,
    **options: Any,
) -> None:
    torch.manual_seed(seed)
    shape = (num_classes,) if extra == "no batch" else (num_rows, num_classes, *extra)
    input = random_logits(shape)
    target_shape = () if extra == "no batch" else (num_rows, *extra)
    target = torch.randint(num_classes, target_shape)
    target = torch.where(torch.rand(target_shape) < 0.2, ignored, target)
    if encouragement == "per class":
        encouragement = 3 * torch.rand(num_classes)
    options |= {"weight": 2 * torch.rand(num_classes) if with_weight else None, "ignore_index": ignored}
    expected = plain_eureka_loss(input, target, encouragement, **options)
    assert_same(eureka_loss(input, target, encouragement, impl=impl, **options), expected, input)


def test_auto_gives_the_same(impl: str) -> None:
    input, target = random_logits((6, C)), random_target((6, C), ignore_index=-100)
    for encouragement in (None, 0.7, torch.rand(C)):
        expected = eureka_loss(input, target, encouragement, impl=impl)
        assert_same(eureka_loss(input, target, encouragement), expected, input)
        assert_same(eureka_loss(input, target, encouragement, impl="auto"), expected, input)


@pytest.mark.parametrize("target_dtype", [torch.uint8, torch.int32, torch.int64])
def test_any_integer_target(impl: str, target_dtype: torch.dtype) -> None:
    input, target = random_logits((6, C)), random_target((6, C))
    expected = plain_eureka_loss(input, target)
    assert_same(eureka_loss(input, target.to(target_dtype), impl=impl), expected, input)


def test_memory_layout_does_not_matter(impl: str) -> None:
    input = random_logits((4, 3, C)).transpose(1, 2)
    target = random_target((3, C, 4)).t()
    assert not input.is_contiguous()
    assert_same(eureka_loss(input, target, impl=impl), plain_eureka_loss(input, target), input)


@pytest.mark.parametrize("bonus", ["likelihood", "power"])
def test_label_smoothing_and_weight_leave_the_bonus_alone(impl: str, bonus: str) -> None:
    input, target = random_logits((6, C)), random_target((6, C))
    encouragement = 3 * torch.rand(C, dtype=torch.float64)
    options: Any = {"reduction": "none", "label_smoothing": 0.3, "weight": torch.rand(C, dtype=torch.float64)}
    added = eureka_loss(input, target, encouragement, bonus=bonus, impl=impl, **options)
    added = added - F.cross_entropy(input, target, **options)
    p = input.softmax(1).gather(1, target[:, None])[:, 0]
    expected = encouragement[target] * ((1 - p).log() if bonus == "likelihood" else -p)
    assert_same(added, expected, input)


def test_mean_divides_by_the_weights_of_the_rows(impl: str) -> None:
    input, target = random_logits((6, C)), random_target((6, C), ignore_index=-100)
    weight = torch.tensor([0.5, 2.0, 1.0, 3.0, 0.1], dtype=torch.float64)
    total = eureka_loss(input, target, weight=weight, reduction="sum", impl=impl)
    denominator = sum(weight[label].item() for label in target.tolist() if label != -100)
    assert_same(eureka_loss(input, target, weight=weight, impl=impl), total / denominator, input)


def log_odds(p: float) -> float:
    return math.log(p) - math.log1p(-p)


def bonus_at(p: float, impl: str, **options: Any) -> float:
    """What the loss adds to cross-entropy at this likelihood, with two classes."""
    input, target = torch.tensor([[log_odds(p), 0.0]], dtype=torch.float64), torch.tensor([0])
    return (eureka_loss(input, target, impl=impl, **options) - F.cross_entropy(input, target)).item()


@pytest.mark.parametrize("bonus", ["likelihood", "power"])
@pytest.mark.parametrize("phi", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("cap", [None, 0.4])
def test_threshold(impl: str, bonus: str, phi: float, cap: float | None) -> None:
    options: Any = {"bonus": bonus, "gamma": 2.0, "likelihood_cap": cap, "impl": impl}
    assert bonus_at(phi - 1e-9, threshold=phi, **options) == pytest.approx(0.0, abs=1e-15)
    assert bonus_at(phi + 1e-9, threshold=phi, **options) == pytest.approx(0.0, abs=1e-7)
    assert bonus_at(0.05, threshold=phi, **options) == pytest.approx(0.0, abs=1e-15)
    difference = bonus_at(0.97, **options) - bonus_at(phi, **options)
    assert bonus_at(0.97, threshold=phi, **options) == pytest.approx(difference)
    assert bonus_at(0.97, threshold=phi, **options) < -1e-3


@pytest.mark.parametrize("p", [0.1, 0.4999, 0.5001, 0.9, 0.99999])
def test_simplified_loss_of_equation_11(impl: str, p: float) -> None:
    expected = math.log(1 - p) - math.log(0.5) if p > 0.5 else 0.0
    assert bonus_at(p, threshold=0.5, impl=impl) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("bonus", ["likelihood", "power"])
@pytest.mark.parametrize("cap", [0.3, 0.8, 0.99])
def test_likelihood_cap(impl: str, bonus: str, cap: float) -> None:
    def capped(p: float) -> float:
        return bonus_at(p, bonus=bonus, gamma=3.0, likelihood_cap=cap, impl=impl)

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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_log_odds_on_request(impl: str, dtype: torch.dtype) -> None:
    input, target = random_logits((2, C, 3), dtype), random_target((2, C, 3), ignore_index=-100)
    for reduction in ("none", "mean", "sum"):
        options: Any = {"reduction": reduction, "impl": impl}
        loss, log_odds_of_rows = eureka_loss(input, target, return_log_odds=True, **options)
        assert loss.equal(eureka_loss(input, target, **options))
        assert log_odds_of_rows.shape == target.shape
        assert not log_odds_of_rows.requires_grad
        assert log_odds_of_rows.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        expected = -F.cross_entropy(input.detach().double(), target, reduction="none")
        expected[target == -100] = math.nan
        log_p = F.logsigmoid(log_odds_of_rows).double()
        torch.testing.assert_close(log_p, expected, equal_nan=True, rtol=1e-5, atol=1e-6)


def test_dtype_of_the_result(impl: str) -> None:
    input, target = random_logits((4, C), torch.float16), random_target((4, C))
    loss = eureka_loss(input, target, dtype=torch.float32, reduction="sum", impl=impl)
    assert loss.dtype == torch.float32
    expected = plain_eureka_loss(input, target, reduction="sum")
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)  # not rounded to half in between
    (gradient,) = torch.autograd.grad(loss, input)
    assert gradient.dtype == torch.float16


# -- bad input -----------------------------------------------------------------------------------------------

GOOD = torch.zeros(3, C)
LABELS = torch.tensor([0, 1, 2])
BAD: list[tuple[Any, Any, type[Exception], str]] = [
    ((GOOD.long(), LABELS), {}, TypeError, "input.*torch.int64"),
    ((GOOD, LABELS.float()), {}, TypeError, "target.*torch.float32"),
    ((GOOD, LABELS.bool()), {}, TypeError, "target.*torch.bool"),
    ((GOOD, GOOD.long()), {}, ValueError, r"target.*\[3\].*\[3, 5\]"),
    ((GOOD, LABELS[:2]), {}, ValueError, r"target.*\[3\].*\[2\]"),
    ((GOOD[0], LABELS), {}, ValueError, r"target.*\[\].*\[3\]"),
    ((torch.zeros(()), LABELS), {}, ValueError, "input.*scalar"),
    ((GOOD, torch.tensor([0, 7, 1])), {}, IndexError, "target 7.*5 classes"),
    ((GOOD, torch.tensor([0, -1, 1])), {}, IndexError, "target -1.*5 classes"),
    ((GOOD, LABELS, -0.5), {}, ValueError, r"encouragement.*-0\.5"),
    ((GOOD, LABELS, math.nan), {}, ValueError, "encouragement.*nan"),
    ((GOOD, LABELS, math.inf), {}, ValueError, "encouragement.*inf"),
    ((GOOD, LABELS, "1"), {}, TypeError, "encouragement.*str"),
    ((GOOD, LABELS, torch.ones(4)), {}, ValueError, r"encouragement.*\[5\].*\[4\]"),
    ((GOOD, LABELS, torch.ones(C, 1)), {}, ValueError, r"encouragement.*\[5\].*\[5, 1\]"),
    ((GOOD, LABELS, torch.ones(C).long()), {}, TypeError, "encouragement.*torch.int64"),
    ((GOOD, LABELS, torch.tensor([1, 1, -2.5, 1, 1])), {}, ValueError, r"encouragement.*-2\.5.*class 2"),
    ((GOOD, LABELS, torch.tensor([1, math.nan, 1, 1, 1])), {}, ValueError, "encouragement.*nan.*class 1"),
    ((GOOD, LABELS), {"bonus": "reward"}, ValueError, "bonus.*'reward'"),
    ((GOOD, LABELS), {"bonus": "power", "gamma": 0.0}, ValueError, r"gamma.*0\.0"),
    ((GOOD, LABELS), {"bonus": "power", "gamma": -1}, ValueError, "gamma.*-1"),
    ((GOOD, LABELS), {"threshold": 1.0}, ValueError, r"threshold.*1\.0"),
    ((GOOD, LABELS), {"threshold": -0.1}, ValueError, r"threshold.*-0\.1"),
    ((GOOD, LABELS), {"likelihood_cap": 1.0}, ValueError, r"likelihood_cap.*1\.0"),
    ((GOOD, LABELS), {"likelihood_cap": 0.0}, ValueError, r"likelihood_cap.*0\.0"),
    ((GOOD, LABELS), {"impl": "quick"}, ValueError, "impl.*'quick'"),
    ((GOOD, LABELS), {"reduction": "average"}, ValueError, "reduction.*'average'"),
    ((GOOD, LABELS), {"label_smoothing": 1.1}, ValueError, r"label_smoothing.*1\.1"),
    ((GOOD, LABELS), {"label_smoothing": math.nan}, ValueError, "label_smoothing.*nan"),
    ((GOOD, LABELS), {"weight": torch.ones(4)}, ValueError, r"weight.*\[5\].*\[4\]"),
]


@pytest.mark.parametrize(("args", "options", "kind", "named"), BAD, ids=[case[-1] for case in BAD])
def test_bad_input(impl: str, args: Any, options: Any, kind: type[Exception], named: str) -> None:
    with pytest.raises(kind, match=named) as caught:
        eureka_loss(*args, **{"impl": impl, **options})
    assert "\n" not in str(caught.value)
