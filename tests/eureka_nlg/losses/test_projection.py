"""The linear layer and the loss together: the numbers of both apart, without their memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import assert_same, examples
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from eureka_nlg.frequency import rarest_classes
from eureka_nlg.losses import chunked_projection, eureka_loss, linear_eureka_loss, projection
from eureka_nlg.losses.bonus import Bonus
from eureka_nlg.losses.checks import Options
from eureka_nlg.losses.logits import loss_and_log_odds
from eureka_nlg.losses.objectives import HaltedFocal, Objective, eureka_objective
from eureka_nlg.losses.projection import loss_and_log_odds_of_projection
from eureka_nlg.losses.projection_operator import traced_loss_and_log_odds
from eureka_nlg.losses.rows import Rows

H, C = 3, 7
Layer = tuple[Tensor, Tensor, "Tensor | None"]  # hidden, weight, bias
OPTIONS: list[dict[str, Any]] = [
    {},
    {"encouragement": 0.0, "label_smoothing": 0.1},
    {"encouragement": torch.linspace(0, 3, C), "weight": torch.linspace(0.5, 2, C), "likelihood_cap": 0.3},
    {"bonus": "power", "gamma": 2.0, "label_smoothing": 0.2, "weight": torch.linspace(0.5, 2, C)},
]


OPERATOR_OPTIONS: list[dict[str, Any]] = [
    {},
    {"encouragement": 0.0, "weight": torch.linspace(0.5, 2, C, dtype=torch.float64)},
    {"weight": torch.linspace(0.5, 2, C, dtype=torch.float64)},
    {"label_smoothing": 0.3},
    {"label_smoothing": 0.3, "weight": torch.linspace(0.5, 2, C, dtype=torch.float64)},
]


def name(value: Any) -> str:
    return ", ".join(value) or "defaults" if isinstance(value, dict) else str(value)


@pytest.fixture(autouse=True, params=[False, True], ids=["one chunk", "chunks"])
def in_chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Everything is tested with all rows in one chunk, and with the fewest in one, which is H."""
    if request.param:
        monkeypatch.setattr(chunked_projection, "_CHUNK_BYTES", 1)
    return bool(request.param)


def layer(num_rows: int, dtype: torch.dtype, bias: bool = True) -> Layer:
    hidden, weight, biases = (
        torch.randn(shape, dtype=torch.float64).to(dtype).requires_grad_()
        for shape in [(num_rows, H), (C, H), (C,)]
    )
    return hidden, weight, biases if bias else None


def labels(num_rows: int) -> Tensor:
    target = torch.randint(C, (num_rows,))
    target[1::3] = -100
    return target


def together(arguments: Layer, target: Tensor, **options: Any) -> Tensor:
    hidden, weight, bias = arguments
    return linear_eureka_loss(hidden, weight, target, linear_bias=bias, **options)


def apart(arguments: Layer, target: Tensor, **options: Any) -> Tensor:
    return eureka_loss(F.linear(*arguments), target, **options)


def assert_same_everywhere(actual: Tensor, expected: Tensor, arguments: Layer) -> None:
    for value in arguments:
        if value is not None and value.requires_grad:
            assert_same(actual, expected, value)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("options", OPTIONS, ids=name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_same_value_and_gradients(dtype: torch.dtype, options: Any, reduction: str) -> None:
    target = labels(10)
    for bias in (True, False):
        arguments = layer(10, dtype, bias)
        actual = together(arguments, target, reduction=reduction, **options)
        assert actual.dtype == dtype
        exact = apart(arguments, target, reduction=reduction, impl="reference", **options)
        assert_same_everywhere(actual, exact, arguments)


@examples(max_examples=30)
@given(
    seed=st.integers(0, 2**31),
    num_rows=st.integers(0, 9),
    wanted=st.lists(st.booleans(), min_size=3, max_size=3).filter(any),
    share_ignored=st.sampled_from([0.0, 0.3, 1.0]),
    reduction=st.sampled_from(["none", "mean", "sum"]),
    options=st.sampled_from(OPTIONS),
    transposed=st.booleans(),
)
def test_any_arguments(
    seed: int,
    num_rows: int,
    wanted: list[bool],
    share_ignored: float,
    reduction: str,
    options: Any,
    transposed: bool,
) -> None:
    """Only some gradients wanted; no rows, or none that counts: NaN in the mean of nothing, as apart."""
    torch.manual_seed(seed)
    arguments = layer(num_rows, torch.float64)
    if transposed:
        hidden, weight, bias = arguments
        hidden, weight = (value.detach().t().contiguous().t() for value in (hidden, weight))
        arguments = hidden, weight, bias
    for value, want in zip(arguments, wanted):
        assert value is not None
        value.requires_grad_(want)
    target = torch.where(torch.rand(num_rows) < share_ignored, -100, torch.randint(C, (num_rows,)))
    actual = together(arguments, target, reduction=reduction, **options)
    expected = apart(arguments, target, reduction=reduction, **options)
    assert_same_everywhere(actual, expected, arguments)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("num_rows", [10, 70])
def test_half_precision(dtype: torch.dtype, reduction: str, num_rows: int) -> None:
    """The logits are rounded in both; sums over rows are not, here."""
    arguments, target = layer(num_rows, dtype), labels(num_rows)
    actual = together(arguments, target, reduction=reduction, label_smoothing=0.1)
    expected = apart(arguments, target, reduction=reduction, label_smoothing=0.1)
    assert actual.dtype == dtype
    precision = torch.finfo(dtype).eps
    torch.testing.assert_close(actual, expected, rtol=2 * precision, atol=2 * precision)
    incoming = torch.ones_like(actual) / 4
    wanted = [value for value in arguments if value is not None]
    pairs = zip(
        torch.autograd.grad(actual, wanted, incoming), torch.autograd.grad(expected, wanted, incoming)
    )
    for one, other in pairs:
        assert one.dtype == dtype
        torch.testing.assert_close(one, other, rtol=8 * precision, atol=4 * precision)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype: torch.dtype) -> None:
    """The layer in half precision, the loss in float32, the gradients in the dtype of the parameters."""
    arguments, target = layer(10, torch.float32), labels(10)
    with torch.autocast("cpu", dtype):
        actual, expected = together(arguments, target), apart(arguments, target)
        assert actual.dtype == expected.dtype == torch.float32
        exact = layer(10, torch.float64)
        assert_same_everywhere(together(exact, target), apart(exact, target), exact)  # left as it is
    torch.testing.assert_close(actual, expected, rtol=1e-2, atol=1e-2)
    wanted = [value for value in arguments if value is not None]
    for one, other in zip(torch.autograd.grad(actual, wanted), torch.autograd.grad(expected, wanted)):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=5e-2, atol=5e-3)


def test_loss_scaling_saves_small_gradients() -> None:
    """In float16 the scale must reach the gradient of the logits before it is rounded."""
    weight = torch.zeros(512, 1).half().requires_grad_()
    bias = torch.zeros(512).half()
    bias[0] = 18.0  # the other classes' share of the gradient is 1.5e-8, below the smallest half of 6e-8
    hidden, target, scale = torch.ones(4, 1).half(), torch.ones(4, dtype=torch.long), 2.0**15
    for reduction in ("mean", "sum"):
        options: Any = {"linear_bias": bias, "reduction": reduction}
        loss = linear_eureka_loss(hidden, weight, target, 0.0, **options)
        (gradient,) = torch.autograd.grad(scale * loss.float(), weight)
        exact = F.linear(hidden, weight, bias).double()
        expected = scale * F.cross_entropy(exact, target, reduction=reduction)
        (expected_gradient,) = torch.autograd.grad(expected, weight)
        assert expected_gradient[2:].min() > 0
        torch.testing.assert_close(gradient[2:], expected_gradient[2:], rtol=1e-2, atol=1e-7)


class Largest(TorchDispatchMode):
    """Bytes of the largest memory that any operation returned."""

    num_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(value, Tensor):
                self.num_bytes = max(self.num_bytes, value.untyped_storage().nbytes())
        return result


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_never_holds_all_logits(monkeypatch: pytest.MonkeyPatch, reduction: str) -> None:
    monkeypatch.setattr(chunked_projection, "_CHUNK_BYTES", 1)
    num_rows, num_classes = 600, 500
    hidden = torch.randn(num_rows, H, requires_grad=True)
    weight = torch.randn(num_classes, H, requires_grad=True)
    target = torch.randint(num_classes, (num_rows,))
    target[::5] = -100
    options: Any = {"label_smoothing": 0.1, "reduction": reduction}
    all_logits = 4 * num_rows * num_classes
    for call in (linear_eureka_loss, lambda x, w, *rest, **more: eureka_loss(x @ w.t(), *rest, **more)):
        with Largest() as largest:
            call(hidden, weight, target, **options).sum().backward()
        if call is linear_eureka_loss:
            assert largest.num_bytes < all_logits / 10
        else:
            assert largest.num_bytes >= all_logits  # what is measured does show there


class Products(TorchDispatchMode):
    """Notes the shapes of the matrices that are multiplied."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set[tuple[torch.Size, ...]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm):
            self.shapes.add(tuple(value.shape for value in args))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_numbers_of_rows_share_compiled_products(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, bias: bool
) -> None:
    """oneDNN compiles a product of 16-bit matrices for each shape; those of 32 bits are MKL's."""
    monkeypatch.setattr(chunked_projection, "_has_products", lambda dtype: True)
    with Products() as products:
        for num_rows in range(33, 65):
            together(layer(num_rows, dtype, bias), torch.zeros(num_rows).long()).backward()
    assert (len(products.shapes) == 3) is (dtype == torch.bfloat16)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_without_products_of_16_bits(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, bias: bool) -> None:
    """They are computed in float32, some classes at a time, so nothing is rounded but the results."""
    monkeypatch.setattr(chunked_projection, "_has_products", lambda dtype: False)
    monkeypatch.setattr(chunked_projection, "_PIECE_BYTES", 4 * H * (C // 3))
    arguments, target = layer(10, dtype, bias), labels(10)
    exact: Any = [value if value is None else value.detach().double().requires_grad_() for value in arguments]
    loss = together(arguments, target, label_smoothing=0.1)
    expected = apart(exact, target, label_smoothing=0.1)
    torch.testing.assert_close(loss.double(), expected, rtol=2 * torch.finfo(dtype).eps, atol=0.0)
    loss.backward()
    expected.backward()
    for actual, precise in zip(arguments, exact):
        if actual is not None:
            largest = precise.grad.abs().max().item()
            torch.testing.assert_close(
                actual.grad.double(), precise.grad, rtol=torch.finfo(dtype).eps, atol=1e-4 * largest
            )


def test_scaled_losses(in_chunks: bool) -> None:
    """The gradient is computed along with the loss, for the factor that the last two had."""
    arguments, target = layer(8, torch.float32), labels(8)
    for factor in (1.0, 0.25, 0.25, 0.25, 0.0, 0.0, 2.0, -1.0):
        losses = [factor * loss(arguments, target, label_smoothing=0.1) for loss in (together, apart)]
        for one, other in zip(*(torch.autograd.grad(loss, arguments) for loss in losses)):
            torch.testing.assert_close(one, other)


def test_a_factor_after_infinite_ones() -> None:
    arguments, target = layer(8, torch.float32), labels(8)
    for factor in (torch.inf, torch.inf, 2.0):
        losses = [factor * loss(arguments, target) for loss in (together, apart)]
        gradients = [torch.autograd.grad(loss, arguments) for loss in losses]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("first_weight", [1.0, 3.0])
def test_cross_entropy_with_weights(dtype: torch.dtype, first_weight: float) -> None:
    """Without a reward, the weights of the rows are not scaled to mean one; their sum may be one."""
    hidden, weight, bias = layer(2, dtype)
    class_weight = torch.full((C,), 5.0, dtype=dtype)
    class_weight[1] = first_weight
    for target in (torch.tensor([1, -100]), torch.tensor([1, 2])):
        loss = linear_eureka_loss(hidden, weight, target, 0.0, linear_bias=bias, weight=class_weight)
        expected = F.cross_entropy(F.linear(hidden, weight, bias), target, weight=class_weight)
        torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_odds_and_a_gradient_that_its_receiver_changes(dtype: torch.dtype) -> None:
    (hidden, weight, bias), target = layer(6, dtype), torch.arange(6) % C  # none is ignored, or it is a copy
    objective = eureka_objective(None, Bonus())
    loss, log_odds = loss_and_log_odds_of_projection(hidden, weight, bias, target, objective, Options())
    expected, others = loss_and_log_odds(F.linear(hidden, weight, bias), target, objective, Options())
    torch.testing.assert_close((loss, log_odds), (expected, others), equal_nan=True)
    (wanted,) = torch.autograd.grad(expected, hidden)
    for _ in range(3):
        (gradient,) = torch.autograd.grad(loss, hidden, retain_graph=True)
        torch.testing.assert_close(gradient, wanted)
        gradient.zero_()


def test_gradients_add_up_over_several_backward_passes() -> None:
    """The first one becomes the memory that the others are added to."""
    arguments, target = layer(5, torch.float64), torch.arange(5) % C
    expected = torch.autograd.grad(apart(arguments, target), arguments)
    loss = together(arguments, target)
    for times in (1, 2, 3, 4):
        loss.backward(retain_graph=True)
        torch.testing.assert_close([one.grad for one in arguments], [times * one for one in expected])


def test_the_loss_itself_is_computed_without_autocast() -> None:
    seen = []

    def term(log_odds: Tensor, target: Tensor) -> Tensor:
        seen.append(torch.is_autocast_enabled("cpu"))
        return -log_odds

    arguments, target = layer(4, torch.float32), labels(4)
    with torch.autocast("cpu", torch.bfloat16):
        loss_and_log_odds_of_projection(*arguments, target, Objective(term), Options())
    assert seen
    assert not any(seen)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("options", OPERATOR_OPTIONS, ids=name)
def test_operators_without_tracing(options: Any, reduction: str) -> None:
    """They compute what the layer and the loss do, whichever part of the layer is trained."""
    (hidden, weight, bias), target = layer(7, torch.float64), labels(7)
    given = Options(options.get("weight"), -100, reduction, options.get("label_smoothing", 0.0))
    objective = eureka_objective(options.get("encouragement"), Bonus())
    rows = Rows.of(target, C, given, torch.float64)
    for trained in ((hidden, weight, bias), (hidden,), (weight, bias), (bias,)):
        parts = [
            one if any(one is other for other in trained) else one.detach() for one in (hidden, weight, bias)
        ]
        loss, log_odds = traced_loss_and_log_odds(
            chunked_projection.Layer(*parts), target, rows, objective, given
        )
        expected, others = loss_and_log_odds(F.linear(*parts), target, objective, given)
        torch.testing.assert_close((loss, log_odds), (expected, others), equal_nan=True)
        slope = torch.arange(1.0, loss.numel() + 1, dtype=torch.float64).view_as(loss)
        found, wanted = (torch.autograd.grad(one, trained, slope) for one in (loss, expected))
        torch.testing.assert_close(found, wanted)


def test_evaluation_computes_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parameters want gradients under no_grad too, and would get them computed for nothing."""
    needed = []
    work = projection.by_chunks

    def spy(*arguments: Any) -> Any:
        needed.append(arguments[-1])
        return work(*arguments)

    monkeypatch.setattr(projection, "by_chunks", spy)
    arguments, target = layer(10, torch.float32), labels(10)
    with torch.no_grad():
        loss = together(arguments, target)
    assert not loss.requires_grad
    assert needed == [(False, False, False)]
    torch.testing.assert_close(loss, together(arguments, target).detach())


def test_second_derivative_is_refused() -> None:
    arguments, target = layer(4, torch.float64), labels(4)
    with pytest.raises(RuntimeError, match="reference"):
        torch.autograd.grad(together(arguments, target), arguments[0], create_graph=True)


def test_two_backward_passes() -> None:
    arguments, target = layer(5, torch.float64), labels(5)
    for reduction in ("none", "mean"):
        loss = together(arguments, target, reduction=reduction).sum()
        first, second = (torch.autograd.grad(loss, arguments[:2], retain_graph=True) for _ in range(2))
        assert all(one.equal(other) for one, other in zip(first, second))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_any_objective_and_its_log_odds(reduction: str) -> None:
    (hidden, weight, bias), target = layer(10, torch.float64), labels(10)
    objective = HaltedFocal(2.0, 0.5).objective(rarest_classes(range(1, C + 1), 0.4))
    options = Options(reduction=reduction)
    arguments = (target, objective, options)
    actual, log_odds = projection.loss_and_log_odds_of_projection(hidden, weight, bias, *arguments)
    expected, expected_log_odds = loss_and_log_odds(F.linear(hidden, weight, bias), *arguments)
    assert_same(actual, expected, weight)
    torch.testing.assert_close(log_odds, expected_log_odds, equal_nan=True)
    assert not log_odds.requires_grad


@pytest.mark.parametrize("name", ["encouragement", "weight"])
def test_what_cannot_be_learned_is_refused(name: str) -> None:
    hidden, linear_weight, target = torch.randn(3, 4), torch.randn(5, 4), torch.tensor([0, 1, 2])
    learned = torch.ones(5, requires_grad=True)
    with pytest.raises(ValueError, match=f"no gradient of {name}"):
        linear_eureka_loss(hidden, linear_weight, target, **{name: learned})
    with torch.no_grad():
        assert linear_eureka_loss(hidden, linear_weight, target, **{name: learned}).isfinite()
