"""All losses of the paper with the formulas they are held against, and what their tests share."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from hypothesis import HealthCheck, settings
from plain_formulas import (
    plain_class_balanced_weight,
    plain_encouragement,
    plain_eureka_loss,
    plain_focal_loss,
    plain_gem_loss,
    plain_halted_focal_loss,
    plain_ldam_loss,
    plain_logit_adjusted_loss,
    plain_loss,
    plain_unlikelihood_loss,
)
from torch import Tensor

from eureka_nlg.frequency import class_balanced_weight, encouragement, rarest_classes
from eureka_nlg.losses import (
    anti_focal_loss,
    dft_loss,
    eureka_loss,
    focal_loss,
    gem_loss,
    halted_focal_loss,
    ldam_loss,
    logit_adjusted_loss,
    mixce_loss,
    power_loss,
    tldr_loss,
    unlikelihood_loss,
)

BETA = 0.99

# The same fixture for all examples of a test is what is meant here.
examples = partial(settings, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Loss(NamedTuple):
    """Two functions of input, target and the options that all losses share.

    Attributes:
        call: the package's.
        plain: the formula of the paper in float64.
    """

    call: Callable[..., Tensor]
    plain: Callable[..., Tensor]


def long_tail(num_classes: int) -> list[int]:
    """Counts of the classes: each half of the one before; of three or more, the second was never seen."""
    return [0 if index == 1 and num_classes > 2 else max(1, 500 >> index) for index in range(num_classes)]


def loss(name: str, num_classes: int) -> Loss:
    """The loss of that name for so many classes."""
    return _LOSSES[name](long_tail(num_classes))


def _eureka(encouragement: Any = None, **options: Any) -> Callable[[list[int]], Loss]:
    return lambda counts: Loss(
        partial(eureka_loss, encouragement=encouragement, **options),
        partial(plain_eureka_loss, encouragement=encouragement, **options),
    )


def _focal(**options: Any) -> Callable[[list[int]], Loss]:
    return lambda counts: Loss(partial(focal_loss, **options), partial(plain_focal_loss, **options))


def _scalar(call: Callable[..., Tensor], term: Callable[[Tensor], Tensor], **options: Any) -> Any:
    return lambda counts: Loss(
        partial(call, **options),
        lambda input, target, **shared: plain_loss(input, target, lambda p, label: term(p), **shared),
    )


def _halted(**options: Any) -> Callable[[list[int]], Loss]:
    return lambda counts: Loss(
        partial(halted_focal_loss, **options), partial(plain_halted_focal_loss, **options)
    )


def _halted_for_the_rarest(fraction: float) -> Callable[[list[int]], Loss]:
    def build(counts: list[int]) -> Loss:
        seen = sum(count > 0 for count in counts)
        rarest = sorted((count, index) for index, count in enumerate(counts) if count > 0)
        marks = torch.zeros(len(counts), dtype=torch.bool)
        marks[[index for _, index in rarest[: int(fraction * seen + 0.5)]]] = True
        return Loss(
            partial(halted_focal_loss, halted=rarest_classes(counts, fraction)),
            partial(plain_halted_focal_loss, halted=marks),
        )

    return build


def _per_class(measure: str, normalization: str) -> Callable[[list[int]], Loss]:
    names = {"measure": measure, "normalization": normalization}

    def build(counts: list[int]) -> Loss:
        weights = encouragement(counts, BETA, dtype=torch.float64, **names)
        return Loss(
            partial(eureka_loss, encouragement=weights),
            partial(plain_eureka_loss, encouragement=plain_encouragement(counts, BETA, **names)),
        )

    return build


def _class_balanced(build: Callable[[list[int]], Loss]) -> Callable[[list[int]], Loss]:
    def balanced(counts: list[int]) -> Loss:
        call, plain = build(counts)
        return Loss(
            partial(call, weight=class_balanced_weight(counts, BETA, dtype=torch.float64)),
            partial(plain, weight=plain_class_balanced_weight(counts, BETA)),
        )

    return balanced


def _gem(**options: Any) -> Callable[[list[int]], Loss]:
    return lambda counts: Loss(partial(gem_loss, **options), partial(plain_gem_loss, **options))


def _unlikelihood(counts: list[int]) -> Loss:
    """Two of three classes of each row are punished, other ones from row to row."""

    def candidates(input: Tensor, target: Tensor) -> Tensor:
        class_dim = 1 if input.dim() > 1 else 0
        index = torch.arange(input.shape[class_dim], device=input.device)
        index = index.reshape(-1, *[1] * (input.dim() - class_dim - 1))
        place = torch.arange(target.numel(), device=input.device).reshape(target.shape).unsqueeze(class_dim)
        return torch.where((index + place) % 3 > 0, index, -1).expand(input.shape)

    return Loss(
        lambda input, target, **options: unlikelihood_loss(
            input, target, candidates(input, target), alpha=0.7, **options
        ),
        lambda input, target, **options: plain_unlikelihood_loss(
            input, target, candidates(input, target), alpha=0.7, **options
        ),
    )


_LOSSES: dict[str, Callable[[list[int]], Loss]] = {
    "CE": _eureka(0.0),
    "CE + CB": _class_balanced(_eureka(0.0)),
    "FL 0": _focal(gamma=0.0),
    "FL 0.5": _focal(gamma=0.5, alpha=0.25),
    "FL 1": _focal(gamma=1.0),
    "FL 2": _focal(),
    "FL 5": _focal(gamma=5),
    "FL + CB": _class_balanced(_focal()),
    "HFL": _halted(),
    "HFL 0.2": _halted(gamma=1.0, threshold=0.2, alpha=0.25),
    "HFL of the rarest half": _halted_for_the_rarest(0.5),
    "EL one": _eureka(),
    "EL number": _eureka(2.5),
    "EL effective number": _per_class("effective_number", "mean_measure"),
    "EL effective number, mean weight one": _per_class("effective_number", "mean_weight"),
    "EL count": _per_class("count", "mean_measure"),
    "EL count, mean weight one": _per_class("count", "mean_weight"),
    "EL power": _eureka(1.5, bonus="power", gamma=2.5),
    "EL simplified": _eureka(threshold=0.5),
    "EL conservative": _eureka(3.0, likelihood_cap=0.6),
    "EL clamped": _eureka(3.0, likelihood_clamp=0.3),
    "EL conservative, simplified, clamped": _eureka(likelihood_cap=0.25, threshold=0.2, likelihood_clamp=0.5),
    "EL power, threshold past cap": _eureka(bonus="power", gamma=0.5, threshold=0.4, likelihood_cap=0.2),
    "EL + CB": _class_balanced(_per_class("effective_number", "mean_measure")),
    "DFT": _scalar(dft_loss, lambda p: -p.detach() * p.log()),
    "minus p": _scalar(power_loss, lambda p: -p),
    "minus p to the 10": _scalar(power_loss, lambda p: -(p**10), exponent=10.0),
    "anti-focal": _scalar(anti_focal_loss, lambda p: -((1 + p.detach()) ** 2.5) * p.log(), gamma=2.5),
    "TLDR": _scalar(tldr_loss, lambda p: -((math.pi * p).cos() + 1) * p.log()),
    "MixCE": _scalar(mixce_loss, lambda p: -(0.3 + 0.7 * p.detach()) * p.log(), eta=0.3),
    "GEM": _gem(),
    "GEM log-sigmoid": _gem(contrast="log_sigmoid", temperature=1.5),
    "unlikelihood": _unlikelihood,
    "logit adjustment": lambda counts: Loss(
        partial(logit_adjusted_loss, class_counts=counts, tau=1.5),
        partial(plain_logit_adjusted_loss, class_counts=counts, tau=1.5),
    ),
    "LDAM": lambda counts: Loss(
        partial(ldam_loss, class_counts=counts, scale=5.0),
        partial(plain_ldam_loss, class_counts=counts, scale=5.0),
    ),
}
LOSSES = list(_LOSSES)
# with a factor that is held fixed: their gradient is not the derivative of their value
HELD_FIXED = {"DFT", "anti-focal", "MixCE", "GEM", "GEM log-sigmoid"}

# -- numbers, and how to compare them ------------------------------------------------------------------------


def random_logits(
    shape: tuple[int, ...], dtype: torch.dtype = torch.float64, layout: str = "contiguous"
) -> Tensor:
    """Logits of moderate size, in the memory layout that is named."""
    class_dim = 1 if len(shape) > 1 else 0
    logits = (2 * torch.randn(shape, dtype=torch.float64)).to(dtype)
    if layout == "classes first":
        logits = logits.movedim(class_dim, 0).contiguous().movedim(0, class_dim)
    elif layout == "every second class":
        logits = logits.repeat_interleave(2, class_dim).unflatten(class_dim, (-1, 2)).select(class_dim + 1, 0)
    elif layout == "part of wider rows":
        wider = torch.cat([logits, torch.full_like(logits, 99.0)], class_dim)
        logits = wider.narrow(class_dim, 0, shape[class_dim])
    else:
        assert layout == "contiguous"
    assert logits.shape == shape
    return logits.requires_grad_()


LAYOUTS = ["contiguous", "classes first", "every second class", "part of wider rows"]


def random_target(shape: tuple[int, ...], ignore_index: int | None = None) -> Tensor:
    """Targets, of classes that occur, for logits of this shape; with ``ignore_index`` every third is that."""
    class_dim = 1 if len(shape) > 1 else 0
    occurring = torch.tensor(long_tail(shape[class_dim])).nonzero().squeeze(1)
    target = occurring[torch.randint(len(occurring), shape[:class_dim] + shape[class_dim + 1 :])]
    if ignore_index is not None and target.dim() > 0:
        target.view(-1)[::3] = ignore_index
    return target


def value_and_gradient(loss: Tensor, input: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient for a fixed incoming gradient that differs from row to row."""
    incoming = (
        0.5 + torch.arange(loss.numel(), dtype=loss.dtype).reshape(loss.shape) % 8 / 8
    )  # exact in halves
    (gradient,) = torch.autograd.grad(loss, input, incoming, retain_graph=True)
    return loss.detach(), gradient


def assert_same(actual: Tensor, expected: Tensor, input: Tensor) -> None:
    """Value and gradient agree, up to what the dtypes of the actual ones can hold."""
    pairs = zip(value_and_gradient(actual, input), value_and_gradient(expected, input))
    for one, other in pairs:
        precision = torch.finfo(one.dtype).eps
        # float32 sums up errors of its arithmetic; a half is rounded once, at the end
        slack = {torch.float64: 1e5, torch.float32: 100.0}.get(one.dtype, 1.0)
        torch.testing.assert_close(
            one.double(),
            other.double(),
            equal_nan=True,
            rtol=slack * precision,
            atol=max(1e-6, 0.01 * precision) if one.dtype != torch.float64 else 1e-11,
        )
