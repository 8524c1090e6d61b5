"""OLTR against its formulas, written out in float64 one feature at a time."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from eureka_nlg.vision.classification.config import Config, ModelConfig, TrainingConfig
from eureka_nlg.vision.classification.data import ImageData
from eureka_nlg.vision.classification.methods.oltr import (
    MetaEmbedding,
    ModulatedAttention,
    OpenLongTailed,
    OpenLongTailedNetwork,
    large_margin,
)
from eureka_nlg.vision.classification.models import Network

FEATURES, CLASSES, BATCH = 6, 4, 5


def some_head() -> MetaEmbedding:
    torch.manual_seed(1)
    head = MetaEmbedding(FEATURES, CLASSES, scale=16.0)
    with torch.no_grad():
        head.centroids.normal_()
    return head


def expected_logits(head: MetaEmbedding, v: Tensor) -> list[float]:
    """Of one feature, float64."""
    head, v = copy.deepcopy(head).double().requires_grad_(False), v.double()
    memory = head.centroids
    o = torch.exp(head.hallucinator.weight @ v + head.hallucinator.bias)
    o = o / o.sum()
    v_memory = sum(o[i] * memory[i] for i in range(CLASSES))
    e = torch.tanh(head.selector.weight @ v + head.selector.bias)
    gamma = min(math.sqrt(((v - memory[i]) ** 2).sum().item()) for i in range(CLASSES))
    meta = (v + e * v_memory) / gamma
    norm = math.sqrt((meta**2).sum().item())
    squashed = norm**2 / (1 + norm**2) * meta / norm
    weight = head.weight
    return [
        float(16 * squashed @ weight[i] / math.sqrt((weight[i] ** 2).sum().item())) for i in range(CLASSES)
    ]


def test_logits_are_those_of_the_formula() -> None:
    head = some_head()
    direct = torch.randn(BATCH, FEATURES)
    logits, distances = head(direct)
    for row in range(BATCH):
        assert logits[row].tolist() == pytest.approx(expected_logits(head, direct[row]), rel=1e-4)
        for c in range(CLASSES):
            apart = (direct[row].double() - head.centroids[c].double()).square().sum().sqrt()
            assert distances[row, c].item() == pytest.approx(apart.item(), rel=1e-5)


def test_a_feature_that_is_its_centroid_gives_finite_numbers() -> None:
    """As where a class has one image."""
    head = some_head()
    direct = head.centroids.detach()[2:3].clone().requires_grad_()
    logits, distances = head(direct)
    (logits.sum() + distances.sum()).backward()
    assert logits.isfinite().all()
    assert logits.abs().max() <= 16
    for tensor in (direct, *head.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()


def test_large_margin_loss() -> None:
    distances = torch.tensor([[1.0, 7.0, 9.0], [4.0, 3.0, 2.0], [0.5, 6.0, 6.5]])
    # 1 - 8 + 5 < 0; 3 - 3 + 5; 6.5 - 3.25 + 5
    assert large_margin(distances, torch.tensor([0, 1, 2]), 5.0).tolist() == [0.0, 5.0, 8.25]


def test_centroids_learn_from_the_large_margin_loss_alone() -> None:
    head = some_head()
    direct = torch.randn(BATCH, FEATURES, requires_grad=True)
    logits, distances = head(direct)
    [gradient] = torch.autograd.grad(logits.sum(), [head.centroids], allow_unused=True, retain_graph=True)
    assert gradient is None
    loss = large_margin(distances, torch.zeros(BATCH, dtype=torch.int64), 5.0).sum()
    of_centroids, of_features = torch.autograd.grad(loss, [head.centroids, direct])
    assert of_centroids.abs().sum() > 0
    assert of_features.abs().sum() > 0


def test_modulated_attention() -> None:
    torch.manual_seed(2)
    attention = ModulatedAttention(4)
    maps = torch.randn(2, 4, 3, 2)
    assert torch.equal(attention(maps), maps)  # the first step sees the features of the first stage
    torch.nn.init.normal_(attention.out.weight)
    torch.nn.init.normal_(attention.out.bias)

    def conv(layer: torch.nn.Conv2d, f: Tensor) -> Tensor:
        return layer.weight[:, :, 0, 0] @ f + layer.bias

    for image, out in zip(maps, attention(maps)):
        places = [image[:, row, column] for row in range(3) for column in range(2)]
        where = torch.stack([conv(attention.where, f)[0] for f in places]).softmax(0)
        for number, f in enumerate(places):
            alike = torch.stack(
                [conv(attention.query, f) @ conv(attention.key, other) for other in places]
            ).softmax(0)
            context = sum(a * conv(attention.value, other) for a, other in zip(alike, places))
            expected = f + where[number] * conv(attention.out, context)
            torch.testing.assert_close(out[:, number // 2, number % 2], expected, rtol=1e-4, atol=1e-5)


def test_the_network_begins_with_the_features_of_its_first_stage() -> None:
    torch.manual_seed(3)
    stage = Network(ModelConfig(), CLASSES, cosine_scale=None).eval()
    network = OpenLongTailedNetwork(stage, CLASSES, 16.0, attention=True).eval()
    images = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(network.features(images), stage.backbone(images))
    logits, distances = network(images, with_distances=True)
    assert torch.equal(network(images), logits)
    assert distances.shape == (2, CLASSES)
    assert logits.dtype == torch.float32


def test_the_task_begins_at_class_means_and_adds_both_losses() -> None:
    torch.manual_seed(4)
    pixels = torch.randint(256, (20, 8, 8, 3), dtype=torch.uint8)
    labels = torch.repeat_interleave(torch.arange(4), torch.tensor([10, 6, 3, 1]))
    config = Config(method="oltr", init_from="first.pt", training=TrainingConfig(batch_size=8))
    accelerator: Any = SimpleNamespace(
        device=torch.device("cpu"),
        process_index=0,
        num_processes=1,
        reduce=lambda tensor, reduction: tensor,
    )
    network = OpenLongTailedNetwork(Network(config.model, 4, cosine_scale=None), 4, 16.0, attention=True)
    data = ImageData(config.data, (pixels, labels), (pixels, labels))
    task = OpenLongTailed(config, data, network, accelerator)
    task.prepare()
    images = next(data.plain_images(torch.arange(20), 20, torch.device("cpu"), training=True))
    with torch.no_grad():
        features = network.eval().features(images)
    for c in range(4):
        expected = features[labels == c].mean(0)
        torch.testing.assert_close(network.head.centroids[c], expected, rtol=1e-4, atol=1e-5)

    fast, slow = task.parameter_groups()
    assert slow["factor"] == 0.1
    assert {id(one) for one in slow["params"]} == {
        id(one)
        for name, one in network.named_parameters()
        if name.startswith("backbone.") or name == "head.centroids"
    }
    assert len(fast["params"]) + len(slow["params"]) == len(list(network.parameters()))

    [part] = next(task.batches(1, 0))
    loss = task.loss(network, part)  # in evaluation mode: the same numbers again
    logits, distances = network(part.images, with_distances=True)
    rows = []
    for row, y in enumerate(part.labels.tolist()):
        others = [distances[row, c].item() for c in range(4) if c != y]
        margin = max(0.0, distances[row, y].item() - sum(others) / 3 + 5.0)
        rows.append(-logits[row].double().log_softmax(0)[y].item() + 0.1 * margin)
    assert loss.item() == pytest.approx(sum(rows) / len(rows), rel=1e-5)
