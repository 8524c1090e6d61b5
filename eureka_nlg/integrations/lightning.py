"""The Eureka loss in Lightning: a callback that tells deferred losses the epoch and the step.

class Module(LightningModule):
    def training_step(self, batch, _):
        return self.loss(self(batch["image"]), batch["label"])

Trainer(callbacks=[EurekaCallback(module.loss)])
"""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback

__all__ = ["EurekaCallback"]


class EurekaCallback(Callback):
    """Tells epoch and step to a loss that depends on them.

    Args:
        loss: a loss with ``set_epoch(epoch)``, such as :class:`eureka_nlg.losses.Deferred`, or with
            ``set_progress(epoch, step)``, such as :class:`eureka_nlg.integrations.token_loss.TokenLoss`;
            epochs and steps count from 1.

    Raises:
        TypeError: a loss with neither method.
    """

    def __init__(self, loss: Any) -> None:
        if not hasattr(loss, "set_epoch") and not hasattr(loss, "set_progress"):
            raise TypeError(
                f"{type(loss).__name__} has neither set_epoch nor set_progress: it is the same in every "
                "epoch and needs no callback"
            )
        self.loss = loss

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        self._tell(trainer)  # for the sanity check

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._tell(trainer)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self._tell(trainer)

    def _tell(self, trainer: Any) -> None:
        epoch = trainer.current_epoch + 1
        if hasattr(self.loss, "set_epoch"):
            self.loss.set_epoch(epoch)
        else:
            self.loss.set_progress(epoch, trainer.global_step + 1)
