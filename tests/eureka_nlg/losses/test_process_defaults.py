"""Torch's default dtype and device are the user's: no loss may take its memory, or its numbers, from them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from loss_cases import LOSSES, loss
from torch import Tensor

from eureka_nlg import losses
from eureka_nlg.losses import (
    linear_eureka_loss,
    sigmoid_eureka_loss,
    sigmoid_focal_loss,
    sigmoid_halted_focal_loss,
)

N, C = 64, 10
SHARED: dict[str, Any] = {"label_smoothing": 0.1, "weight": torch.linspace(0.5, 2.0, C), "ignore_index": 3}


@pytest.fixture(params=["float64", "bfloat16", "float16", "meta"])
def defaults(request: pytest.FixtureRequest) -> Iterator[Callable[[bool], None]]:
    """Sets another default dtype or device, or the old ones again."""

    name = str(request.param)
    before = torch.get_default_dtype()

    def change(is_changed: bool) -> None:
        torch.set_default_device("meta" if is_changed and name == "meta" else None)
        torch.set_default_dtype(getattr(torch, name) if is_changed and name != "meta" else before)

    yield change
    change(False)


def check(
    call: Callable[[Tensor], Tensor], change: Callable[[bool], None], dtypes: list[torch.dtype]
) -> None:
    """The same bits before and after."""
    for dtype in dtypes:
        input = (2 * torch.randn(N, C, dtype=torch.float32, device="cpu")).to(dtype).requires_grad_()
        results = []
        for is_changed in (False, True):
            change(is_changed)
            value = call(input)
            results.append((value.detach(), torch.autograd.grad(value.sum(), input)[0]))
        change(False)
        for before, after in zip(*results):
            assert after.dtype == before.dtype
            assert after.device.type == "cpu"
            assert after.equal(before)


def test_each_loss(impl: str, half: torch.dtype, defaults: Callable[[bool], None]) -> None:
    target = torch.randint(C, (N,))
    for name in LOSSES:
        call, _ = loss(name, C)
        for shared in ({}, SHARED, {"reduction": "none"}):
            compared = partial(call, target=target, impl=impl, **shared)
            check(lambda input, call=compared: call(input), defaults, [torch.float32, torch.float64, half])


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_layer_and_loss(half: torch.dtype, reduction: str, defaults: Callable[[bool], None]) -> None:
    weight, bias, target = torch.randn(C, C), torch.randn(C), torch.randint(C, (N,))

    def call(hidden: Tensor) -> Tensor:
        layer = [value.to(hidden.dtype) for value in (weight, bias)]
        return linear_eureka_loss(
            hidden, layer[0], target, linear_bias=layer[1], reduction=reduction, **SHARED, likelihood_cap=0.7
        )

    check(call, defaults, [torch.float32, torch.float64, half])


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("call", [sigmoid_focal_loss, sigmoid_halted_focal_loss, sigmoid_eureka_loss])
def test_losses_for_detection(call: Any, reduction: str, defaults: Callable[[bool], None]) -> None:
    target = (torch.rand(N, C) < 0.3).float()
    dtypes = [torch.float32, torch.float64, torch.bfloat16]
    check(lambda input: call(input, target, alpha=0.3, reduction=reduction), defaults, dtypes)


# Functions that make a tensor of the default dtype or on the default device unless told otherwise.
_MAKERS = {
    "arange",
    "empty",
    "eye",
    "full",
    "linspace",
    "logspace",
    "ones",
    "rand",
    "randint",
    "randn",
    "randperm",
    "scalar_tensor",
    "tensor",
    "zeros",
}


def unnamed(source: str) -> list[str]:
    """Calls in the source that make a tensor without saying of which dtype and on which device."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MAKERS:
            of_torch = isinstance(node.func.value, ast.Name) and node.func.value.id == "torch"
            if of_torch and not {"dtype", "device"} <= {keyword.arg for keyword in node.keywords}:
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def test_every_allocation_names_dtype_and_device() -> None:
    for path in Path(losses.__file__).parent.rglob("*.py"):
        assert not unnamed(path.read_text(encoding="utf-8")), path.name


def test_the_rule_sees_an_allocation_without() -> None:
    assert unnamed("torch.empty(3)")
    assert unnamed("x = torch.full((), 1.0, dtype=torch.float32)")
    assert not unnamed("torch.zeros(3, dtype=a, device=b); torch.zeros_like(y); y.new_zeros(2)")
