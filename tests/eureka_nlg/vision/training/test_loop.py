"""The loop on a task of one number, whose course is known."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eureka_nlg.errors import UserError
from eureka_nlg.vision.loop_config import LoopConfig
from eureka_nlg.vision.training import Task, fit
from eureka_nlg.vision.training.checkpoint import load_checkpoint
from eureka_nlg.vision.training.log import TrainingLog, read_log

REMEDIES = "give a lower rate"


@dataclasses.dataclass
class ToyConfig:
    training: LoopConfig
    epochs: int = 3


class Falling(Task):
    """One weight from 0 on, and the weight itself as the loss: SGD takes it down by the rate at each step."""

    signature = "none"
    remedies = "a lower rate"

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
            yield [None]

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
    assert REMEDIES in caplog.text


def test_a_loss_with_a_floor_is_not_spoken_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert run(tmp_path, rate=1.0) == [-0.5, -2.5, -4.5]
    assert not caplog.records


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    """The first step makes the weight infinite, the second one the loss."""
    with pytest.raises(UserError) as stopped:
        run(tmp_path, rate=float("inf"))
    assert str(stopped.value) == (
        f"the loss of epoch 1 is -inf: {REMEDIES}, in another save_dir; no checkpoint was written before"
    )


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_bad_state_never_takes_the_place_of_a_good_one(
    interrupted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weight is infinite after step 3 with a signal, or after an epoch's last step; no loss shows it."""
    accelerate = pytest.importorskip("accelerate")
    loop = LoopConfig(momentum=0, weight_decay=0, precision="float32", device="cpu", channels_last=False)
    task = Falling(1.0)
    bad = 2 if interrupted else 3
    monkeypatch.setattr(task, "learning_rate", lambda step: float("inf") if step == bad else 1.0)
    plain = TrainingLog.step

    def step(self: TrainingLog) -> None:
        plain(self)
        if interrupted and not task.network.weight.isfinite().all():
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(TrainingLog, "step", step)
    with pytest.raises(UserError) as stopped:
        fit(task, ToyConfig(loop), tmp_path, accelerate.Accelerator(cpu=True), None)
    assert str(stopped.value) == (
        f"the network is not finite after step {bad + 1}: {REMEDIES}, in another save_dir; "
        f"the last good state is in {tmp_path / 'checkpoint.pt'}"
    )
    assert load_checkpoint(tmp_path / "checkpoint.pt")["network"]["weight"].item() == -2


def test_a_group_of_parameters_has_its_share_of_the_learning_rate(tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate")

    class Two(Falling):
        """The same slope in two weights, one in a group of a tenth of the rate."""

        def __init__(self, rate: float) -> None:
            super().__init__(rate)
            self.network = nn.Linear(1, 2, bias=False)
            nn.init.zeros_(self.network.weight)
            self.slow = nn.Parameter(torch.zeros(()))
            self.network.register_parameter("slow", self.slow)

        def parameter_groups(self) -> list[dict[str, Any]]:
            return [{"params": [self.network.weight]}, {"params": [self.slow], "factor": 0.1}]

        def loss(self, model: nn.Module, part: Any) -> Tensor:
            return model(torch.ones(1, 1)).sum() + self.slow

    loop = LoopConfig(momentum=0, weight_decay=0, precision="float32", device="cpu", channels_last=False)
    task = Two(1.0)
    fit(task, ToyConfig(loop), tmp_path, accelerate.Accelerator(cpu=True), None)
    assert task.network.weight.flatten().tolist() == [-6.0, -6.0]  # six steps
    assert task.slow.item() == pytest.approx(-0.6)
    assert read_log(tmp_path / "log.jsonl")[0]["learning_rate"] == 1.0
