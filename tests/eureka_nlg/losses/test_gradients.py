"""Derivatives, and the ways torch transforms a function: compile, vmap, autocast, checkpointing."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from plain_formulas import closed_form_gradient, plain_eureka_loss
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from eureka_nlg.losses import eureka_loss

C = 6
OPTIONS: list[Any] = [
    {"encouragement": 0.0},
    {},
    {"encouragement": 2.5},
    {"encouragement": torch.linspace(0, 3, C, dtype=torch.float64)},
    {"bonus": "power", "gamma": 1.0},
    {"bonus": "power", "gamma": 2.5, "encouragement": 1.5},
    {"threshold": 0.3},
    {"likelihood_cap": 0.2},
    {"likelihood_cap": 0.2, "threshold": 0.4, "bonus": "power", "gamma": 0.5},
    {"label_smoothing": 0.2, "weight": torch.linspace(0.5, 2, C, dtype=torch.float64)},
]


def batch(num_rows: int = 5) -> tuple[Tensor, Tensor]:
    target = torch.randint(C, (num_rows,))
    logits = torch.randn(num_rows, C, dtype=torch.float64)
    logits[: num_rows // 2] += 3 * F.one_hot(target[: num_rows // 2], C)  # some rows beyond cap and threshold
    target[-1] = -100
    return logits.requires_grad_(), target


def name(options: dict[str, Any]) -> str:
    return str({key: value if not isinstance(value, Tensor) else "[C]" for key, value in options.items()})


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_gradient_is_that_of_the_plain_formula(impl: str, options: Any) -> None:
    input, target = batch(40)
    expected = plain_eureka_loss(input, target, **options)
    (expected_gradient,) = torch.autograd.grad(expected, input)
    (gradient,) = torch.autograd.grad(eureka_loss(input, target, impl=impl, **options), input)
    torch.testing.assert_close(gradient, expected_gradient)

    single = input.detach().float().requires_grad_()
    (gradient,) = torch.autograd.grad(eureka_loss(single, target, impl=impl, **options), single)
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("bonus", "encouragement"), list(itertools.product(["likelihood", "power"], [0.0, 1.0, 3.0]))
)
def test_closed_form_of_the_gradient(impl: str, bonus: str, encouragement: float) -> None:
    """Notes, section 2: one scalar a row decides the gradient."""
    gamma = 2.0
    input, target = batch(20)
    target[-1] = 0
    loss = eureka_loss(input, target, encouragement, bonus=bonus, gamma=gamma, reduction="sum", impl=impl)
    (gradient,) = torch.autograd.grad(loss, input)
    for row, label, actual in zip(input.detach(), target.tolist(), gradient):
        p = row.softmax(0)[label]
        slope = (p - 1) - encouragement * (p if bonus == "likelihood" else gamma * p**gamma * (1 - p))
        torch.testing.assert_close(actual, closed_form_gradient(row, label, slope))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_gradcheck(impl: str, options: Any, reduction: str) -> None:
    input, target = batch()

    def loss(logits: Tensor) -> Tensor:
        return eureka_loss(logits, target, reduction=reduction, impl=impl, **options)

    assert torch.autograd.gradcheck(loss, (input,))


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_gradgradcheck(options: Any) -> None:
    input, target = batch(4)

    def loss(logits: Tensor) -> Tensor:
        return eureka_loss(logits, target, impl="reference", **options)

    assert torch.autograd.gradgradcheck(loss, (input,))


@pytest.mark.parametrize("any_impl", ["reference", "fused", "auto"])
def test_gradient_penalty_is_right_or_refused(any_impl: str) -> None:
    """A second derivative must not be missing in silence."""
    input, target = batch()

    def penalised(loss: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(loss, input, create_graph=True)
        return torch.autograd.grad(loss + gradient.square().sum(), input)[0]

    try:
        actual = penalised(eureka_loss(input, target, impl=any_impl))
    except RuntimeError as error:
        if any_impl == "reference" or "impl='reference'" not in str(error):
            raise
        return
    torch.testing.assert_close(actual, penalised(plain_eureka_loss(input, target)))


def test_fused_refuses_gradients_that_it_does_not_give() -> None:
    input, target = batch()
    learned = torch.ones(C, dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match=r"fused.*encouragement.*reference"):
        eureka_loss(input, target, learned, impl="fused")
    with pytest.raises(ValueError, match=r"fused.*weight.*reference"):
        eureka_loss(input, target, weight=learned, impl="fused")
    with torch.no_grad():
        eureka_loss(input, target, learned, weight=learned, impl="fused")


def test_gradients_add_up_over_two_calls(impl: str) -> None:
    """Nothing of one backward pass may leak into another, nor change the logits."""
    input, target = batch()
    before = input.detach().clone()
    first, second = eureka_loss(input, target, impl=impl), eureka_loss(input, target, 3.0, impl=impl)
    (together,) = torch.autograd.grad(first + 2 * second, input, retain_graph=True)
    (again,) = torch.autograd.grad(first + 2 * second, input)
    expected = plain_eureka_loss(input, target) + 2 * plain_eureka_loss(input, target, 3.0)
    torch.testing.assert_close(together, torch.autograd.grad(expected, input)[0])
    assert together.equal(again)
    assert input.detach().equal(before)


def test_without_gradient(impl: str) -> None:
    input, target = batch()
    assert not eureka_loss(input.detach(), target, impl=impl).requires_grad
    with torch.no_grad():
        loss = eureka_loss(input, target, impl=impl)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, eureka_loss(input, target, impl=impl).detach())
    with torch.inference_mode():
        torch.testing.assert_close(eureka_loss(input, target, impl=impl), loss)


def test_encouragement_may_be_learned_or_not(autograd_impl: str) -> None:
    """Its derivative is the bonus of the rows of that class."""
    input, target = batch()
    target[-1] = 1
    encouragement = torch.ones(C, dtype=torch.float64, requires_grad=True)
    loss = eureka_loss(input.detach(), target, encouragement, reduction="sum", impl=autograd_impl)
    (gradient,) = torch.autograd.grad(loss, encouragement)
    p = input.detach().softmax(1).gather(1, target[:, None])[:, 0]
    expected = torch.zeros(C, dtype=torch.float64).index_add_(0, target, (1 - p).log())
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("encouragement", [None, 2.0, "per class"])
def test_functional_transforms(autograd_impl: str, encouragement: Any) -> None:
    input = torch.randn(3, 5, C, dtype=torch.float64)
    target = torch.randint(C, (3, 5))
    if encouragement == "per class":
        encouragement = torch.rand(C, dtype=torch.float64)

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return eureka_loss(logits, labels, encouragement, impl=autograd_impl)

    expected = torch.stack([plain_eureka_loss(*pair, encouragement) for pair in zip(input, target)])
    torch.testing.assert_close(torch.func.vmap(loss)(input, target), expected)

    variable = input.clone().requires_grad_()
    total = sum(plain_eureka_loss(*pair, encouragement) for pair in zip(variable, target))
    (expected_gradient,) = torch.autograd.grad(total, variable)
    gradient = torch.func.vmap(torch.func.grad(loss))(input, target)
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize(
    "options", [{}, {"likelihood_cap": 0.9, "label_smoothing": 0.1, "ignore_index": 1}], ids=name
)
@pytest.mark.filterwarnings("ignore")
def test_compiles_in_one_piece(autograd_impl: str, options: Any) -> None:
    input, target = batch()
    encouragement = torch.rand(C, dtype=torch.float64)

    def loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        return eureka_loss(logits, labels, weights, impl=autograd_impl, **options)

    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    if options:
        target[-1] = 1
    for rows in (5, 3):  # a second shape
        arguments = (input[:rows], target[:rows], encouragement)
        expected = plain_eureka_loss(*arguments, **options)
        actual = compiled(*arguments)
        torch.testing.assert_close(actual, expected)
        gradient, expected_gradient = (torch.autograd.grad(loss, input)[0] for loss in (actual, expected))
        torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(impl: str, dtype: torch.dtype) -> None:
    """Under autocast cross-entropy is computed and returned in float32; so is this."""
    features, target = torch.randn(5, 8), torch.randint(C, (5,))
    linear = torch.nn.Linear(8, C)
    with warnings.catch_warnings(), torch.autocast("cpu", dtype):
        warnings.simplefilter("ignore")
        logits = linear(features)
        loss = eureka_loss(logits, target, impl=impl)
        assert logits.dtype == dtype
        assert loss.dtype == F.cross_entropy(logits, target).dtype == torch.float32
        assert eureka_loss(logits.float(), target, impl=impl).dtype == torch.float32
        assert eureka_loss(logits.double(), target, impl=impl).dtype == torch.float64
    expected = plain_eureka_loss(logits.detach(), target)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    loss.backward()
    assert linear.weight.grad is not None
    assert linear.weight.grad.isfinite().all()


def test_inside_of_a_checkpoint(impl: str) -> None:
    input, target = batch()
    loss = checkpoint(lambda logits: eureka_loss(logits, target, impl=impl), input, use_reentrant=False)
    expected = plain_eureka_loss(input, target)
    torch.testing.assert_close(torch.autograd.grad(loss, input)[0], torch.autograd.grad(expected, input)[0])
