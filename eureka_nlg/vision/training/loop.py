"""The training loop: steps, epochs, checkpoints, interruption. The task defines what is trained."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from eureka_nlg.errors import UserError, require
from eureka_nlg.losses.runaway import RUNNING_AWAY
from eureka_nlg.vision.training.checkpoint import (
    random_state,
    save_checkpoint,
    set_random_state,
)
from eureka_nlg.vision.training.log import TrainingLog
from eureka_nlg.vision.training.signals import Interrupted, Signals
from eureka_nlg.vision.training.task import RunConfig, Task

__all__ = ["fit"]

_log = logging.getLogger(__name__)


def fit(task: Task, config: RunConfig, folder: Path, accelerator: Any, state: dict[str, Any] | None) -> None:
    """Train until the last epoch.

    Args:
        task: what to train.
        config: a dataclass with a ``training`` section and the number of epochs; stored in checkpoints.
        folder: folder of the run, for ``checkpoint.pt``, ``epochNNN.pt``, ``log.jsonl`` and ``tensorboard/``.
        accelerator: ``Accelerator`` of Hugging Face accelerate.
        state: content of the checkpoint to resume from; None for a new run.

    Raises:
        Interrupted: a signal arrived; a checkpoint has been written.
        UserError: the checkpoint is of other data, or the loss is not finite.
    """
    _Run(task, config, folder, accelerator, state).run()


class _Run:
    def __init__(
        self, task: Task, config: RunConfig, folder: Path, accelerator: Any, state: dict[str, Any] | None
    ) -> None:
        self.task, self.config, self.folder, self.accelerator = task, config, folder, accelerator
        self.steps_per_epoch = task.steps_per_epoch()
        self.step, self.epoch = 0, 1  # number of steps done; the current epoch
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=accelerator.device)
        self.network = task.network.to(accelerator.device)
        training = config.training
        self.warned = False
        self.bfloat16 = training.precision == "bfloat16"
        if training.channels_last:
            self.network.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(
            task.parameter_groups(),
            lr=training.learning_rate,
            momentum=training.momentum,
            weight_decay=training.weight_decay,
        )
        if state is not None:
            self._load(state)
        # Loaded before accelerate wraps the network: the checkpoint has the names of the bare network.
        model = torch.compile(self.network) if training.compile else self.network
        self.model, self.prepared_optimizer = accelerator.prepare(model, self.optimizer)

    def run(self) -> None:
        """Train from the current step to the last epoch."""
        total = self.config.epochs * self.steps_per_epoch
        main = self.accelerator.is_main_process
        # With several processes, one cannot stop at a step of its own while the others wait for it.
        signals = Signals(self.accelerator.num_processes == 1)
        board = "tensorboard" in self.config.training.trackers
        with TrainingLog(self.folder, self.step, total, main, board) as log, signals:
            while self.epoch <= self.config.epochs:
                self._epoch(log, signals)

    def _epoch(self, log: TrainingLog, signals: Signals) -> None:
        epoch = self.epoch
        first_step = self.step - (epoch - 1) * self.steps_per_epoch
        self.task.begin_epoch(epoch)
        self.model.train()
        started = time.perf_counter()
        waited = 0.0
        batches = self.task.batches(epoch, first_step)
        while True:
            asked = time.perf_counter()
            parts = next(batches, None)
            waited += time.perf_counter() - asked
            if parts is None:
                break
            self._step(parts)
            log.step()
            if signals.received is not None:
                self._save("checkpoint.pt")
                raise Interrupted(signals.received, self.step)
        seconds = time.perf_counter() - started
        steps = self.steps_per_epoch - first_step
        entry = {
            "epoch": epoch,
            "step": self.step,
            "loss": self._mean_loss(epoch),
            "learning_rate": max(group["lr"] for group in self.optimizer.param_groups),
            "seconds": seconds,
            "seconds_per_step": seconds / max(steps, 1),
            "waiting_for_data": waited / seconds,
        }
        self._share_buffers()
        training, last = self.config.training, epoch == self.config.epochs
        if last or epoch % training.evaluate_every == 0:
            log.doing("evaluating")
            entry |= self.task.evaluate()
        log.epoch(entry)
        self.accelerator.log({k: v for k, v in entry.items() if v is not None}, step=self.step)
        self.epoch += 1
        if last or epoch % training.checkpoint_every == 0:
            self._save("checkpoint.pt")
        if epoch in training.keep_epochs:
            self._save(f"epoch{epoch:03d}.pt")

    def _share_buffers(self) -> None:
        """Give all processes the batch statistics of the first one, which the checkpoint has.

        In training they are shared before each forward pass, so that those of the last batch are its own.
        """
        if self.accelerator.num_processes > 1:
            broadcast = require("accelerate.utils", extra="vision").broadcast
            for buffer in self.network.buffers():
                broadcast(buffer)

    def _step(self, parts: list[Any]) -> None:
        rate = self.task.learning_rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)
        self.prepared_optimizer.zero_grad(set_to_none=True)
        for part in parts[:-1]:
            with self.accelerator.no_sync(self.model):
                self._backward(part)
        self._backward(parts[-1])
        self.prepared_optimizer.step()
        self.task.end_step(self.epoch, self.step - (self.epoch - 1) * self.steps_per_epoch)
        self.step += 1

    def _backward(self, part: Any) -> None:
        with torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=self.bfloat16):
            # accelerate averages the gradients over the processes, but their sum is needed.
            loss = self.task.loss(self.model, part) * self.accelerator.num_processes
        self.accelerator.backward(loss)
        self.loss_sum += loss.detach()

    def _mean_loss(self, epoch: int) -> float:
        mean = self.accelerator.reduce(self.loss_sum, reduction="mean").item() / self.steps_per_epoch
        self.loss_sum.zero_()
        if not math.isfinite(mean):
            raise self._not_finite(f"the loss of epoch {epoch} is {mean}")
        if mean < RUNNING_AWAY and not self.warned:
            self.warned = True
            _log.warning(
                "the loss of epoch %d is %.4g: it is not bounded from below and is running away, which can "
                "ruin the model; give %s, in another save_dir",
                epoch,
                mean,
                self.task.remedies,
            )
        return mean

    def _not_finite(self, what: str) -> UserError:
        path = self.folder / "checkpoint.pt"
        good = f"the last good state is in {path}" if path.is_file() else "no checkpoint was written before"
        return UserError(f"{what}: give {self.task.remedies}, in another save_dir; {good}")

    def _save(self, name: str) -> None:
        # A state that is not finite must not replace a good one, even if the loss does not show it yet.
        if not (torch.isfinite(self.loss_sum) and all(p.isfinite().all() for p in self.network.parameters())):
            raise self._not_finite(f"the network is not finite after step {self.step}")
        if not self.accelerator.is_main_process:
            return
        save_checkpoint(
            self.folder / name,
            {
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "epoch": self.epoch,
                "steps_per_epoch": self.steps_per_epoch,
                "signature": self.task.signature,
                "loss_sum": self.loss_sum,
                "task": self.task.state(),
                "random": random_state(),
                "config": asdict(self.config),  # type: ignore[call-overload]
            },
        )

    def _load(self, state: dict[str, Any]) -> None:
        if (state["signature"], state["steps_per_epoch"]) != (self.task.signature, self.steps_per_epoch):
            raise UserError(
                f"{self.folder}: the checkpoint is of other training images, or of another number of "
                f"processes ({state['steps_per_epoch']} steps an epoch there, {self.steps_per_epoch} now)"
            )
        try:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            set_random_state(state["random"])
            self.task.load_state(state.get("task", {}))
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise UserError(f"{self.folder}: the checkpoint does not fit its config: {error}") from error
        self.step, self.epoch = state["step"], state["epoch"]
        self.loss_sum += state["loss_sum"].to(self.loss_sum.device)
