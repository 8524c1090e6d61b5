"""The learning rate, by hand and against torch's schedulers."""

from __future__ import annotations

import pytest
import torch

from eureka_nlg.vision.classification.config import Config, TrainingConfig


def test_settings_of_cao_et_al() -> None:
    """0.1 after five epochs of warm-up, a hundredth after 160 epochs and again after 180."""
    config, steps = Config(), 97
    rates = [config.learning_rate(step, steps) for step in range(200 * steps)]
    assert rates[0] == pytest.approx(0.1 / 485)
    assert rates[242] == pytest.approx(0.1 * 243 / 485)
    assert rates[484 : 160 * steps] == pytest.approx([0.1] * (160 * steps - 484))
    assert rates[160 * steps : 180 * steps] == pytest.approx([1e-3] * (20 * steps))
    assert rates[180 * steps :] == pytest.approx([1e-5] * (20 * steps))


def test_the_whole_schedule_scales() -> None:
    config = Config(training=TrainingConfig(schedule_scale=0.3))
    rates = [config.learning_rate(step, 10) for step in range(600)]
    assert rates[13] == pytest.approx(0.1 * 14 / 15)  # 1.5 epochs of warm-up
    assert rates[14] == rates[479] == pytest.approx(0.1)
    assert rates[480] == rates[539] == pytest.approx(1e-3)
    assert rates[540] == pytest.approx(1e-5)


def test_cosine_is_torchs() -> None:
    config = Config(training=TrainingConfig(epochs=9, schedule="cosine", learning_rate=0.2, warmup_epochs=0))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=45)
    for step in range(45):
        assert config.learning_rate(step, 5) == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
