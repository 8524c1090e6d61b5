"""Layers with the project's kernels against torch's in float64."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

pytest.importorskip("fairseq")

from fairseq.modules.fairseq_dropout import FairseqDropout

from fairseq_plugins.kernels import native
from fairseq_plugins.models import layers
from fairseq_plugins.models.layers import LSTM, Dropout, with_kernels

pytestmark = pytest.mark.one_fairseq


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kernels that are called, however fast they are here."""
    if native.library() is None:
        pytest.skip("the kernels in C were not compiled")
    monkeypatch.setattr(native, "_is_fast", lambda: True)
    called: list[str] = []

    def noted(module: Any, name: str) -> None:
        function = getattr(module, name)

        def call(*arguments: Any) -> Any:
            called.append(name)
            return function(*arguments)

        monkeypatch.setattr(module, name, call)

    noted(layers.lstm, "lstm_layer")
    noted(layers.native, "dropout")
    return called


def results(lstm: nn.LSTM, x: Tensor, lengths: Tensor | None, states: Any, of: str) -> list[Tensor | None]:
    """Outputs, and all gradients of a sum over those that are named."""
    x = x.clone().requires_grad_()
    states = None if states is None else tuple(state.clone().requires_grad_() for state in states)
    given = x if lengths is None else pack_padded_sequence(x, lengths)
    output, last = lstm(given, states)
    output = output.data if isinstance(output, PackedSequence) else output
    draw = torch.Generator().manual_seed(1)
    total = x.new_zeros(())
    for name, tensor in zip("ohc", (output, *last)):
        if name in of:
            total = total + (tensor * torch.randn(tensor.shape, generator=draw).to(tensor)).sum()
    lstm.zero_grad()
    total.backward()
    leaves = [x, *(states or ()), *lstm.parameters()]
    return [output, *last, *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize(
    ("num_layers", "width", "size", "batch", "steps"), [(1, 5, 7, 3, 4), (2, 33, 40, 9, 11), (3, 8, 24, 5, 1)]
)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("of", ["ohc", "o", "h", "c"])
@pytest.mark.parametrize("with_states", [False, True])
def test_lstm(
    num_layers: int, width: int, size: int, batch: int, steps: int, packed: bool, of: str, with_states: bool,
    calls: list[str],
) -> None:  # fmt: skip
    """Values and every gradient, of sequences of one length or several."""
    wanted = nn.LSTM(width, size, num_layers)
    with torch.no_grad():
        for parameter in wanted.parameters():
            parameter.mul_(3)
    lstm = copy.deepcopy(wanted)
    with_kernels(lstm)
    assert type(lstm) is LSTM
    x = torch.randn(steps, batch, width)
    states = (
        (torch.randn(num_layers, batch, size), torch.randn(num_layers, batch, size)) if with_states else None
    )
    lengths = None
    if packed:
        lengths = torch.randint(1, steps + 1, (batch,)).sort(descending=True).values
        lengths[0] = steps
    exact_states = None if states is None else tuple(state.double() for state in states)
    exact = results(wanted.double(), x.double(), lengths, exact_states, of)
    found = results(lstm, x, lengths, states, of)
    assert calls == ["lstm_layer"] * num_layers
    for one, other in zip(exact, found, strict=True):
        assert one is not None
        # what nothing depends on may have no gradient, which is zero
        other = torch.zeros_like(one) if other is None else other.double()
        torch.testing.assert_close(other, one, rtol=1e-5, atol=2e-6 * max(1.0, one.abs().max().item()))


def test_sequences_that_end_early_are_not_computed_on(calls: list[str]) -> None:
    """NaN in the padding goes nowhere."""
    lstm = nn.LSTM(3, 4)
    with_kernels(lstm)
    x = torch.randn(5, 2, 3)
    x[2:, 1] = torch.nan
    output, _ = lstm(pack_padded_sequence(x, torch.tensor([5, 2])))
    assert output.data.isfinite().all()
    assert calls


@pytest.mark.parametrize(
    ("options", "shape", "dtype"),
    [
        ({"bidirectional": True}, (4, 2, 3), torch.float32),
        ({"batch_first": True}, (4, 2, 3), torch.float32),
        ({"proj_size": 2}, (4, 2, 3), torch.float32),
        ({"bias": False}, (4, 2, 3), torch.float32),
        ({}, (4, 2, 3), torch.float64),
        ({}, (4, 3), torch.float32),  # one sequence without a dimension of the batch
    ],
)
def test_what_the_kernel_does_not_know_is_left_to_torch(
    options: dict[str, Any], shape: tuple[int, ...], dtype: torch.dtype, calls: list[str]
) -> None:
    wanted = nn.LSTM(3, 5, **options).to(dtype)
    lstm = copy.deepcopy(wanted)
    with_kernels(lstm)
    x = torch.randn(shape, dtype=dtype)
    torch.testing.assert_close(lstm(x), wanted(x))
    assert not calls
    sequence = pack_padded_sequence(torch.randn(4, 2, 3), torch.tensor([2, 4]), enforce_sorted=False)
    if not options and dtype == torch.float32:
        torch.testing.assert_close(lstm(sequence), wanted(sequence))
        assert not calls


def test_dropout_between_layers(calls: list[str]) -> None:
    """In training only, and drawn from torch's generator."""
    lstm = nn.LSTM(4, 6, 2, dropout=0.5)
    with_kernels(lstm)
    x = torch.randn(3, 2, 4)
    torch.manual_seed(1)
    first = lstm(x)[0]
    assert not torch.equal(lstm(x)[0], first)
    torch.manual_seed(1)
    assert torch.equal(lstm(x)[0], first)
    assert calls.count("dropout") == 3
    lstm.eval()
    assert torch.equal(lstm(x)[0], lstm(x)[0])
    assert calls.count("dropout") == 3
    lstm.train()
    lstm.dropout = 1.0
    without = copy.deepcopy(lstm)
    without.dropout = 0.0
    assert not torch.equal(lstm(x)[0], without(x)[0])
    assert lstm(x)[0].isfinite().all()


def test_dropout_module(calls: list[str]) -> None:
    holder = nn.Sequential(
        FairseqDropout(0.3, "here"), FairseqDropout(1.0), FairseqDropout(0.0), nn.Linear(3, 3)
    )
    with_kernels(holder)
    assert [type(module) for module in holder] == [Dropout, Dropout, Dropout, nn.Linear]
    x = torch.ones(50, 60)
    assert holder[0](x).unique().tolist() == [0.0, pytest.approx(1 / 0.7)]
    assert not holder[1](x).any()
    assert holder[2](x) is x
    assert calls == ["dropout"]
    holder.eval()
    assert holder[0](x) is x
    holder[0].make_generation_fast_("it", retain_dropout=True)
    assert not holder[0](x).all()


def test_copied_saved_and_loaded() -> None:
    """The weights have torch's names, and modules go through copies and pickles."""
    lstm = nn.LSTM(3, 5, 2)
    names = list(lstm.state_dict())
    with_kernels(lstm)
    assert list(lstm.state_dict()) == names
    x = torch.randn(4, 2, 3)
    file = io.BytesIO()
    torch.save(lstm, file)
    file.seek(0)
    for other in (copy.deepcopy(lstm), torch.load(file, weights_only=False)):
        assert type(other) is LSTM
        assert torch.equal(other(x)[0], lstm(x)[0])
