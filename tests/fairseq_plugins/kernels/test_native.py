"""The kernels of the dialogue model against torch's operations in float64."""

from __future__ import annotations

import math
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("fairseq")

from fairseq_plugins.kernels import native
from fairseq_plugins.kernels.native import PackedLinear, Rules, best_words, dropout, lstm_step

pytestmark = [
    pytest.mark.skipif(native.library() is None, reason="the kernels in C were not compiled"),
    pytest.mark.one_fairseq,  # nothing of fairseq in it
]

PAD, END, UNK = 1, 2, 3


def test_compiled_wherever_it_can_be() -> None:
    """Otherwise these tests would be skipped and nobody would know."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("no C compiler that the kernels are written for")
    assert native.library() is not None
    if platform.machine() == "x86_64" and "AVX2" in torch.backends.cpu.get_cpu_capability():
        assert native.is_available()


@contextmanager
def threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 7, 33])
@pytest.mark.parametrize("features", [1, 23, 24, 25, 100])
@pytest.mark.parametrize("with_bias", [False, True])
def test_products(rows: int, features: int, with_bias: bool) -> None:
    """Whole and broken blocks of rows and of columns, from a part of wider rows and into one."""
    x, weight = torch.randn(rows, 60)[:, 7:48], torch.randn(features, 41)
    bias = torch.randn(features) if with_bias else None
    wanted = x.double() @ weight.double().t() + (0.0 if bias is None else bias.double())
    layer = PackedLinear(weight, bias)
    torch.testing.assert_close(layer(x).double(), wanted, rtol=0, atol=1e-5)
    wide = torch.full((rows, features + 9), -7.0)
    layer(x, out=wide[:, 4 : 4 + features])
    torch.testing.assert_close(wide[:, 4 : 4 + features].double(), wanted, rtol=0, atol=1e-5)
    assert (wide[:, :4] == -7.0).all()  # and nothing beside it is written
    assert (wide[:, 4 + features :] == -7.0).all()


def test_threads_change_no_bit() -> None:
    x, layer = torch.randn(64, 96), PackedLinear(torch.randn(1000, 96), None)
    scores = np.zeros((64, 1), np.float32)
    with threads(1):
        one, best = layer(x), best_words(layer(x), scores, 6, Rules(PAD, UNK, 0.0))
        torch.manual_seed(1)
        dropped = dropout(one, 0.3)
    with threads(3):
        three = layer(x)
        again = best_words(three, scores, 6, Rules(PAD, UNK, 0.0))
        torch.manual_seed(1)
        assert torch.equal(dropout(three, 0.3), dropped)
    assert torch.equal(one, three)
    assert best is not None
    assert again is not None
    assert all((left == right).all() for left, right in zip(best, again))


@pytest.mark.parametrize("size", [1, 5, 16, 130])
def test_a_step_of_an_lstm(size: int) -> None:
    cell_module = torch.nn.LSTMCell(3, size).double()
    with torch.no_grad():
        for parameter in cell_module.parameters():
            parameter.mul_(5)  # so that gates are shut and open as well
        x, hidden, cell = (
            torch.randn(6, 3).double(),
            torch.randn(6, size).double(),
            torch.randn(6, size).double(),
        )
        wanted = cell_module(x, (hidden, cell))
        gates = x @ cell_module.weight_ih.t() + hidden @ cell_module.weight_hh.t()
        gates += cell_module.bias_ih + cell_module.bias_hh
    found, places = cell.float(), torch.zeros(2, 6, size + 3)
    lstm_step(gates.float(), found, places[0][:, 3:], places[1][:, :size])
    torch.testing.assert_close(found.double(), wanted[1], rtol=0, atol=2e-6)
    for place in (places[0][:, 3:], places[1][:, :size]):
        torch.testing.assert_close(place.double(), wanted[0], rtol=0, atol=2e-6)


def searched(logits: Tensor, scores: np.ndarray, most: int, rules: Rules) -> tuple[Tensor, Tensor, Tensor]:
    """By the definition, in float64."""
    likelihood = logits.double().log_softmax(-1)
    allowed = torch.ones(logits.shape[1], dtype=torch.bool)
    allowed[rules.pad] = False
    if rules.banned >= 0:
        allowed[rules.banned] = False
    if rules.only >= 0:
        allowed = torch.arange(len(allowed)) == rules.only
    likelihood[:, rules.unk] -= rules.penalty
    likelihood = likelihood.masked_fill(~allowed, -math.inf)
    total = likelihood.view(*scores.shape, -1) + torch.from_numpy(scores).double().unsqueeze(-1)
    best, places = total.flatten(1).topk(most)
    num_classes = logits.shape[1]
    return best, places % num_classes, places // num_classes


@pytest.mark.parametrize("classes", [20, 127, 128, 129, 1025, 3000])
@pytest.mark.parametrize(
    "rules",
    [
        Rules(PAD, UNK, 0.0),
        Rules(PAD, UNK, 2.5),
        Rules(PAD, UNK, -30.0),  # said wherever it can be
        Rules(PAD, UNK, 0.0, banned=END),
        Rules(PAD, UNK, 0.0, only=END),
    ],
)
def test_best_words(classes: int, rules: Rules) -> None:
    """Among all beams of a sentence, whose scores differ."""
    logits = 4 * torch.randn(6 * 4, classes + 5)[:, :classes]
    scores = 3 * np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32).T  # not contiguous
    found = best_words(logits, scores, 8, rules)
    assert found is not None
    best, words, beams = searched(logits, scores, 8, rules)
    there = best > -math.inf
    assert there.sum() == (4 * 6 if rules.only >= 0 else 8 * 6)
    torch.testing.assert_close(torch.from_numpy(found.scores).double(), best, rtol=1e-6, atol=1e-5)
    assert torch.equal(torch.from_numpy(found.words)[there], words[there])
    assert torch.equal(torch.from_numpy(found.beams)[there], beams[there])
    assert (found.words[~there.numpy()] == PAD).all()


def test_of_equal_words_the_first() -> None:
    logits = torch.zeros(2, 300)
    found = best_words(logits, np.zeros((1, 2), np.float32), 5, Rules(PAD, UNK, 0.0, banned=END))
    assert found is not None
    assert found.words.tolist() == [[3, 0, 4, 5, 6]]  # the unknown word is looked at first
    assert found.beams.tolist() == [[0] * 5]
    np.testing.assert_allclose(found.scores, -math.log(300), rtol=1e-6)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_no_distribution(broken: float) -> None:
    logits = torch.randn(3, 50)
    logits[1, 7] = broken
    assert best_words(logits, np.zeros((3, 1), np.float32), 2, Rules(PAD, UNK, 0.0)) is None


@pytest.mark.parametrize("most", [0, native.MOST_WORDS + 1])
def test_as_many_as_there_is_room_for(most: int) -> None:
    with pytest.raises(ValueError, match=rf"most must be from 1 to 512, got {most}"):
        best_words(torch.randn(3, 2000), np.zeros((3, 1), np.float32), most, Rules(PAD, UNK, 0.0))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout(p: float) -> None:
    """The share that stays, its scale, the same ones backwards, neighbours and draws independent."""
    x = torch.ones(400, 500, requires_grad=True)
    first, second = dropout(x, p), dropout(x, p)
    gradient = torch.randn(400, 500)
    first.backward(gradient)
    stays = first.detach() != 0
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.where(stays, gradient / (1 - p), 0.0))
    torch.testing.assert_close(first.detach()[stays], torch.full_like(first[stays], 1 / (1 - p)))
    kept = stays.double().flatten() - (1 - p)
    others = (second != 0).double().flatten() - (1 - p)
    deviation = math.sqrt(p * (1 - p) / len(kept))
    assert abs(kept.mean()) < 5 * deviation
    noise = p * (1 - p) / math.sqrt(len(kept))
    for distance in (1, 2, 8, 64, 500):  # neighbours, lanes, rows
        assert abs((kept[distance:] * kept[:-distance]).mean()) < 5 * noise
    assert abs((kept * others).mean()) < 5 * noise


def test_dropout_is_drawn_from_the_generator_of_torch() -> None:
    x = torch.randn(40, 30)
    torch.manual_seed(5)
    first = dropout(x, 0.4)
    assert not torch.equal(dropout(x, 0.4), first)
    torch.manual_seed(5)
    assert torch.equal(dropout(x, 0.4), first)
    torch.manual_seed(5)
    assert torch.equal(dropout(x.t().contiguous().t(), 0.4), first)  # whatever the layout
