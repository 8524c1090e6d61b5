"""Networks: sizes of the literature, shortcuts, heads, branches, what is frozen."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from eureka_nlg.vision.classification.config import ModelConfig
from eureka_nlg.vision.classification.models import BilateralNetwork, Network, second_stage
from eureka_nlg.vision.classification.models.resnet_cifar import cifar_resnet


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)])
def test_sizes_of_table_6_of_he_et_al(depth: int, millions: float) -> None:
    backbone, features = cifar_resnet(depth)
    assert features == 64
    assert parameters(backbone) + 64 * 10 + 10 == pytest.approx(1e6 * millions, rel=0.02)


def test_resnet32_to_the_parameter() -> None:
    """By the layers of the paper: 3 x 3 convolutions, scale and shift of each channel, the head."""
    convolutions = 432 + 10 * 2304 + 4608 + 9 * 9216 + 18432 + 9 * 36864
    normed = 16 * 11 + 32 * 10 + 64 * 10
    network = Network(ModelConfig(), 10, cosine_scale=None)
    assert parameters(network) == convolutions + 2 * normed + 650 == 464_154


def test_option_a_shortcut() -> None:
    """With the residual branch at zero, a stage's first block is the subsampled, zero-padded input."""
    backbone, _ = cifar_resnet(20)
    block = backbone.stage2[0].eval()
    torch.nn.init.zeros_(block.bn2.weight)
    x = torch.rand(2, 16, 8, 8)
    out = block(x)
    assert out.shape == (2, 32, 4, 4)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()


def test_kaiming_initialisation() -> None:
    torch.manual_seed(1)
    weight = cifar_resnet(32)[0].stage3[4].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


@pytest.mark.parametrize(("name", "published"), [("resnet50", 25_557_032), ("resnext50", 25_028_904)])
def test_torchvision_networks(name: str, published: int) -> None:
    pytest.importorskip("torchvision")
    network = Network(ModelConfig(name=name), 1000, cosine_scale=None)
    assert parameters(network) == published
    assert network.num_features == 2048
    small = Network(ModelConfig(name=name), 7, cosine_scale=16.0).eval()
    with torch.inference_mode():
        assert small(torch.rand(2, 3, 64, 64)).shape == (2, 7)


def test_cosine_head() -> None:
    network = Network(ModelConfig(), 10, cosine_scale=16.0).eval()
    images = torch.rand(4, 3, 32, 32)
    logits, features = network(images), network.backbone(images)
    expected = F.cosine_similarity(features[:, None], network.classifier.weight[None], dim=2)
    torch.testing.assert_close(logits, 16 * expected)
    assert parameters(network.classifier) == 640


def test_logits_keep_float32_under_autocast() -> None:
    network = Network(ModelConfig(), 10, cosine_scale=None).eval()
    images = torch.rand(4, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        features = network.backbone(images)
        logits = network(images)
    assert features.dtype == torch.bfloat16
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, network.classifier(features.float()))


def test_bilateral_network_mixes_its_branches() -> None:
    torch.manual_seed(0)
    network = BilateralNetwork(ModelConfig(), 10, cosine_scale=None).eval()
    plain = Network(ModelConfig(), 10, cosine_scale=None)
    block = parameters(plain.backbone.stage3[4])
    assert parameters(network) == parameters(plain) + block + 650  # its last block and its classifier twice
    one, two = torch.rand(2, 3, 3, 8, 8)
    conventional, balanced = network(one, two, 1.0), network(one, two, 0.0)
    torch.testing.assert_close(network(one, two, 0.3), 0.3 * conventional + 0.7 * balanced)
    torch.testing.assert_close(conventional, network(one, one, 1.0))  # each branch sees its own batch
    torch.testing.assert_close(balanced, network(two, two, 0.0))
    torch.testing.assert_close(network(one), (network(one, one, 1.0) + network(one, one, 0.0)) / 2)


@pytest.mark.parametrize(("method", "trained"), [("crt", 650), ("lws", 10)])
def test_second_stage_trains_the_classifier_alone(method: str, trained: int) -> None:
    network = Network(ModelConfig(), 10, cosine_scale=None)
    images = torch.rand(8, 3, 8, 8)
    before = network.eval()(images)
    network = second_stage(network, method, 10, cosine_scale=None).train()
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert sum(parameter.numel() for parameter in learning) == trained
    statistics = network.backbone.stem[1].running_mean.clone()
    logits = network(images)
    assert torch.equal(statistics, network.backbone.stem[1].running_mean)
    assert torch.equal(logits, before) == (method == "lws")
    if method == "lws":
        with torch.no_grad():
            network.classifier.scale[3] = 2.5
        torch.testing.assert_close(network(images)[:, 3], 2.5 * before[:, 3])
