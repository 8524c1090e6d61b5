"""The Eureka loss in Lightning: tells deferred losses the progress, before the sanity check too.

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
        loss: with ``set_epoch(epoch)``, as :class:`eureka_nlg.losses.Deferred`, or ``set_progress(epoch,
            step)``, as :class:`eureka_nlg.integrations.token_loss.TokenLoss`; epochs and steps count from 1.

    Raises:
        TypeError: a loss with neither.
    """

    def __init__(self, loss: Any) -> None:
        if not hasattr(loss, "set_epoch") and not hasattr(loss, "set_progress"):
            raise TypeError(
                f"{type(loss).__name__} has no set_epoch or set_progress: it holds in every epoch"
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
