"""Losses of a config against their formulas, written out here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from eureka_nlg.options import BadOption
from eureka_nlg.vision.classification.config import Config, DeferralConfig, LossConfig, ModelConfig
from eureka_nlg.vision.classification.losses import build_loss, deferred_loss

COUNTS = torch.tensor([500, 60, 9])
LOGITS = torch.randn(40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 3
LABELS = torch.arange(40) % 3
P = LOGITS.softmax(1)[torch.arange(40), LABELS]
EFFECTIVE = (1 - 0.9999 ** COUNTS.double()) / (1 - 0.9999)
BALANCED = (1 / EFFECTIVE) / (1 / EFFECTIVE).mean()
ENCOURAGEMENT = EFFECTIVE.mean() / EFFECTIVE


def halted(p: Tensor, gamma: float) -> Tensor:
    b = -(1 - 0.5**gamma) * np.log(0.5)
    return torch.where(p <= 0.5, -((1 - p) ** gamma) * p.log(), -(p.log() + b))


def weighted(rows: Tensor) -> Tensor:
    weight = BALANCED[LABELS]
    return (weight * rows).sum() / weight.sum()


EXPECTED = {
    "CE": (LossConfig(), -P.log().mean()),
    "CB": (LossConfig(class_balanced=True), weighted(-P.log())),
    "FL": (LossConfig(name="focal", focal_gamma=1), ((1 - P) * -P.log()).mean()),
    "FL gamma 2": (LossConfig(name="focal", focal_gamma=2), ((1 - P) ** 2 * -P.log()).mean()),
    "FL+CB": (LossConfig(name="focal", focal_gamma=1, class_balanced=True), weighted((1 - P) * -P.log())),
    "DFT": (LossConfig(name="dft"), (-P * P.log()).mean()),
    "DFT+CB": (LossConfig(name="dft", class_balanced=True), weighted(-P * P.log())),
    "minus p": (LossConfig(name="power", power_exponent=2), (-(P**2)).mean()),
    "anti-focal": (LossConfig(name="anti_focal"), (-(1 + P) * P.log()).mean()),
    "TLDR": (LossConfig(name="tldr"), (-((np.pi * P).cos() + 1) * P.log()).mean()),
    "MixCE": (LossConfig(name="mixce", mixce_eta=0.2), (-(0.2 + 0.8 * P) * P.log()).mean()),
    "logit adjustment": (
        LossConfig(name="logit_adjusted", logit_adjustment_tau=2),
        F.cross_entropy(LOGITS + 2 * (COUNTS.double() / COUNTS.sum()).log(), LABELS),
    ),
    "GEM": (
        LossConfig(name="gem", gem_temperature=0.5),
        ((LOGITS / 0.5).softmax(1) * (LOGITS - LOGITS.gather(1, LABELS[:, None]))).sum(1).mean(),
    ),
    "FACE": (
        LossConfig(class_balanced=True, class_weight="face"),
        F.cross_entropy(LOGITS, LABELS, weight=1 - COUNTS.double() / COUNTS.max()),
    ),
    "HFL": (LossConfig(name="halted_focal", focal_gamma=2), halted(P, 2).mean()),
    "HFL(1/3)": (
        LossConfig(name="halted_focal", focal_gamma=2, halted_fraction=1 / 3),
        torch.where(LABELS == 2, halted(P, 2), (1 - P) ** 2 * -P.log()).mean(),
    ),
    "EL": (
        LossConfig(name="eureka"),
        (-P.log() + ENCOURAGEMENT[LABELS] * torch.log1p(-P)).mean(),
    ),
    "EL beta 0.9": (
        LossConfig(name="eureka", beta=0.9),
        (
            -P.log()
            + ((1 - 0.9 ** COUNTS.double()).mean() / (1 - 0.9 ** COUNTS.double()))[LABELS] * torch.log1p(-P)
        ).mean(),
    ),
    "EL mean weight": (
        LossConfig(name="eureka", encouragement_normalization="mean_weight"),
        (-P.log() + BALANCED[LABELS] * torch.log1p(-P)).mean(),
    ),
    "EL released": (
        LossConfig(name="eureka", preset="released"),
        (-P.log() + BALANCED[LABELS] * torch.log1p(-P.clamp(max=0.99999))).mean(),
    ),
    "EL released, of another clamp": (
        LossConfig(name="eureka", preset="released", likelihood_clamp=0.6),
        (-P.log() + BALANCED[LABELS] * torch.log1p(-P.clamp(max=0.6))).mean(),
    ),
    "EL encouraging": (
        LossConfig(name="eureka", preset="encouraging"),
        (-P.log() + torch.where(P > 0.75, np.log(0.25) - (P - 0.75) / 0.25, torch.log1p(-P))).mean(),
    ),
    "EL root of the count, scaled": (
        LossConfig(
            name="eureka",
            encouragement_measure="count",
            encouragement_exponent=0.5,
            encouragement_normalization="max_weight",
            encouragement_scale=3.0,
        ),
        (-P.log() + 3 * (9 / COUNTS.double()).sqrt()[LABELS] * torch.log1p(-P)).mean(),
    ),
    "simplified EL": (
        LossConfig(name="eureka", encouragement_measure="one", bonus_threshold=0.5),
        (-P.log() + torch.where(P > 0.5, torch.log1p(-P) - np.log(0.5), 0.0)).mean(),
    ),
    "power bonus": (
        LossConfig(name="eureka", encouragement_measure="one", bonus="power", bonus_gamma=4),
        (-P.log() - P**4).mean(),
    ),
    "EL+CB": (
        LossConfig(name="eureka", class_balanced=True),
        weighted(-P.log()) + (ENCOURAGEMENT[LABELS] * torch.log1p(-P)).mean(),
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_losses(name: str) -> None:
    config, expected = EXPECTED[name]
    loss = build_loss(config, COUNTS)(LOGITS.float(), LABELS)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_ldam() -> None:
    margins = 0.5 * (COUNTS.double() / COUNTS.min()) ** -0.25
    shifted = LOGITS.tanh() - torch.nn.functional.one_hot(LABELS, 3) * margins
    rows = -(30 * shifted).log_softmax(1)[torch.arange(40), LABELS]
    for balanced, expected in ((False, rows.mean()), (True, weighted(rows))):
        loss = build_loss(LossConfig(name="ldam", class_balanced=balanced), COUNTS)
        assert loss(LOGITS.tanh().float(), LABELS).item() == pytest.approx(expected.item(), rel=1e-5)


def test_ldam_of_the_logits_of_a_cosine_head() -> None:
    """They are scaled cosines: LDAM has its margin in the cosine, another loss before it the logits."""
    cosines = LOGITS.tanh().float()
    config = Config(
        loss=LossConfig(name="ldam", scale=20.0, label_smoothing=0.1), deferral=DeferralConfig(plain_epochs=1)
    )
    assert config.cosine_scale == 20.0
    loss = deferred_loss(config, COUNTS)
    loss.set_epoch(1)
    plain = torch.nn.functional.cross_entropy(20.0 * cosines, LABELS)
    torch.testing.assert_close(loss(20.0 * cosines, LABELS), plain)
    loss.set_epoch(2)
    alone = build_loss(config.loss, COUNTS)(cosines, LABELS)
    torch.testing.assert_close(loss(20.0 * cosines, LABELS), alone)


@pytest.mark.parametrize(
    ("options", "scale"),
    [
        ({}, None),
        ({"loss": LossConfig(name="ldam")}, 30.0),
        ({"model": ModelConfig(head="cosine"), "loss": LossConfig(scale=16.0)}, 16.0),
        ({"model": ModelConfig(head="linear"), "loss": LossConfig(name="ldam")}, None),
        (
            {
                "loss": LossConfig(name="eureka"),
                "deferral": DeferralConfig(plain_epochs=1, loss=LossConfig(name="ldam", scale=8.0)),
            },
            8.0,
        ),
    ],
)
def test_scale_of_a_cosine_head(options: Any, scale: float | None) -> None:
    assert Config(**options).cosine_scale == scale


def test_deferred() -> None:
    config = Config(loss=LossConfig(name="eureka"), deferral=DeferralConfig(plain_epochs=2))
    loss = deferred_loss(config, COUNTS)
    values = []
    for epoch in (1, 2, 3):
        loss.set_epoch(epoch)
        values.append(loss(LOGITS.float(), LABELS).item())
    plain, eureka = EXPECTED["CE"][1].item(), EXPECTED["EL"][1].item()
    assert values == pytest.approx([plain, plain, eureka], rel=1e-5)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (
            {"name": "eureka", "bonus_threshold": 1.5},
            r"bonus_threshold must be a number in \[0, 1\).*1.5",
        ),
        ({"name": "focal", "focal_gamma": -1}, "focal_gamma must be a finite number from 0 on, got -1"),
        ({"class_balanced": True, "beta": 1.5}, r"beta must be a number in \[0, 1\), got 1.5"),
        ({"label_smoothing": 2}, r"label_smoothing must be a number in \[0, 1\], got 2"),
        ({"max_margin": -0.1}, "max_margin must be a finite number from 0 on, got -0.1"),
        ({"likelihood_clamp": 0.3, "bonus_threshold": 0.5}, "likelihood_clamp must be above the threshold"),
    ],
)
def test_an_option_that_cannot_work_is_refused_before_there_are_counts(options: Any, named: str) -> None:
    with pytest.raises(BadOption, match=named):
        LossConfig(**options)
