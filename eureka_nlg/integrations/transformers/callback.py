"""What the loss has to do with the course of a training: its deferral, and its numbers in the log."""

from __future__ import annotations

import math
from typing import Any

from transformers import TrainerCallback

from eureka_nlg.errors import UserError
from eureka_nlg.integrations.token_loss import TokenLoss

__all__ = ["EurekaCallback"]


class EurekaCallback(TrainerCallback):
    """Tells a loss epoch and step, which resumed runs know as well, and logs its numbers with the Trainer's.

    ``nll``, ``likelihood``, ``bonus`` and ``reward`` are means over the tokens since the last log, in nats.
    """

    def __init__(self, loss: TokenLoss) -> None:
        self.loss = loss
        self._calls_before = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._calls_before = self.loss.num_training_calls
        self.loss.sums.clear()

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # the epoch is a fraction of steps, so that the last step of one is whole but for rounding
        self.loss.set_progress(math.floor((state.epoch or 0.0) + 1e-6) + 1, state.global_step + 1)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.loss.num_training_calls == self._calls_before:
            raise UserError(
                "a step of the training did not use the Eureka loss: the model or its trainer computes "
                "another (label_smoothing_factor of the arguments takes the labels away from the model: give "
                "label_smoothing to the loss); use loss.attach(trainer) or Trainer(compute_loss_func=loss)"
            )

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if logs is None or "loss" not in logs:  # an evaluation, or the summary at the end
            return
        values = {name: round(value, 6) for name, value in self.loss.sums.take().items()}
        logs.update(values)
        # what the Trainer keeps is a copy that was made before
        if state.log_history:
            state.log_history[-1].update(values)
