"""The Eureka loss from the targets' log-likelihoods against that from the logits, and against its formula."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from loss_cases import long_tail, random_logits, random_target
from plain_formulas import plain_eureka_loss
from torch import Tensor

from eureka_nlg.frequency import class_balanced_weight, encouragement
from eureka_nlg.losses import eureka_loss, eureka_loss_from_log_probs

C = 6
FORMS: dict[str, dict[str, Any]] = {
    "capped": {},
    "low cap": {"likelihood_cap": 0.1},
    "clamped": {"likelihood_cap": None, "likelihood_clamp": 0.3},
    "capped and clamped past a threshold": {
        "likelihood_cap": 0.2,
        "threshold": 0.15,
        "likelihood_clamp": 0.6,
    },
    "power": {"likelihood_cap": None, "bonus": "power", "gamma": 2.5},
}


def log_probs_of(logits: Tensor, target: Tensor) -> Tensor:
    chosen = logits.log_softmax(-1).gather(-1, target.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return torch.where(target == -100, math.nan, chosen)  # what stands in an ignored row does not matter


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("form", FORMS)
def test_formula(form: str, reduction: Any) -> None:
    options = {"likelihood_cap": 0.75, **FORMS[form]}
    counts = long_tail(C)
    weights = {
        "encouragement": encouragement(counts, 0.99, dtype=torch.float64),
        "weight": class_balanced_weight(counts, 0.99, dtype=torch.float64),
    }
    logits, target = random_logits((40, C)), random_target((40, C), ignore_index=-100)
    actual = eureka_loss_from_log_probs(
        log_probs_of(logits, target), target, reduction=reduction, **options, **weights
    )
    expected = plain_eureka_loss(logits, target, reduction=reduction, **options, **weights)
    torch.testing.assert_close(actual, expected)
    of_actual, of_expected = (torch.autograd.grad(value.sum(), logits)[0] for value in (actual, expected))
    torch.testing.assert_close(of_actual, of_expected)


def test_all_digits_of_float64() -> None:
    given = torch.tensor([-0.5, -1.5], dtype=torch.float64)
    loss = eureka_loss_from_log_probs(given, torch.tensor([0, 1]), 0.5)
    expected = sum(cost + 0.5 * math.log1p(-math.exp(-cost)) for cost in (0.5, 1.5)) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-14)


def test_shapes_and_defaults() -> None:
    """Tokens of sentences, weight one, the cap of the preset "encouraging"."""
    logits, target = random_logits((2, 3, C)), random_target((6, C)).reshape(2, 3)
    log_probs = log_probs_of(logits, target)
    expected = eureka_loss(logits.flatten(0, 1), target.flatten(), likelihood_cap=0.75, reduction="none")
    torch.testing.assert_close(
        eureka_loss_from_log_probs(log_probs, target, reduction="none"), expected.reshape(2, 3)
    )
    torch.testing.assert_close(eureka_loss_from_log_probs(log_probs, target), expected.mean())
    half = eureka_loss_from_log_probs(log_probs.bfloat16(), target)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), expected.mean(), rtol=0.02, atol=0.02)
    by_number = eureka_loss_from_log_probs(log_probs, target, 3.0)
    torch.testing.assert_close(by_number, eureka_loss_from_log_probs(log_probs, target, torch.tensor(3.0)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("log_prob", [0.0, -1e-30, -1e-9, -200.0, -math.inf])
def test_where_p_rounds_to_one_or_zero(form: str, log_prob: float) -> None:
    """Value and slope are those of the formula in p, which a log-likelihood of zero still has."""
    options = {"likelihood_cap": 0.75, **FORMS[form]}
    given = torch.tensor([log_prob], requires_grad=True)
    loss = eureka_loss_from_log_probs(given, torch.tensor([0]), 2.0, **options)
    (slope,) = torch.autograd.grad(loss, given)
    assert torch.isfinite(slope).all()
    p = math.exp(log_prob)
    cap, clamp = options["likelihood_cap"], options.get("likelihood_clamp")
    bonus = of_likelihood(min(p, clamp) if clamp else p, options)
    if options.get("threshold"):
        start = of_likelihood(options["threshold"], options)
        bonus = bonus - start if p > options["threshold"] else 0.0
    assert loss.item() == pytest.approx(-log_prob + 2.0 * bonus, rel=1e-5)
    in_p = 0.0
    if p > 0.5 and options.get("bonus") == "power":
        in_p = -options["gamma"] * p ** (options["gamma"] - 1)
    elif p > 0.5 and not clamp:
        in_p = -1 / (1 - cap)
    assert slope.item() == pytest.approx(-1.0 + 2.0 * p * in_p, rel=1e-5)


def of_likelihood(p: float, options: dict[str, Any]) -> float:
    if options.get("bonus") == "power":
        return -(p ** options["gamma"])
    cap = options["likelihood_cap"] or 1.0
    return math.log1p(-p) if p <= cap else math.log1p(-cap) - (p - cap) / (1 - cap)


def test_no_rows_and_none_that_counts() -> None:
    for target in (torch.zeros(0, dtype=torch.long), torch.tensor([-100, -100])):
        given = torch.zeros(len(target), requires_grad=True)
        assert eureka_loss_from_log_probs(given, target, reduction="sum").item() == 0
        assert eureka_loss_from_log_probs(given, target).isnan()


BAD: dict[str, tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = {
    "no end": ((), {"likelihood_cap": None}, ValueError, "give likelihood_cap=0.9 or likelihood_clamp="),
    "all classes": ((torch.zeros(2, 3),), {}, ValueError, "gather"),
    "same length": (
        (),
        {"encouragement": torch.ones(3), "weight": torch.ones(4)},
        ValueError,
        "same length",
    ),
    "a class too many": ((), {"encouragement": torch.ones(1)}, IndexError, "target 1 is out of bounds for 1"),
    "weights of rows": ((), {"weight": torch.ones(2, 1)}, ValueError, r"weight must have shape \[C\]"),
    "no tensor": (([0.0, 0.0],), {}, TypeError, "log_probs must be a tensor, got list"),
    "whole numbers": ((torch.zeros(2, dtype=torch.long),), {}, TypeError, "log_probs must be floating"),
    "target": ((torch.zeros(2), torch.zeros(2)), {}, TypeError, "integer class indices"),
}


@pytest.mark.parametrize(("arguments", "options", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input(arguments: Any, options: Any, error: type[Exception], message: str) -> None:
    defaults = (torch.zeros(2), torch.tensor([0, 1]))
    with pytest.raises(error, match=message):
        eureka_loss_from_log_probs(*(*arguments, *defaults[len(arguments) :]), **options)
