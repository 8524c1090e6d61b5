"""Losses inside of ``torch.utils.checkpoint``, which computes them again in the backward pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from loss_cases import random_logits, random_target
from plain_formulas import plain_eureka_loss
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from eureka_nlg.losses import eureka_loss, focal_loss, linear_eureka_loss


def test_inside_of_a_checkpoint(impl: str, dtype: torch.dtype) -> None:
    input, target = random_logits((7, 6), dtype), random_target((7, 6), ignore_index=-100)
    loss = checkpoint(lambda logits: eureka_loss(logits, target, impl=impl), input, use_reentrant=False)
    (gradient,) = torch.autograd.grad(loss, input)
    expected = plain_eureka_loss(input, target)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, input)[0])


@pytest.mark.parametrize("kind", ["eureka", "focal", "linear"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_checkpoints_beside_losses_with_other_factors(kind: str, reduction: Any) -> None:
    """What a checkpoint computes again comes after other losses: their factors must not get into it."""
    hidden, weight = torch.randn(8, 6, requires_grad=True), torch.randn(40, 6, requires_grad=True)
    target = torch.randint(40, (8,))
    others = [torch.randn(40, 6) for _ in range(4)]

    def loss(rows: Tensor, layer: Tensor, labels: Tensor, is_plain: bool) -> Tensor:
        options: Any = {"reduction": reduction}
        if is_plain:
            options["impl"] = "reference"
        if kind == "focal":
            return focal_loss(rows @ layer.T, labels, **options)
        options |= {"likelihood_cap": 0.75}
        if kind == "eureka" or is_plain:
            return eureka_loss(rows @ layer.T, labels, **options)
        return linear_eureka_loss(rows, layer, labels, **options)

    def beside(is_plain: bool) -> Tensor:
        first, second, third, fourth = (loss(hidden, other, target, is_plain) for other in others)
        if is_plain:
            main = loss(hidden, weight, target, True)
        else:
            main = checkpoint(loss, hidden, weight, target, False, use_reentrant=False)
        return first + second + main + 0.3 * third + 0.3 * fourth

    def by_parts(is_plain: bool) -> Tensor:
        parts = zip(hidden.chunk(4), target.chunk(4))
        if is_plain:
            return sum(loss(rows, weight, labels, True) for rows, labels in parts) / 64
        checkpointed = (
            checkpoint(loss, *(rows, weight, labels, False), use_reentrant=False) for rows, labels in parts
        )
        return sum(checkpointed) / 64

    for whole in (beside, by_parts, beside):
        for _ in range(3):  # the prediction of the factor is that of the steps before
            wanted, found = (
                torch.autograd.grad(whole(is_plain), (hidden, weight)) for is_plain in (True, False)
            )
            torch.testing.assert_close(found, wanted)


def test_a_linear_loss_of_rows_inside_of_a_checkpoint() -> None:
    hidden, weight = torch.randn(5, 6, requires_grad=True), torch.randn(9, 6, requires_grad=True)
    target, slopes = torch.tensor([3, 1, -100, 8, 0]), torch.rand(5)
    for use_reentrant in (False, True):
        rows = checkpoint(
            lambda inputs: linear_eureka_loss(inputs, weight, target, reduction="none"),
            hidden,
            use_reentrant=use_reentrant,
        )
        found = torch.autograd.grad((rows * slopes).sum(), hidden) if not use_reentrant else None
        expected = eureka_loss(hidden @ weight.T, target, reduction="none", impl="reference")
        (wanted,) = torch.autograd.grad((expected * slopes).sum(), hidden)
        if found is None:
            hidden.grad = None
            (rows * slopes).sum().backward()
            found = (hidden.grad,)
        torch.testing.assert_close(found[0], wanted)
