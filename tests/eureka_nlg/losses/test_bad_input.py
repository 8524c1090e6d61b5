"""What cannot work is refused at the call, with what was given and expected, by every function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from eureka_nlg.losses import (
    eureka_loss,
    focal_loss,
    halted_focal_loss,
    ldam_loss,
    linear_eureka_loss,
    sigmoid_eureka_loss,
    sigmoid_focal_loss,
    sigmoid_halted_focal_loss,
)

C = 5
GOOD = torch.zeros(3, C)
LABELS = torch.tensor([0, 1, 2])
Case = tuple[Any, dict[str, Any], type[Exception], str]


def ldam(input: Tensor, target: Tensor, **options: Any) -> Tensor:
    return ldam_loss(input, target, [5, 4, 3, 2, 1], **options)


def refuses(call: Any, args: Any, options: Any, kind: type[Exception], named: str) -> None:
    with pytest.raises(kind, match=named) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)


LAST = r"dimension 1, of size [37], is the class dimension.*input.flatten\(0, -2\) and target.flatten\(\)"
SHARED: list[Case] = [
    ((GOOD.long(), LABELS), {}, TypeError, "input.*torch.int64"),
    ((GOOD, LABELS.float()), {}, TypeError, "target.*torch.float32"),
    ((GOOD, LABELS.bool()), {}, TypeError, "target.*torch.bool"),
    ((GOOD, GOOD.long()), {}, ValueError, r"target.*\[3\].*\[3, 5\]"),
    ((GOOD, LABELS[:2]), {}, ValueError, r"target.*\[3\].*\[2\]"),
    ((GOOD[0], LABELS), {}, ValueError, r"target.*\[\].*\[3\]"),
    ((GOOD, torch.tensor([0, 7, 1])), {}, IndexError, "target 7.*5 classes"),
    ((GOOD, torch.tensor([0, C, 1])), {}, IndexError, "target 5.*5 classes"),
    ((GOOD, torch.tensor([0, -1, 1])), {}, IndexError, "target -1.*5 classes"),
    ((GOOD, LABELS), {"impl": "quick"}, ValueError, "impl.*'quick'"),
    ((GOOD, LABELS), {"reduction": "average"}, ValueError, "reduction.*'average'"),
    ((GOOD, LABELS), {"label_smoothing": 1.1}, ValueError, r"label_smoothing.*1\.1"),
    ((GOOD, LABELS), {"label_smoothing": math.nan}, ValueError, "label_smoothing.*nan"),
    ((GOOD, LABELS), {"weight": torch.ones(4)}, ValueError, r"weight.*\[5\].*\[4\]"),
    ((GOOD, LABELS), {"weight": [1.0] * C}, TypeError, r"weight.*tensor \[C\].*list.*torch.as_tensor"),
    ((GOOD, LABELS), {"weight": np.ones(C)}, TypeError, r"weight.*tensor \[C\].*ndarray.*torch.as_tensor"),
    ((GOOD, LABELS), {"ignore_index": None}, TypeError, "ignore_index.*integer, got None.*-100"),
    ((GOOD, LABELS), {"ignore_index": 1.5}, TypeError, "ignore_index.*integer, got 1.5"),
    ((GOOD, GOOD.softmax(1)), {}, TypeError, r"target.*float32.*probabilities.*lam \* loss\(input, a\) \+ "),
    ((GOOD, F.one_hot(LABELS, C)), {}, ValueError, r"target.*\[3\].*one-hot.*target.argmax\(1\)"),
    # what a language model has, classes last
    ((torch.zeros(2, 3, C), torch.zeros(2, 3).long()), {}, ValueError, LAST),
    ((torch.zeros(2, 7, 3, C), torch.zeros(2, 7, 3).long()), {}, ValueError, LAST),
]


@pytest.mark.parametrize("call", [eureka_loss, focal_loss, halted_focal_loss, ldam])
@pytest.mark.parametrize(("args", "options", "kind", "named"), SHARED, ids=[case[-1] for case in SHARED])
def test_arguments_that_all_share(
    impl: str, call: Any, args: Any, options: Any, kind: type[Exception], named: str
) -> None:
    refuses(call, args, {"impl": impl, **options}, kind, named)


@pytest.mark.parametrize("call", [eureka_loss, focal_loss, halted_focal_loss])
def test_scalar_input(impl: str, call: Any) -> None:
    refuses(call, (torch.zeros(()), LABELS), {"impl": impl}, ValueError, "input.*scalar")


EUREKA: list[Case] = [
    ((-0.5,), {}, ValueError, r"encouragement.*-0\.5"),
    ((math.nan,), {}, ValueError, "encouragement.*nan"),
    ((math.inf,), {}, ValueError, "encouragement.*inf"),
    (("1",), {}, TypeError, "encouragement.*str"),
    ((True,), {}, TypeError, "encouragement.*bool"),
    ((torch.ones(4),), {}, ValueError, r"encouragement.*\[5\].*\[4\]"),
    ((torch.ones(C, 1),), {}, ValueError, r"encouragement.*\[5\].*\[5, 1\]"),
    ((torch.ones(C).long(),), {}, TypeError, "encouragement.*torch.int64"),
    ((torch.tensor([1, 1, -2.5, 1, 1]),), {}, ValueError, r"encouragement.*-2\.5.*class 2"),
    ((torch.tensor([1, math.nan, 1, 1, 1]),), {}, ValueError, "encouragement.*nan.*class 1"),
    ((torch.tensor([1, 1, 1, 1, math.inf]),), {}, ValueError, "encouragement.*inf.*class 4"),
    ((), {"bonus": "reward"}, ValueError, "bonus.*'reward'"),
    ((), {"threshold": 1.0}, ValueError, r"threshold.*1\.0"),
    ((), {"threshold": -0.1}, ValueError, r"threshold.*-0\.1"),
    ((), {"likelihood_cap": 1.0}, ValueError, r"likelihood_cap.*1\.0"),
    ((), {"likelihood_cap": 0.0}, ValueError, r"likelihood_cap.*0\.0"),
    ((), {"likelihood_clamp": 1.0}, ValueError, r"likelihood_clamp.*1\.0"),
    ((), {"likelihood_clamp": 0.5, "threshold": 0.5}, ValueError, r"likelihood_clamp.*threshold.*0\.5"),
]


@pytest.mark.parametrize(("args", "options", "kind", "named"), EUREKA, ids=[case[-1] for case in EUREKA])
def test_arguments_of_the_reward(
    impl: str, args: Any, options: Any, kind: type[Exception], named: str
) -> None:
    refuses(eureka_loss, (GOOD, LABELS, *args), {"impl": impl, **options}, kind, named)
    hidden, weight = torch.zeros(3, 2), torch.zeros(C, 2)
    refuses(linear_eureka_loss, (hidden, weight, LABELS, *args), options, kind, named)
    refuses(sigmoid_eureka_loss, (GOOD, GOOD, *args), options, kind, named)


@pytest.mark.parametrize("gamma", [0.0, -1, math.nan, math.inf])
def test_exponent_of_the_power_bonus(gamma: float) -> None:
    refuses(eureka_loss, (GOOD, LABELS), {"gamma": gamma}, ValueError, f"gamma.*{gamma}")
    refuses(sigmoid_eureka_loss, (GOOD, GOOD), {"bonus_gamma": gamma}, ValueError, f"gamma.*{gamma}")


@pytest.mark.parametrize("number", [-0.5, math.nan, math.inf])
def test_numbers_of_focal_losses(number: float) -> None:
    for call, targets in (
        (focal_loss, LABELS),
        (halted_focal_loss, LABELS),
        (sigmoid_focal_loss, GOOD),
        (sigmoid_halted_focal_loss, GOOD),
        (sigmoid_eureka_loss, GOOD),
    ):
        refuses(call, (GOOD, targets), {"gamma": number}, ValueError, f"gamma.*{number}")
        refuses(call, (GOOD, targets), {"alpha": number}, ValueError, f"alpha.*{number}")
    for call, targets in ((halted_focal_loss, LABELS), (sigmoid_halted_focal_loss, GOOD)):
        for threshold in (number, 0.0, 1.0):
            refuses(call, (GOOD, targets), {"threshold": threshold}, ValueError, f"threshold.*{threshold}")


HALTED: list[tuple[Any, type[Exception], str]] = [
    (torch.ones(C), TypeError, "halted.*torch.float32"),
    (torch.tensor([0, 1]), TypeError, "halted.*torch.int64"),
    ([True] * C, TypeError, "halted.*list"),
    (torch.ones(4).bool(), ValueError, r"halted.*\[5\].*\[4\]"),
    (torch.ones(C, 1).bool(), ValueError, r"halted.*\[5\].*\[5, 1\]"),
]


@pytest.mark.parametrize(("halted", "kind", "named"), HALTED, ids=[case[-1] for case in HALTED])
def test_marks_of_halted_classes(impl: str, halted: Any, kind: type[Exception], named: str) -> None:
    refuses(halted_focal_loss, (GOOD, LABELS), {"halted": halted, "impl": impl}, kind, named)


def test_arguments_of_the_margin_loss(impl: str) -> None:
    for counts, named in (
        ([3, 2, 1], r"class_counts.*5 entries.*3"),
        ([3, 2, 1, 1, -4], "class_counts.*-4.*class 4"),
        ([0] * C, "class_counts.*zero"),
    ):
        refuses(ldam_loss, (GOOD, LABELS, counts), {"impl": impl}, ValueError, named)
    for options, named in (
        ({"scale": 0.0}, r"scale.*0\.0"),
        ({"scale": math.nan}, "scale.*nan"),
        ({"max_margin": -0.5}, r"max_margin.*-0\.5"),
        ({"max_margin": math.inf}, "max_margin.*inf"),
    ):
        refuses(ldam, (GOOD, LABELS), {"impl": impl, **options}, ValueError, named)


HIDDEN, WEIGHT = torch.zeros(3, 4), torch.zeros(C, 4)
LINEAR: list[Case] = [
    ((torch.zeros(3, 2), WEIGHT, LABELS), {}, ValueError, r"hidden.*\[N, H\].*\[3, 2\].*\[5, 4\]"),
    ((HIDDEN[0], WEIGHT, LABELS), {}, ValueError, r"hidden.*\[4\]"),
    ((HIDDEN, WEIGHT[0], LABELS), {}, ValueError, r"linear_weight.*\[4\]"),
    ((HIDDEN, WEIGHT, LABELS), {"linear_bias": torch.zeros(3)}, ValueError, r"linear_bias.*\[5\].*\[3\]"),
    ((HIDDEN.long(), WEIGHT.long(), LABELS), {}, TypeError, "hidden.*torch.int64"),
    ((HIDDEN, WEIGHT.double(), LABELS), {}, TypeError, "linear_weight.*torch.float32.*torch.float64"),
    (
        (HIDDEN, WEIGHT, LABELS),
        {"linear_bias": torch.zeros(C).half()},
        TypeError,
        "linear_bias.*torch.float16",
    ),
    ((HIDDEN, WEIGHT, LABELS[:2]), {}, ValueError, r"target.*\[3\].*\[2\]"),
    ((HIDDEN, WEIGHT, LABELS.float()), {}, TypeError, "target.*torch.float32"),
    ((HIDDEN, WEIGHT, torch.tensor([0, 9, -100])), {}, IndexError, "target 9.*5 classes"),
    ((HIDDEN, WEIGHT, torch.tensor([0, -1, -100])), {}, IndexError, "target -1.*5 classes"),
    ((HIDDEN, WEIGHT, LABELS), {"weight": torch.ones(4)}, ValueError, r"weight.*\[5\].*\[4\]"),
    ((HIDDEN, WEIGHT, LABELS), {"weight": [1.0] * C}, TypeError, r"weight.*tensor \[C\].*list"),
    ((HIDDEN, WEIGHT, LABELS), {"ignore_index": None}, TypeError, "ignore_index.*integer, got None"),
    ((HIDDEN, WEIGHT, GOOD.softmax(1)), {}, TypeError, "target.*float32.*probabilities"),
    ((HIDDEN, WEIGHT, LABELS), {"reduction": "average"}, ValueError, "reduction.*'average'"),
    ((HIDDEN, WEIGHT, LABELS), {"label_smoothing": -0.1}, ValueError, r"label_smoothing.*-0\.1"),
]


@pytest.mark.parametrize(("args", "options", "kind", "named"), LINEAR, ids=[case[-1] for case in LINEAR])
def test_layer_and_loss(args: Any, options: Any, kind: type[Exception], named: str) -> None:
    refuses(linear_eureka_loss, args, options, kind, named)


@pytest.mark.parametrize("alpha", [[1.0] * C, torch.ones(C), torch.ones(40, 40), np.ones(C), (0.5,) * C])
@pytest.mark.parametrize("call", [focal_loss, halted_focal_loss])
def test_a_factor_for_each_class_is_the_weight(call: Any, alpha: Any) -> None:
    named = r"alpha must be one number.*weight.*\[C\]\), got .*(\[|\()"
    refuses(call, (GOOD, LABELS), {"alpha": alpha}, ValueError, named)


@pytest.mark.parametrize("alpha", [[1.0] * C, torch.ones(C), np.ones(C)])
def test_a_balance_for_each_class_is_a_product(alpha: Any) -> None:
    named = r"alpha must be one number.*reduction='none'.*\[C\]\), got "
    refuses(sigmoid_focal_loss, (GOOD, GOOD), {"alpha": alpha}, ValueError, named)


SIGMOID: list[Case] = [
    ((GOOD.long(), GOOD), {}, TypeError, "input.*torch.int64"),
    ((GOOD, GOOD[:2]), {}, ValueError, r"target.*\[3, 5\].*\[2, 5\]"),
    ((GOOD, LABELS), {}, ValueError, r"target.*\[3, 5\].*\[3\]"),
    ((GOOD, GOOD + 0.5), {}, ValueError, r"target.*0 or 1.*0\.5"),
    ((GOOD, GOOD.long() + 2), {}, ValueError, "target.*0 or 1.*2"),
    ((GOOD, GOOD - 1), {}, ValueError, r"target.*0 or 1.*-1"),
    ((GOOD, GOOD + math.nan), {}, ValueError, "target.*0 or 1.*nan"),
    ((GOOD, GOOD), {"alpha": 1.5}, ValueError, r"alpha.*1\.5"),
    ((GOOD, GOOD), {"reduction": "average"}, ValueError, "reduction.*'average'"),
]


@pytest.mark.parametrize("call", [sigmoid_focal_loss, sigmoid_halted_focal_loss, sigmoid_eureka_loss])
@pytest.mark.parametrize(("args", "options", "kind", "named"), SIGMOID, ids=[case[-1] for case in SIGMOID])
def test_losses_for_detection(call: Any, args: Any, options: Any, kind: type[Exception], named: str) -> None:
    refuses(call, args, options, kind, named)


def test_side_that_is_halted() -> None:
    refuses(sigmoid_halted_focal_loss, (GOOD, GOOD), {"halted": "negative"}, ValueError, "halted.*'negative'")


@pytest.mark.parametrize("call", [eureka_loss, focal_loss, halted_focal_loss])
def test_no_classes(impl: str, call: Any) -> None:
    """As cross-entropy: a target is out of bounds, and the mean of no rows is NaN."""
    with pytest.raises(IndexError, match=r"target 0.*0 classes"):
        call(torch.zeros(2, 0), torch.zeros(2, dtype=torch.long), impl=impl)
    assert call(torch.zeros(0, 0), torch.zeros(0, dtype=torch.long), impl=impl).isnan()


@pytest.mark.parametrize("impl", ["fused", "reference"])
@pytest.mark.parametrize("name", ["input", "target"])
def test_what_is_no_tensor_is_named(impl: str, name: str) -> None:
    given = {"input": torch.zeros(2, 3), "target": torch.tensor([0, 1])}
    given[name] = given[name].tolist()
    with pytest.raises(
        TypeError, match=rf"{name} must be a tensor, got list: give torch.as_tensor\({name}\)"
    ):
        focal_loss(**given, impl=impl)
