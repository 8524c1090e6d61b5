"""Derivatives: which are given, which are refused, and that no pass leaves traces in another."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import pytest
import torch
from loss_cases import assert_same, random_logits, random_target
from plain_formulas import closed_form_gradient, plain_eureka_loss, plain_focal_loss
from torch import Tensor
from torch.autograd import forward_ad

from eureka_nlg.losses import dft_loss, eureka_loss, focal_loss, gem_loss, linear_eureka_loss, mixce_loss

C = 6


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    return random_logits((7, C), dtype), random_target((7, C), ignore_index=-100)


@pytest.mark.parametrize(
    ("bonus", "encouragement"), list(itertools.product(["likelihood", "power"], [0.0, 1.0, 3.0]))
)
def test_closed_form_of_the_gradient(impl: str, dtype: torch.dtype, bonus: str, encouragement: float) -> None:
    """Notes, section 2: one scalar a row decides the gradient."""
    gamma = 2.0
    input, target = random_logits((20, C), dtype), random_target((20, C))
    loss = eureka_loss(input, target, encouragement, bonus=bonus, gamma=gamma, reduction="sum", impl=impl)
    (gradient,) = torch.autograd.grad(loss, input)
    for row, label, actual in zip(input.detach().double(), target.tolist(), gradient.double()):
        p = row.softmax(0)[label]
        slope = (p - 1) - encouragement * (p if bonus == "likelihood" else gamma * p**gamma * (1 - p))
        torch.testing.assert_close(actual, closed_form_gradient(row, label, slope), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("any_impl", ["reference", "fused", "auto"])
def test_gradient_penalty_is_right(any_impl: str) -> None:
    """A second derivative must not be missing in silence."""
    input, target = batch()

    def penalised(loss: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(loss, input, create_graph=True)
        return torch.autograd.grad(loss + gradient.square().sum(), input)[0]

    actual = penalised(eureka_loss(input, target, impl=any_impl))
    torch.testing.assert_close(actual, penalised(plain_eureka_loss(input, target)))


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2, "weight": torch.linspace(0.5, 2.0, C)}])
def test_second_derivative_in_float32(way: str, options: Any) -> None:
    """Of the compiled pass as well, whose first derivative is its own."""
    impl = "reference" if way == "reference" else "fused"
    input, target = batch(torch.float32)

    def penalised(loss: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(loss, input, create_graph=True)
        return torch.autograd.grad(loss + gradient.square().sum(), input)[0]

    for reduction in ("mean", "none"):
        shared = {**options, "reduction": reduction}
        actual = penalised(focal_loss(input, target, impl=impl, **shared).sum())
        expected = penalised(plain_focal_loss(input.double(), target, **shared).sum())
        torch.testing.assert_close(actual, expected.float(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2, "weight": torch.linspace(0.5, 2.0, C)}])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_many_incoming_gradients_at_once(impl: str, dtype: torch.dtype, reduction: str, options: Any) -> None:
    """``is_grads_batched``, and what is made of it: ``jacobian(vectorize=True)``."""
    input, target = batch(dtype)
    call = partial(eureka_loss, target=target, reduction=reduction, impl=impl, **options)
    value = call(input)
    incoming = torch.randn(3, *value.shape, dtype=dtype)
    (together,) = torch.autograd.grad(value, input, incoming, is_grads_batched=True, retain_graph=True)
    apart = [torch.autograd.grad(value, input, one, retain_graph=True)[0] for one in incoming]
    torch.testing.assert_close(together, torch.stack(apart))
    jacobians = [
        torch.autograd.functional.jacobian(call, input, vectorize=vectorize) for vectorize in (False, True)
    ]
    torch.testing.assert_close(*jacobians)


@pytest.mark.parametrize("factors", [[1.0, 0.5, 0.5, 0.5, 1.0], [1.0, 0.25, 3.0, 0.0, -2.0, 1.0]])
def test_losses_times_any_factor(impl: str, dtype: torch.dtype, factors: list[float]) -> None:
    """The same as always, or another one each time; twice, as the gradient is kept for the first pass."""
    input, target = batch(dtype)
    for factor in factors:
        loss = eureka_loss(input, target, impl=impl)
        (expected,) = torch.autograd.grad(plain_eureka_loss(input, target) * factor, input)
        first, second = (torch.autograd.grad(loss * factor, input, retain_graph=True)[0] for _ in range(2))
        torch.testing.assert_close(first, expected)
        first.zero_()  # it belongs to whoever asked for it
        assert second.equal(torch.autograd.grad(loss * factor, input, retain_graph=True)[0])
        torch.testing.assert_close(second, expected)


def test_gradients_add_up_over_two_calls(impl: str, dtype: torch.dtype) -> None:
    """Nothing of one backward pass may leak into another, nor change the logits."""
    input, target = batch(dtype)
    before = input.detach().clone()
    first, second = eureka_loss(input, target, impl=impl), eureka_loss(input, target, 3.0, impl=impl)
    (together,) = torch.autograd.grad(first + 2 * second, input, retain_graph=True)
    (again,) = torch.autograd.grad(first + 2 * second, input, retain_graph=True)
    assert together.equal(again)
    assert input.detach().equal(before)
    expected = plain_eureka_loss(input, target) + 2 * plain_eureka_loss(input, target, 3.0)
    assert_same(first + 2 * second, expected, input)


def test_without_gradient(impl: str, dtype: torch.dtype) -> None:
    input, target = batch(dtype)
    assert not eureka_loss(input.detach(), target, impl=impl).requires_grad
    with torch.no_grad():
        loss = eureka_loss(input, target, impl=impl)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, eureka_loss(input, target, impl=impl).detach())
    with torch.inference_mode():
        torch.testing.assert_close(eureka_loss(input, target, impl=impl), loss)


@pytest.mark.parametrize("of_logits_too", [False, True])
@pytest.mark.parametrize("name", ["encouragement", "weight"])
def test_encouragement_and_weight_may_be_learned(
    impl: str, dtype: torch.dtype, name: str, of_logits_too: bool
) -> None:
    input, target = batch(dtype)
    input.requires_grad_(of_logits_too)
    learned = torch.linspace(0.5, 2.0, C, dtype=dtype, requires_grad=True)
    actual = eureka_loss(input, target, impl=impl, **{name: learned})
    expected = plain_eureka_loss(input, target, **{name: learned})
    assert_same(actual, expected, learned)
    if of_logits_too:
        assert_same(actual, expected, input)


def test_one_learned_encouragement_for_all_classes(impl: str, dtype: torch.dtype) -> None:
    input, target = batch(dtype)
    learned = torch.tensor(0.7, dtype=dtype, requires_grad=True)
    expected = plain_eureka_loss(input, target, learned.expand(C))
    assert_same(eureka_loss(input, target, learned, impl=impl), expected, learned)


def test_a_learned_weight_with_label_smoothing_needs_the_reference() -> None:
    input, target = batch()
    learned = torch.linspace(0.5, 2.0, C, dtype=torch.float64, requires_grad=True)
    options: Any = {"weight": learned, "label_smoothing": 0.1}
    with pytest.raises(ValueError, match=r"fused.*weight.*reference"):
        eureka_loss(input, target, impl="fused", **options)
    expected = plain_eureka_loss(input, target, **options)
    for impl in ("reference", "auto"):
        assert_same(eureka_loss(input, target, impl=impl, **options), expected, learned)
    with torch.no_grad():
        torch.testing.assert_close(eureka_loss(input, target, impl="fused", **options), expected)


def test_transforms_of_the_encouragement(autograd_impl: str) -> None:
    """Several weightings at once, and the derivative in the weights."""
    input, target = batch()
    input = input.detach()
    weights = torch.rand(3, C, dtype=torch.float64)

    def loss(encouragement: Tensor) -> Tensor:
        return eureka_loss(input, target, encouragement, impl=autograd_impl)

    expected = torch.stack([plain_eureka_loss(input, target, row) for row in weights])
    torch.testing.assert_close(torch.func.vmap(loss)(weights), expected)
    variable = weights[0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(plain_eureka_loss(input, target, variable), variable)
    torch.testing.assert_close(torch.func.grad(loss)(weights[0]), gradient)


@pytest.mark.filterwarnings("ignore")
def test_compiles_with_weights_and_another_shape() -> None:
    input, target = batch()

    def loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        return eureka_loss(logits, labels, weights, likelihood_cap=0.9, ignore_index=1)

    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    target[target == -100] = 1
    for rows in (5, 3):
        arguments = (input[:rows], target[:rows], torch.rand(C, dtype=torch.float64))
        expected = plain_eureka_loss(*arguments, likelihood_cap=0.9, ignore_index=1)
        actual = compiled(*arguments)
        torch.testing.assert_close(actual, expected)
        gradients = (torch.autograd.grad(loss, input)[0] for loss in (actual, expected))
        torch.testing.assert_close(*gradients)


@pytest.mark.filterwarnings("ignore")
def test_transforms_of_the_linear_loss() -> None:
    """Under ``torch.func``, forward-mode differentiation and ``jit.trace`` the layer is a plain product."""
    hidden, weight = torch.randn(4, 6, dtype=torch.float64), torch.randn(9, 6, dtype=torch.float64)
    target = torch.tensor([3, 1, -100, 8])
    variable = hidden.clone().requires_grad_()
    expected = eureka_loss(variable @ weight.T, target, likelihood_cap=0.75, impl="reference")
    (wanted,) = torch.autograd.grad(expected, variable)

    def loss(rows: Tensor) -> Tensor:
        return linear_eureka_loss(rows, weight, target, likelihood_cap=0.75)

    torch.testing.assert_close(torch.func.grad(loss)(hidden), wanted)
    torch.testing.assert_close(torch.func.vmap(loss)(hidden.expand(2, -1, -1)), expected.detach().expand(2))
    torch.testing.assert_close(torch.jit.trace(loss, hidden)(hidden), expected.detach())
    direction = torch.randn_like(hidden)
    _, slope = torch.func.jvp(loss, (hidden,), (direction,))
    torch.testing.assert_close(slope, (wanted * direction).sum())


@pytest.mark.parametrize(
    "function",
    [eureka_loss, focal_loss, dft_loss, mixce_loss, gem_loss, partial(gem_loss, contrast="log_sigmoid")],
)
def test_forward_mode_differentiation(function: Any) -> None:
    """As ``torch.autograd.forward_ad`` and ``functional.jacobian`` do it, without ``torch.func``."""
    input, target = batch()
    input = input.detach()
    direction = torch.randn_like(input)
    with forward_ad.dual_level():
        _, slope = forward_ad.unpack_dual(function(forward_ad.make_dual(input, direction), target))
    variable = input.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(function(variable, target, impl="reference"), variable)
    torch.testing.assert_close(slope, (wanted * direction).sum())
    jacobian = torch.autograd.functional.jacobian(
        lambda logits: function(logits, target), input, strategy="forward-mode", vectorize=True
    )
    torch.testing.assert_close(jacobian, wanted)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_ignored_rows_hold_reaches_no_gradient(impl: str, label_smoothing: float, bad: float) -> None:
    input, target = batch(torch.float32)
    ignored = target == -100
    assert ignored.any()
    logits = input.detach().clone()
    logits[ignored] = bad
    logits.requires_grad_()
    options: Any = {"label_smoothing": label_smoothing, "likelihood_cap": 0.9}
    loss = eureka_loss(logits, target, impl=impl, **options)
    (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
    clean = eureka_loss(input, target, impl="reference", **options)
    (wanted,) = torch.autograd.grad(clean, input)
    torch.testing.assert_close(loss, clean)
    torch.testing.assert_close(gradient, wanted)
    (first,) = torch.autograd.grad(loss, logits, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), logits)
    assert second.isfinite().all()
    of_func = torch.func.grad(lambda values: eureka_loss(values, target, **options))(logits.detach())
    torch.testing.assert_close(of_func, wanted)
