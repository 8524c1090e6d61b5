"""The Trainer's callback: it tells a loss the progress of the training, and adds its numbers to the log."""

from __future__ import annotations

import math
from typing import Any

from transformers import TrainerCallback

from eureka_nlg.errors import UserError
from eureka_nlg.integrations.token_loss import TokenLoss
from eureka_nlg.integrations.transformers.trainer_loss import base_model

__all__ = ["EurekaCallback"]


class EurekaCallback(TrainerCallback):
    """Tells a loss the epoch and the step, also in resumed runs, and logs its numbers with the Trainer's.

    ``nll``, ``bonus`` and ``reward``, in nats, and ``likelihood`` are means over the tokens since the last
    log.
    """

    def __init__(self, loss: TokenLoss) -> None:
        self.loss = loss
        self.trainer: Any = None
        self._calls_before = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._calls_before = self.loss.num_training_calls
        self.loss.sums.clear()
        if (
            self.trainer is not None
            and getattr(base_model(self.trainer.model), "_eureka_loss", None) is self.loss
        ):
            self.trainer.compute_loss_func = (
                None  # the model computes it, also if it got it after the Trainer
            )

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # the epoch is a sum of fractions, which rounding may keep just below a whole number
        self.loss.set_progress(math.floor((state.epoch or 0.0) + 1e-6) + 1, state.global_step + 1)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.loss.num_training_calls == self._calls_before:
            raise UserError(
                "a training step did not use the Eureka loss, because the model or its trainer computes "
                "another one: use loss.attach(trainer) or Trainer(compute_loss_func=loss), and give "
                "label_smoothing to the loss instead of label_smoothing_factor to the arguments"
            )

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if logs is None or "loss" not in logs:  # an evaluation, or the summary at the end
            return
        values = {name: round(value, 6) for name, value in self.loss.sums.take().items()}
        logs.update(values)
        # the Trainer has already copied the logs into its history
        if state.log_history:
            state.log_history[-1].update(values)
