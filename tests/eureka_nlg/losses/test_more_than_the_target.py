"""GEM and unlikelihood where the shared tests do not go: certain rows, sentences, and what cannot work."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from eureka_nlg.losses import UnlikelihoodLoss, gem_loss, previous_tokens, unlikelihood_loss


def value_and_gradient(loss: Any, logits: Tensor) -> tuple[float, list[float]]:
    return loss.item(), torch.autograd.grad(loss, logits)[0][0].tolist()


@pytest.mark.parametrize("gap", [0.0, 5.0, 30.0, 200.0])
def test_a_candidate_that_is_certain(impl: str, dtype: torch.dtype, gap: float) -> None:
    """By hand: p of the candidate is 1 / (1 + 2 exp(-gap)), and 1 - p keeps its digits."""
    logits = torch.tensor([[gap, 0.0, 0.0]], dtype=dtype, requires_grad=True)
    loss = unlikelihood_loss(logits, torch.tensor([1]), torch.tensor([[0]]), impl=impl)
    log_mass = math.log1p(2 * math.exp(-gap))  # of all classes, relative to the candidate
    punished = -(math.log(2) - gap - log_mass)
    value, gradient = value_and_gradient(loss, logits)
    assert value == pytest.approx(gap + log_mass + punished, rel=1e-6)
    p, q = math.exp(-log_mass), math.exp(-gap - log_mass)
    # of cross-entropy and of what is punished: p, and minus p in equal shares
    assert gradient == pytest.approx([2 * p, q - 1 - p / 2, q - p / 2], rel=1e-5)


@pytest.mark.parametrize("gap", [5.0, 50.0])
def test_gem_of_a_row_that_is_sure(impl: str, dtype: torch.dtype, gap: float) -> None:
    """By hand: the target pulls against both others with q = exp(-gap / 0.5) / (1 + 2 exp(-gap / 0.5))."""
    logits = torch.tensor([[gap, 0.0, 0.0]], dtype=dtype, requires_grad=True)
    value, gradient = value_and_gradient(
        gem_loss(logits, torch.tensor([0]), temperature=0.5, impl=impl), logits
    )
    q = math.exp(-gap / 0.5) / (1 + 2 * math.exp(-gap / 0.5))
    assert value == pytest.approx(-2 * q * gap, rel=1e-5)
    assert gradient == pytest.approx([-2 * q, q, q], rel=1e-5)


@pytest.mark.parametrize("contrast", ["linear", "log_sigmoid"])
def test_gem_by_hand_where_a_class_is_masked(impl: str, dtype: torch.dtype, contrast: Any) -> None:
    """A class without mass has no part; the other row must not lose its value to the NaN of 0 * inf."""
    logits = torch.tensor([[1.0, 0.0, -math.inf], [0.0, 3.0, 1.0]], dtype=dtype, requires_grad=True)
    loss = gem_loss(
        *(logits, torch.tensor([0, 2])), temperature=0.5, contrast=contrast, reduction="none", impl=impl
    )
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    for row, target in ((0, 0), (1, 2)):
        given = [float(logit) for logit in logits[row]]
        mass = [math.exp(logit / 0.5) for logit in given]
        pull = [one / sum(mass) for one in mass]
        gap = [logit - given[target] for logit in given]
        if contrast == "log_sigmoid":
            pull = [
                one / (1 + math.exp(-difference / 100)) if one else 0.0 for one, difference in zip(pull, gap)
            ]
        value = sum(one * difference for one, difference in zip(pull, gap) if one)
        assert loss[row].item() == pytest.approx(value, rel=1e-5)
        pull[target] = 0.0
        pull[target] = -sum(pull)
        assert gradient[row].tolist() == pytest.approx(pull, rel=1e-5)


def test_half_precision_is_rounded_once(impl: str, half: torch.dtype) -> None:
    """Also where the gradient is that of two parts."""
    rows, target = torch.randn(40, 30).to(half), torch.randint(30, (40,))
    gradients = []
    for logits in (rows.clone(), rows.float()):
        loss = gem_loss(logits.requires_grad_(), target, label_smoothing=0.5, reduction="none", impl=impl)
        gradients.append(torch.autograd.grad(loss.float().sum(), logits)[0].to(half))
    assert (gradients[0] == gradients[1]).float().mean() > 0.98


def test_gem_is_the_gradient_of_cross_entropy_at_a_temperature(impl: str, dtype: torch.dtype) -> None:
    logits = torch.randn(6, 9, dtype=dtype, requires_grad=True)
    target = torch.arange(6)
    (actual,) = torch.autograd.grad(gem_loss(logits, target, temperature=0.7, impl=impl), logits)
    hotter = 0.7 * torch.nn.functional.cross_entropy(logits / 0.7, target)
    torch.testing.assert_close(actual, torch.autograd.grad(hotter, logits)[0])


def test_rows_in_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fused GEM of rows that are not looked at together."""
    monkeypatch.setattr("eureka_nlg.losses.gem._CHUNK_BYTES_ON_CPU", 4 * 3 * 10)
    logits, target = torch.randn(10, 10, requires_grad=True), torch.tensor([*range(9), -100])
    values = [gem_loss(logits, target, impl=impl, reduction="none") for impl in ("fused", "reference")]
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*(torch.autograd.grad(value.sum(), logits)[0] for value in values))


def test_no_nan_of_a_row_that_is_ignored(impl: str, dtype: torch.dtype) -> None:
    rows = torch.tensor([[1.0, 2.0, 3.0], [math.nan, math.inf, -math.inf]], dtype=dtype)
    target, candidates = torch.tensor([0, -100]), torch.tensor([[1], [2]])
    for call in (
        lambda logits: gem_loss(logits, target, impl=impl),
        lambda logits: unlikelihood_loss(logits, target, candidates, impl=impl),
    ):
        logits = rows.clone().requires_grad_()
        loss = call(logits)
        assert torch.isfinite(loss)
        gradient = torch.autograd.grad(loss, logits)[0]
        assert gradient[0].all()
        assert not gradient[1].any()


def test_candidates_that_are_masked(impl: str, dtype: torch.dtype) -> None:
    """A logit of -inf cannot be chosen, and costs nothing; of a repeated candidate each is punished."""
    logits = torch.tensor([[0.0, 1.0, -math.inf]], dtype=dtype, requires_grad=True)
    target = torch.tensor([0])
    plain, masked, twice = (
        unlikelihood_loss(logits, target, torch.tensor([candidates]), impl=impl)
        for candidates in ([-1, -1], [2, 0], [1, 1])
    )
    assert masked == plain
    p = logits.detach().softmax(1)[0, 1]
    torch.testing.assert_close(twice.detach(), plain.detach() - 2 * torch.log1p(-p))
    assert torch.isfinite(torch.autograd.grad(masked, logits)[0]).all()


def test_previous_tokens() -> None:
    """Each token that was there before once; nothing of a padding, and what stands before the sentence."""
    target = torch.tensor([[5, 6, 5, 7], [8, 8, -100, -100]])
    found = previous_tokens(target)
    assert found.shape == (2, 4, 4)
    sets = [[set(place.tolist()) - {-1} for place in sentence] for sentence in found]
    assert sets == [[set(), {5}, {5, 6}, {5, 6}], [set(), {8}, {8}, {8}]]
    assert max(sorted(place.tolist()).count(5) for place in found[0]) == 1
    with_context = previous_tokens(target, before=torch.tensor([[-100, 6], [9, 8]]))
    sets = [[set(place.tolist()) - {-1} for place in sentence] for sentence in with_context]
    assert sets == [[{6}, {5, 6}, {5, 6}, {5, 6}], [{8, 9}, {8, 9}, {8, 9}, {8, 9}]]
    assert with_context[0, 2].tolist().count(6) == 1


def test_the_module_is_the_function() -> None:
    logits, target = torch.randn(4, 5, 3), torch.randint(5, (4, 3))
    candidates = torch.randint(-1, 5, (4, 2, 3))
    module = UnlikelihoodLoss(alpha=0.3, label_smoothing=0.1, reduction="sum")
    expected = unlikelihood_loss(
        logits, target, candidates, alpha=0.3, label_smoothing=0.1, reduction="sum", impl="reference"
    )
    torch.testing.assert_close(module(logits, target, candidates), expected)
    assert "alpha=0.3" in repr(module)


def test_all_of_an_impossible_target_is_spread(impl: str, dtype: torch.dtype) -> None:
    """The cost of the target among all classes is infinite, and no NaN."""
    logits, target = torch.tensor([[-math.inf, 0.0], [0.0, 0.0]], dtype=dtype), torch.tensor([0, 1])
    options: Any = {"label_smoothing": 1.0, "reduction": "none", "impl": impl}
    loss = unlikelihood_loss(logits, target, torch.tensor([[-1], [0]]), **options)
    assert loss.tolist() == [math.inf, pytest.approx(2 * math.log(2))]


def test_rows_of_one_class_that_are_ignored(impl: str, dtype: torch.dtype) -> None:
    logits = torch.full((2, 1), math.nan, dtype=dtype, requires_grad=True)
    target, candidates = torch.full((2,), -100), torch.full((2, 3), -1)
    for loss in (
        unlikelihood_loss(logits, target, candidates, reduction="none", impl=impl),
        gem_loss(logits, target, reduction="none", impl=impl),
    ):
        assert loss.tolist() == [0, 0]
        assert not torch.autograd.grad(loss.sum(), logits)[0].any()


def test_a_sum_of_no_rows(impl: str, dtype: torch.dtype) -> None:
    logits, target = torch.zeros(0, 3, dtype=dtype), torch.zeros(0, dtype=torch.long)
    candidates = torch.zeros(0, 2, dtype=torch.long)
    assert unlikelihood_loss(logits, target, candidates, reduction="sum", impl=impl).item() == 0
    with pytest.raises(ValueError, match=r"candidates must have shape \[0, K\].*got \[2, 1\]"):
        unlikelihood_loss(logits, target, torch.zeros(2, 1, dtype=torch.long), impl=impl)


ROWS = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [1.0, 0.0, 4.0], [math.nan] * 3]).double()
TARGET = torch.tensor([1, 1, 0, -100])


def test_second_derivatives_of_unlikelihood_are_those_of_the_reference() -> None:
    """Of rows whose likeliest class is each of the three; one row is ignored and broken."""
    candidates, slopes = torch.tensor([[0, 2], [0, 1], [2, -1], [0, 1]]), torch.arange(1.0, 13).reshape(4, 3)
    found = []
    for impl in ("fused", "reference"):
        logits = ROWS.clone().requires_grad_()
        loss = unlikelihood_loss(logits, TARGET, candidates, alpha=0.7, impl=impl)  # type: ignore[arg-type]
        (first,) = torch.autograd.grad(loss, logits, create_graph=True)
        found.append((first.detach(), torch.autograd.grad((first * slopes).sum(), logits)[0]))
    torch.testing.assert_close(*found, equal_nan=False)


@pytest.mark.parametrize("contrast", ["linear", "log_sigmoid"])
def test_gem_has_its_gradient_also_where_a_second_one_is_asked_for(impl: str, contrast: Any) -> None:
    """Its gradient g is held fixed, so that the second derivative of its square is that of (g z) ** 2."""
    logits = ROWS.clone().requires_grad_()
    loss = gem_loss(logits, TARGET, contrast=contrast, impl=impl)  # type: ignore[arg-type]
    (first,) = torch.autograd.grad(loss, logits, retain_graph=True)
    (square,) = torch.autograd.grad(loss**2, logits, create_graph=True)
    torch.testing.assert_close(square.detach(), 2 * loss.detach() * first, equal_nan=False)
    (second,) = torch.autograd.grad(square[0, 1], logits)
    torch.testing.assert_close(second, 2 * first[0, 1] * first, equal_nan=False)


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "no tensor": ([[1]], TypeError, "candidates must be a tensor, got list"),
    "mask": (torch.ones(2, 3, dtype=torch.bool), TypeError, "candidates must hold integer class indices"),
    "one a row": (torch.tensor([0, 1]), ValueError, r"candidates must have shape \[2, K\]"),
    "other rows": (torch.zeros(3, 2, dtype=torch.long), ValueError, r"got \[3, 2\]"),
    "no class": (torch.tensor([[0], [3]]), IndexError, "candidate 3 is out of bounds for 3 classes"),
}


@pytest.mark.parametrize(("candidates", "error", "message"), BAD.values(), ids=BAD)
def test_bad_candidates(candidates: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        unlikelihood_loss(torch.zeros(2, 3), torch.tensor([0, 1]), candidates)


def test_bad_options() -> None:
    for options, message in (({"temperature": 0.0}, "temperature"), ({"contrast": "sigmoid"}, "contrast")):
        with pytest.raises(ValueError, match=message):
            gem_loss(torch.zeros(2, 3), torch.tensor([0, 1]), **options)
    with pytest.raises(ValueError, match="alpha"):
        UnlikelihoodLoss(alpha=-1.0)
