"""Deferral: one loss until an epoch, another from it on."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from eureka_nlg.losses import Deferred, EurekaLoss, FocalLoss, eureka_loss

INPUT, TARGET = torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([0])


def test_switches_at_the_epoch() -> None:
    loss = Deferred(nn.CrossEntropyLoss(), EurekaLoss(), start_epoch=6)
    for epoch in (1, 5, 6, 7, 5, 100):  # a resumed run may go back
        loss.set_epoch(epoch)
        encouragement = 1.0 if epoch >= 6 else 0.0
        assert loss(INPUT, TARGET).item() == pytest.approx(eureka_loss(INPUT, TARGET, encouragement).item())
    at_once = Deferred(nn.CrossEntropyLoss(), EurekaLoss(), start_epoch=1)
    at_once.set_epoch(1)
    assert at_once.current is at_once.then


def test_does_not_guess_the_epoch() -> None:
    loss = Deferred(nn.CrossEntropyLoss(), EurekaLoss(), start_epoch=1)
    with pytest.raises(RuntimeError, match=r"set_epoch"):
        loss(INPUT, TARGET)
    loss.set_epoch(1)
    loss(INPUT, TARGET)


def test_functions_and_methods_will_do() -> None:
    loss = Deferred(nn.functional.cross_entropy, eureka_loss, start_epoch=2)
    loss.set_epoch(1)
    assert loss(INPUT, TARGET).equal(nn.functional.cross_entropy(INPUT, TARGET))
    loss.set_epoch(2)
    assert loss(INPUT, TARGET).equal(eureka_loss(INPUT, TARGET))


def test_nested() -> None:
    """Cross-entropy, from epoch 3 on focal, from epoch 5 on Eureka loss, told once."""
    first, second, third = nn.CrossEntropyLoss(), FocalLoss(), EurekaLoss()
    for loss in (
        Deferred(Deferred(first, second, 3), third, 5),
        Deferred(first, Deferred(second, third, 5), 3),
    ):
        for epoch, expected in ((2, first), (3, second), (4, second), (5, third)):
            loss.set_epoch(epoch)
            assert loss(INPUT, TARGET).equal(expected(INPUT, TARGET))


def test_state() -> None:
    """The state dict holds the buffers of both; the epoch is told anew after a resume."""
    loss = Deferred(nn.CrossEntropyLoss(weight=torch.ones(3)), EurekaLoss(torch.tensor([1.0, 2.0, 3.0])), 3)
    loss.set_epoch(4)
    assert set(loss.state_dict()) == {"first.weight", "then.encouragement"}
    resumed = Deferred(nn.CrossEntropyLoss(weight=torch.zeros(3)), EurekaLoss(torch.zeros(3)), 3)
    resumed.load_state_dict(loss.state_dict())
    with pytest.raises(RuntimeError, match=r"set_epoch"):
        resumed(INPUT, TARGET)
    resumed.set_epoch(4)
    assert resumed(INPUT, TARGET).equal(loss(INPUT, TARGET))
    assert copy.deepcopy(loss)(INPUT, TARGET).equal(loss(INPUT, TARGET))
    assert loss.half().then.encouragement.dtype == torch.float32
    assert "start_epoch=3, epoch=4" in repr(loss)


@pytest.mark.parametrize("epoch", [0, -1, 1.0, True, None, "1"])
def test_bad_epochs(epoch: Any) -> None:
    with pytest.raises(ValueError, match=r"start_epoch.*from 1 on"):
        Deferred(nn.CrossEntropyLoss(), EurekaLoss(), start_epoch=epoch)
    loss = Deferred(nn.CrossEntropyLoss(), EurekaLoss(), start_epoch=2)
    with pytest.raises(ValueError, match=r"epoch.*from 1 on"):
        loss.set_epoch(epoch)


def test_bad_losses() -> None:
    with pytest.raises(TypeError, match=r"first.*str"):
        Deferred("ce", EurekaLoss(), 2)
    with pytest.raises(TypeError, match=r"then.*NoneType"):
        Deferred(nn.CrossEntropyLoss(), None, 2)
