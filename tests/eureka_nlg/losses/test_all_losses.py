"""Every loss goes through the same checks, against its formula in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from loss_cases import (
    HELD_FIXED,
    LAYOUTS,
    LOSSES,
    assert_same,
    examples,
    loss,
    random_logits,
    random_target,
    value_and_gradient,
)
from torch import Tensor

C = 5
each_loss = pytest.mark.parametrize("name", LOSSES)
SMOOTHED: dict[str, Any] = {
    "label_smoothing": 0.2,
    "weight": torch.tensor([0.5, 0.0, 2.0, 1.0, 3.0], dtype=torch.float64),
}


@each_loss
@examples(max_examples=15)
@given(
    seed=st.integers(0, 2**31),
    num_rows=st.integers(0, 5),
    num_classes=st.integers(2, 8),
    extra=st.sampled_from([(), (1,), (3,), (2, 2), "no batch"]),
    layout=st.sampled_from(LAYOUTS),
    in_half=st.booleans(),
    with_weight=st.booleans(),
    ignored=st.sampled_from([-100, -1, 0, 1]),
    reduction=st.sampled_from(["none", "mean", "sum"]),
    label_smoothing=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_any_arguments(
    impl: str,
    dtype: torch.dtype,
    half: torch.dtype,
    name: str,
    seed: int,
    num_rows: int,
    num_classes: int,
    extra: Any,
    layout: str,
    in_half: bool,
    with_weight: bool,
    ignored: int,
    **options: Any,
) -> None:
    torch.manual_seed(seed)
    shape = (num_classes,) if extra == "no batch" else (num_rows, num_classes, *extra)
    input = random_logits(shape, half if in_half else dtype, layout)
    target = random_target(shape)
    target = torch.where(torch.rand(target.shape) < 0.2, ignored, target)
    options["ignore_index"] = ignored
    if with_weight:
        options["weight"] = 2 * torch.rand(num_classes)
    call, plain = loss(name, num_classes)
    actual = call(input, target, impl=impl, **options)
    assert actual.dtype == input.dtype
    assert_same(actual, plain(input, target, **options), input)


@each_loss
def test_each_shape_and_dtype(impl: str, way: str, name: str) -> None:
    call, plain = loss(name, C)
    dtypes = [torch.float32, torch.bfloat16]
    if way != "native":
        dtypes += [torch.float64, torch.float16]
    for shape in [(C,), (6, C), (2, C, 3, 2)]:
        for input in (random_logits(shape, dtype) for dtype in dtypes):
            target = random_target(shape, ignore_index=-100)
            assert_same(call(input, target, impl=impl), plain(input, target), input)


@each_loss
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_nothing_to_average(impl: str, dtype: torch.dtype, name: str, reduction: str) -> None:
    """No rows, or none that counts: as cross-entropy, whose mean is NaN then."""
    call, _ = loss(name, C)
    for shape in [(0, C), (2, C, 0), (6, C), (C,)]:
        input = random_logits(shape, dtype)
        target = torch.full_like(random_target(shape), -100)
        expected = F.cross_entropy(input, target, reduction=reduction)
        assert_same(call(input, target, reduction=reduction, impl=impl), expected, input)


@each_loss
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2, 1.0])
def test_one_class_has_nothing_to_learn(
    impl: str, dtype: torch.dtype, name: str, label_smoothing: float
) -> None:
    input, target = random_logits((3, 1), dtype), torch.zeros(3, dtype=torch.long)
    options: Any = {"label_smoothing": label_smoothing, "reduction": "none"}
    value, gradient = value_and_gradient(loss(name, 1).call(input, target, impl=impl, **options), input)
    # these are below zero at p = 1, where the others are zero or taken as zero
    below = "HFL" in name or "minus p" in name
    constant = loss(name, 1).plain(input, target, **options)[0].item() if below else 0.0
    torch.testing.assert_close(value, torch.full_like(value, constant))
    assert not gradient.any()


@each_loss
@pytest.mark.parametrize("options", [{}, SMOOTHED], ids=["plain", "smoothed and weighted"])
@pytest.mark.parametrize("float64_impl", ["reference", "fused"])
def test_gradcheck(float64_impl: str, name: str, options: Any) -> None:
    call, _ = loss(name, C)
    input, target = random_logits((3, C)), torch.tensor([0, -100, 3])

    def rows(logits: Tensor) -> Tensor:
        return call(logits, target, reduction="none", impl=float64_impl, **options)

    if name in HELD_FIXED:
        value = rows(input).sum()
        assert torch.autograd.grad(value, input)[0].abs().sum() > 0
        assert not torch.autograd.gradcheck(rows, (input,), raise_exception=False)  # as SCALAR_LOSSES says
        return
    assert torch.autograd.gradcheck(rows, (input,))
    if float64_impl == "reference":
        assert torch.autograd.gradgradcheck(rows, (input,))


@each_loss
@examples(max_examples=10)
@given(
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([1.0, 30.0, 1e3, 1e5, 1e30]),
    num_classes=st.integers(1, 6),
    label_smoothing=st.sampled_from([0.0, 0.1]),
    in_half=st.booleans(),
)
def test_gradients_are_finite_and_add_up_to_zero_everywhere(
    impl: str,
    dtype: torch.dtype,
    half: torch.dtype,
    name: str,
    seed: int,
    scale: float,
    num_classes: int,
    label_smoothing: float,
    in_half: bool,
) -> None:
    torch.manual_seed(seed)
    dtype = half if in_half else dtype
    limit = torch.finfo(dtype).max / 1e3
    input = (scale * torch.randn(8, num_classes, dtype=torch.float64)).clamp(-limit, limit).to(dtype)
    input.requires_grad_()
    target = torch.randint(num_classes, (8,))
    total = loss(name, num_classes).call(
        input, target, reduction="sum", label_smoothing=label_smoothing, impl=impl
    )
    (gradient,) = torch.autograd.grad(total, input)
    assert gradient.isfinite().all()
    # no slope here is steeper than 100; a constant added to all logits changes nothing
    assert gradient.abs().max() < 100
    assert (
        gradient.double().sum(-1).abs() <= 8 * torch.finfo(dtype).eps * (1 + gradient.abs().amax(-1))
    ).all()


@each_loss
def test_functional_transforms(autograd_impl: str, name: str) -> None:
    call, plain = loss(name, C)
    input = torch.randn(3, 4, C, dtype=torch.float64)
    target = torch.randint(C, (3, 4))

    def rows(logits: Tensor, labels: Tensor) -> Tensor:
        return call(logits, labels, impl=autograd_impl)

    torch.testing.assert_close(
        torch.func.vmap(rows)(input, target), torch.stack([plain(*pair) for pair in zip(input, target)])
    )
    variable = input.clone().requires_grad_()
    total = sum(plain(*pair) for pair in zip(variable, target))
    gradient = torch.func.vmap(torch.func.grad(rows))(input, target)
    torch.testing.assert_close(gradient, torch.autograd.grad(total, variable)[0])


@pytest.mark.filterwarnings("ignore")
def test_all_compile_in_one_piece() -> None:
    """In one graph together, which is quicker than one each; on the reference, as nothing is asked for."""
    losses = [loss(name, C).call for name in LOSSES]

    def values(logits: Tensor, labels: Tensor) -> Tensor:
        return torch.stack([call(logits, labels, label_smoothing=0.1) for call in losses])

    torch.compiler.reset()
    compiled = torch.compile(values, fullgraph=True, backend="eager")
    input, target = random_logits((6, C)), random_target((6, C), ignore_index=-100)
    expected = torch.stack([loss(name, C).plain(input, target, label_smoothing=0.1) for name in LOSSES])
    assert_same(compiled(input, target), expected, input)


@each_loss
def test_autocast(impl: str, half: torch.dtype, name: str) -> None:
    """Under autocast cross-entropy is computed and returned in float32; so are these."""
    call, plain = loss(name, C)
    input, target = random_logits((5, C), half), random_target((5, C))
    with torch.autocast("cpu", half):
        actual = call(input, target, impl=impl)
        assert actual.dtype == F.cross_entropy(input, target).dtype == torch.float32
        assert call(input.float(), target, impl=impl).dtype == torch.float32
        assert call(input.double(), target, impl=impl).dtype == torch.float64
    expected = plain(input, target)
    # not rounded to half in between
    assert actual.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
    assert_same(actual.to(half), expected, input)
