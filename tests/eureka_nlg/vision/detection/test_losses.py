"""The exchanged classification loss against torchvision's own head, and against formulas written out here."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from eureka_nlg.options import BadOption

pytest.importorskip("accelerate")
retinanet = pytest.importorskip("torchvision.models.detection.retinanet")

from eureka_nlg.vision.detection.config import DetectionLossConfig  # noqa: E402
from eureka_nlg.vision.detection.losses import build_loss  # noqa: E402
from eureka_nlg.vision.detection.model import ClassificationHead, DetectionHead  # noqa: E402

CLASSES, ANCHORS = 5, 40
COUNTS = torch.tensor([900, 90, 30, 9, 0])


def made_images() -> tuple[list[dict[str, Tensor]], Tensor, list[Tensor]]:
    """Three images: boxes of several classes, no box at all, all anchors ignored but two."""
    torch.manual_seed(3)
    targets = [
        {"labels": torch.tensor([4, 0, 2])},
        {"labels": torch.zeros(0, dtype=torch.int64)},
        {"labels": torch.tensor([1])},
    ]
    matched = [
        torch.randint(-2, 3, (ANCHORS,)),  # -2 is between the thresholds, -1 background
        torch.full((ANCHORS,), -1),
        torch.full((ANCHORS,), -2).index_copy(0, torch.tensor([3, 7]), torch.tensor([0, -1])),
    ]
    assert {-2, -1, 0, 1, 2} == set(matched[0].tolist())
    return targets, 3 * torch.randn(3, ANCHORS, CLASSES), matched


def test_focal_loss_and_gradient_are_torchvisions() -> None:
    targets, logits, matched = made_images()
    torchvisions = retinanet.RetinaNetClassificationHead(8, 3, CLASSES)
    ours = ClassificationHead(8, 3, CLASSES, build_loss(DetectionLossConfig(name="focal"), COUNTS))
    results = []
    for head in (torchvisions, ours):
        given = logits.clone().requires_grad_()
        loss = head.compute_loss(targets, {"cls_logits": given}, matched)
        loss.backward()
        results.append((loss.detach(), given.grad))
    (loss, gradient), (own_loss, own_gradient) = results
    torch.testing.assert_close(own_loss, loss)
    torch.testing.assert_close(own_gradient, gradient)
    assert own_gradient[2].count_nonzero() == 2 * CLASSES  # ignored anchors have none
    assert gradient[1].count_nonzero() == ANCHORS * CLASSES  # an image without boxes has


def test_whole_detector_is_torchvisions() -> None:
    """Same weights, same images: both losses and every gradient, through anchors, matching and box losses."""
    detection = pytest.importorskip("torchvision.models.detection")
    backbone_utils = pytest.importorskip("torchvision.models.detection.backbone_utils")
    torch.manual_seed(0)

    def detector(head: Any) -> Any:
        backbone = backbone_utils.resnet_fpn_backbone(
            backbone_name="resnet18", weights=None, trainable_layers=5, returned_layers=[2, 3, 4]
        )
        anchors = detection.anchor_utils.AnchorGenerator(
            tuple((size,) for size in (16, 32, 64, 128)), ((0.5, 1.0, 2.0),) * 4
        )
        return detection.RetinaNet(
            backbone, CLASSES, min_size=64, max_size=96, anchor_generator=anchors, head=head
        )

    torchvisions = detector(retinanet.RetinaNetHead(256, 3, CLASSES))
    ours = detector(DetectionHead(256, 3, CLASSES, build_loss(DetectionLossConfig(), COUNTS)))
    ours.load_state_dict(torchvisions.state_dict())  # strict: the exchange adds no weights
    images = [torch.rand(3, 50, 70), torch.rand(3, 64, 64)]
    targets = [
        {"boxes": torch.tensor([[5.0, 5, 40, 45], [30, 10, 60, 30]]), "labels": torch.tensor([4, 0])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    ]
    losses = [network(images, targets) for network in (torchvisions, ours)]
    for loss in losses:
        sum(loss.values()).backward()
    torch.testing.assert_close(losses[1], losses[0])
    for (name, theirs), own in zip(torchvisions.named_parameters(), ours.parameters()):
        torch.testing.assert_close(own.grad, theirs.grad, msg=lambda text, name=name: f"{name}: {text}")


def expected(config: DetectionLossConfig, logits: Tensor, present: Tensor, weights: list[float]) -> float:
    """The table of docs/losses.md for single elements, in Python's floats."""
    total = 0.0
    phi = config.halting_threshold
    for row, truth in zip(logits.tolist(), present.tolist()):
        for k, (z, t) in enumerate(zip(row, truth)):
            p = 1 / (1 + math.exp(-z if t else z))
            alpha = 1.0 if config.alpha == -1 else (config.alpha if t else 1 - config.alpha)
            focal = -((1 - p) ** config.focal_gamma) * math.log(p)
            halted = focal
            if p > phi:
                halted = -math.log(p) + (1 - (1 - phi) ** config.focal_gamma) * math.log(phi)
            if config.name == "cross_entropy":
                value = -math.log(p)
            elif config.name == "focal":
                value = focal
            elif config.name == "dft":
                value = -p * math.log(p)
            elif config.name == "tldr":
                value = -(math.cos(math.pi * p) + 1) * math.log(p)
            elif config.name == "halted_focal":
                value = halted if t or config.halted == "both" else focal
            elif t:
                start = config.bonus_threshold or 0.0
                bonus = math.log(1 - p) - math.log(1 - start) if p > start else 0.0
                value = -math.log(p) + weights[k] * bonus
            else:
                value = focal
            total += alpha * value
    return total


def effective_numbers_weights(beta: float) -> list[float]:
    sizes = [(1 - beta**count) / (1 - beta) for count in COUNTS.tolist()]
    mean = sum(sizes) / 4  # over the classes that occur
    return [mean / size if size else 0.0 for size in sizes]


ONES = [1.0 if count else 0.0 for count in COUNTS.tolist()]


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({"name": "cross_entropy", "alpha": -1}, None),
        ({"name": "focal"}, None),
        ({"name": "dft", "alpha": 0.4}, None),
        ({"name": "tldr"}, None),
        ({"name": "halted_focal", "halted": "both"}, None),
        ({"name": "halted_focal", "halted": "positive", "halting_threshold": 0.7}, None),
        ({"name": "eureka"}, effective_numbers_weights(0.9999)),
        ({"name": "eureka", "beta": 0.9}, effective_numbers_weights(0.9)),
        (
            {"name": "eureka", "bonus_threshold": 0.5, "encouragement_measure": "one"},
            ONES,
        ),
    ],
)
def test_losses_are_their_formulas(options: dict[str, Any], weights: list[float] | None) -> None:
    config = DetectionLossConfig(**options)
    torch.manual_seed(5)
    logits = 2 * torch.randn(6, CLASSES)
    present = (torch.rand(6, CLASSES) < 0.5).float()
    loss = build_loss(config, COUNTS)(logits, present)
    assert loss.item() == pytest.approx(expected(config, logits, present, weights or []), rel=1e-5)


def test_bad_options_are_refused_before_there_are_counts() -> None:
    with pytest.raises(BadOption, match=r"alpha must be a number in \[0, 1\], or -1 for no weights, got 2.0"):
        DetectionLossConfig(alpha=2.0)
    with pytest.raises(BadOption, match=r"likelihood_cap must be a number in \(0, 1\), or None, got 1.5"):
        DetectionLossConfig(name="eureka", likelihood_cap=1.5)
