"""The loop on a task of one number, whose course is known."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eureka_nlg.errors import UserError
from eureka_nlg.vision.loop_config import LoopConfig
from eureka_nlg.vision.training import fit
from eureka_nlg.vision.training.log import read_log


@dataclasses.dataclass
class ToyConfig:
    training: LoopConfig
    epochs: int = 3


class Falling:
    """One weight from 0 on, and the weight itself as the loss: SGD takes it down by the rate at each step."""

    signature = "none"

    def __init__(self, rate: float) -> None:
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.network.weight)
        self.rate = rate

    def steps_per_epoch(self) -> int:
        return 2

    def learning_rate(self, step: int) -> float:
        return self.rate

    def begin_epoch(self, epoch: int) -> None:
        pass

    def batches(self, epoch: int, first_step: int) -> Iterator[list[Any]]:
        for _ in range(first_step, 2):
            yield [SimpleNamespace(share=1.0)]

    def loss(self, model: nn.Module, part: Any) -> Tensor:
        return model(torch.ones(1, 1)).sum()

    def evaluate(self) -> dict[str, float | None]:
        return {}


def run(folder: Path, rate: float) -> list[float]:
    accelerate = pytest.importorskip("accelerate")
    loop = LoopConfig(momentum=0, weight_decay=0, precision="float32", device="cpu", channels_last=False)
    fit(Falling(rate), ToyConfig(loop), folder, accelerate.Accelerator(cpu=True), None)
    return [entry["loss"] for entry in read_log(folder / "log.jsonl")]


def test_a_loss_that_runs_away_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        losses = run(tmp_path, rate=50.0)
    assert losses == [-25.0, -125.0, -225.0]  # the mean of 0 and -50, of -100 and -150, of -200 and -250
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "epoch 2 is -125" in caplog.text
    assert "loss.likelihood_cap" in caplog.text


def test_a_loss_with_a_floor_is_not_spoken_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert run(tmp_path, rate=1.0) == [-0.5, -2.5, -4.5]
    assert not caplog.records


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"epoch 1 is -inf.*likelihood_clamp"):
        run(tmp_path, rate=float("inf"))
