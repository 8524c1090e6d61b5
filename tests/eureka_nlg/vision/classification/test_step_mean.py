"""The mean of a step is that of its formula, however the step is split; float64 formulas written out here."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eureka_nlg.vision.classification.config import Config, LossConfig, TrainingConfig
from eureka_nlg.vision.classification.data import ImageData
from eureka_nlg.vision.classification.losses import build_loss
from eureka_nlg.vision.classification.methods.bbn import BilateralClassification
from eureka_nlg.vision.classification.step_mean import step_mean
from eureka_nlg.vision.classification.task import Classification
from eureka_nlg.vision.data.order import own_parts

COUNTS = torch.tensor([500, 60, 9, 2])
EFFECTIVE = (1 - 0.9999 ** COUNTS.double()) / (1 - 0.9999)
BALANCED = (1 / EFFECTIVE) / (1 / EFFECTIVE).mean()
ENCOURAGEMENT = EFFECTIVE.mean() / EFFECTIVE

Formula = Callable[[Tensor, Tensor], Tensor]
"""Logits ``[N, C]`` and classes ``[N]`` -> mean of the whole step."""


def of_target(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.softmax(1)[torch.arange(len(labels)), labels]


def weighted(rows: Tensor, labels: Tensor) -> Tensor:
    return (BALANCED[labels] * rows).sum() / BALANCED[labels].sum()


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return weighted(-of_target(logits, labels).log(), labels)


def focal(logits: Tensor, labels: Tensor) -> Tensor:
    p = of_target(logits, labels)
    return weighted((1 - p) ** 2 * -p.log(), labels)


def ldam(logits: Tensor, labels: Tensor) -> Tensor:
    margins = 0.5 * (COUNTS.double() / COUNTS.min()) ** -0.25
    shifted = 30 * (logits - nn.functional.one_hot(labels, 4) * margins)
    return weighted(-of_target(shifted, labels).log(), labels)


def reward(logits: Tensor, labels: Tensor) -> Tensor:
    return (ENCOURAGEMENT[labels] * torch.log1p(-of_target(logits, labels))).mean()


def eureka(logits: Tensor, labels: Tensor) -> Tensor:
    """The weighted mean of the cross-entropy, and the plain mean of the reward."""
    return cross_entropy(logits, labels) + reward(logits, labels)


def smoothed(logits: Tensor, labels: Tensor) -> Tensor:
    log_p = logits.log_softmax(1)
    every_class = (BALANCED * -log_p).mean(1).sum() / BALANCED[labels].sum()
    return 0.9 * cross_entropy(logits, labels) + 0.1 * every_class + reward(logits, labels)


CASES: dict[str, tuple[LossConfig, Formula]] = {
    "cross-entropy": (LossConfig(class_balanced=True), cross_entropy),
    "focal": (LossConfig(name="focal", focal_gamma=2, class_balanced=True), focal),
    "ldam": (LossConfig(name="ldam", class_balanced=True), ldam),
    "eureka": (LossConfig(name="eureka", class_balanced=True), eureka),
    "smoothed eureka": (LossConfig(name="eureka", class_balanced=True, label_smoothing=0.1), smoothed),
    "eureka without class weights": (
        LossConfig(name="eureka"),
        lambda logits, labels: -of_target(logits, labels).log().mean() + reward(logits, labels),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_split_has_the_mean_and_gradient_of_the_formula(name: str) -> None:
    config, formula = CASES[name]
    labels = torch.tensor([0] * 20 + [1] * 9 + [2] * 5 + [3] * 3)[torch.randperm(37)]
    exact = torch.randn(37, 4, dtype=torch.float64).tanh().requires_grad_()
    expected = formula(exact, labels)
    [gradient] = torch.autograd.grad(expected, exact)
    loss = build_loss(config, COUNTS, reduction="sum")
    for processes in (1, 2, 4):
        for accumulate in (1, 2, 8):
            logits = exact.detach().float().requires_grad_()
            parts = [
                step_mean(loss, logits[part], labels[part], labels)
                for process in range(processes)
                for part, _ in own_parts(37, process, processes, accumulate)
            ]
            total = torch.stack(parts).sum()
            total.backward()
            assert total.item() == pytest.approx(expected.item(), rel=1e-5)
            torch.testing.assert_close(logits.grad, gradient.float(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", [Classification, BilateralClassification])
def test_a_task_gives_one_gradient_for_every_split(kind: type[Classification]) -> None:
    """Through the batches and the task, as the loop calls them: all gradients of a step, added."""
    pixels = torch.randint(256, (45, 4, 4, 3), dtype=torch.uint8)
    labels = torch.tensor([0] * 30 + [1] * 10 + [2] * 3 + [3] * 2)
    loss = LossConfig(name="eureka", class_balanced=True)

    class Two(nn.Linear):
        def forward(self, images: Tensor, other: Tensor | None = None, alpha: float = 1.0) -> Tensor:
            mixed = images if other is None else alpha * images + (1 - alpha) * other
            return super().forward(mixed.flatten(1))

    torch.manual_seed(3)
    network = Two(48, 4)

    def gradient(processes: int, accumulate: int) -> tuple[float, Tensor]:
        config = Config(loss=loss, training=TrainingConfig(batch_size=16, accumulate=accumulate))
        network.zero_grad()
        value = 0.0
        for process in range(processes):
            accelerator: Any = SimpleNamespace(
                device=torch.device("cpu"), process_index=process, num_processes=processes
            )
            data = ImageData(config.data, (pixels, labels), (pixels, labels))
            task = kind(config, data, network, accelerator)
            task.begin_epoch(50)
            for part in next(task.batches(50, 1)):
                part_loss = task.loss(network, part)
                part_loss.backward()
                value += part_loss.item()
        assert network.weight.grad is not None
        return value, network.weight.grad.clone()

    expected, whole = gradient(1, 1)
    for processes in (1, 2, 4):
        for accumulate in (1, 2, 8):
            value, got = gradient(processes, accumulate)
            assert value == pytest.approx(expected, rel=1e-5)
            torch.testing.assert_close(got, whole, rtol=1e-4, atol=1e-5)
