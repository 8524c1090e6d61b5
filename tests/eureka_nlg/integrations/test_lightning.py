"""Deferred losses in a Lightning trainer: told the epoch before the sanity check, and after a resume."""

from __future__ import annotations

import pytest
import torch
from torch import nn

lightning = pytest.importorskip("lightning.pytorch")

from eureka_nlg.integrations.lightning import EurekaCallback  # noqa: E402
from eureka_nlg.losses import Deferred, EurekaLoss  # noqa: E402


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.loss = Deferred(nn.CrossEntropyLoss(), EurekaLoss(likelihood_cap=0.75), start_epoch=3)
        self.used = []

    def training_step(self, batch, _):
        self.used.append((self.current_epoch + 1, self.loss.current is self.loss.then))
        return self.loss(self.layer(batch[0]), batch[1])

    def validation_step(self, batch, _):
        return self.loss(self.layer(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def test_the_callback_tells_the_epoch(tmp_path):
    data = torch.utils.data.TensorDataset(torch.randn(8, 3), torch.randint(0, 4, (8,)))

    def fit(epochs, checkpoint=None):
        module = Module()
        trainer = lightning.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            callbacks=[EurekaCallback(module.loss)],
            default_root_dir=tmp_path,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            num_sanity_val_steps=1,
        )
        loader = torch.utils.data.DataLoader(data, batch_size=4)
        trainer.fit(module, loader, loader, ckpt_path=checkpoint)
        return trainer, module

    trainer, module = fit(2)
    assert module.used == [(1, False)] * 2 + [(2, False)] * 2
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    assert fit(4, tmp_path / "two.ckpt")[1].used == [(3, True)] * 2 + [(4, True)] * 2
    with pytest.raises(TypeError, match="is the same in every epoch"):
        EurekaCallback(nn.CrossEntropyLoss())
