"""Every config of classification: it loads, its header holds its command, and it is what its name says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eureka_nlg.vision.classification.config import Config
from eureka_nlg.vision.classification.losses import deferred_loss
from eureka_nlg.vision.config_file import read_config

ROOT = Path(__file__).resolve().parents[4]
CONFIGS = sorted(
    path
    for path in (ROOT / "configs" / "vision").rglob("*.yaml")
    if not path.parent.name.startswith("coco")  # detection's
)


def test_configs_were_found() -> None:
    assert len(CONFIGS) > 40


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_config(path: Path) -> None:
    config = read_config(Config, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    header = [line[1:].strip() for line in lines if line.startswith("#")]
    relative = path.relative_to(ROOT)
    assert f"eureka vision train {relative}" in header
    assert "paper" in " ".join(header)
    assert config.save_dir == f"runs/{relative.parent.name}/{path.stem}"
    assert (config.plain_epochs > 0) == ("deferred" in path.stem.split("_"))
    assert config.loss.class_balanced == ("cb" in path.stem.split("_"))
    assert config.uses_cosine_head == path.stem.startswith("ldam")
    assert (config.loss.name == "eureka") == (path.stem.startswith(("el", "simplified_el", "power")))
    deferred_loss(config, torch.tensor([500, 60, 5]))  # options that the loss does not take would raise


def test_paper_settings_of_cifar() -> None:
    config = read_config(Config, ROOT / "configs/vision/cifar10_lt/el_cb_deferred.yaml")
    training = config.training
    assert (training.batch_size, training.learning_rate, training.momentum) == (128, 0.1, 0.9)
    assert (training.weight_decay, training.milestones, training.decay) == (2e-4, [160, 180], 0.01)
    assert (config.epochs, config.plain_epochs, training.warmup_epochs) == (200, 160, 5)
    assert (config.loss.beta, config.deferral.loss.name) == (0.9999, "cross_entropy")
