"""FSA: the split of a feature map, what tail features are made of, and how they are batched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from eureka_nlg.errors import UserError
from eureka_nlg.vision.classification.config import Config, ModelConfig, TrainingConfig
from eureka_nlg.vision.classification.data import ImageData
from eureka_nlg.vision.classification.methods.fsa import (
    AugmentedNetwork,
    FeatureSpaceAugmentation,
    class_activation,
    made_features,
    split_maps,
)
from eureka_nlg.vision.classification.methods.options import FsaConfig
from eureka_nlg.vision.classification.models import Network

COUNTS = [12, 8, 6, 4, 2, 1]
TAIL = {3, 4, 5}
PIXELS = torch.randint(256, (33, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
LABELS = torch.repeat_interleave(torch.arange(6), torch.tensor(COUNTS))


def test_class_activation_maps() -> None:
    maps, weights = torch.randn(2, 5, 3, 2), torch.randn(2, 5)
    for image, weight, activation in zip(maps, weights, class_activation(maps, weights)):
        raw = torch.tensor([[float(weight @ image[:, r, c]) for c in range(2)] for r in range(3)])
        torch.testing.assert_close(activation, (raw - raw.min()) / (raw.max() - raw.min()))
    assert torch.equal(class_activation(torch.ones(1, 5, 2, 2), weights[:1]), torch.ones(1, 2, 2))


@pytest.mark.parametrize(("specific", "generic"), [(0.8, 0.2), (0.5, 0.5), (1.0, 0.1)])
def test_the_split_adds_up_to_the_feature(specific: float, generic: float) -> None:
    maps, activation = torch.randn(4, 5, 3, 3), torch.rand(4, 3, 3)
    parts = split_maps(maps, activation, specific, generic)
    assert torch.equal(parts[0] + parts[1] + parts[2], maps)
    taken = torch.stack([(part != 0).any(1) for part in parts])
    assert torch.equal(taken.sum(0), torch.ones(4, 3, 3, dtype=torch.int64))  # each location is in one part
    assert torch.equal(taken[0], activation >= specific)
    assert torch.equal(taken[1], activation < generic)
    assert taken[2].any() == (specific != generic)


def test_made_features_keep_what_is_specific_and_take_what_is_generic() -> None:
    """Features that tell their image and place."""
    options = FsaConfig(specific_threshold=0.7, generic_threshold=0.4)
    torch.manual_seed(1)
    places = torch.arange(12.0).view(1, 1, 3, 4).expand(50, 1, 3, 4)
    activation, other = torch.rand(2, 50, 3, 4)
    other[7] = 1.0  # a donor without anything generic gives nothing
    made = made_features((places, activation), (100 + places, other), torch.rand(50, 12), options).flatten(1)
    drawn = set()
    for row, new in enumerate(made.tolist()):
        for place, value in enumerate(new):
            if activation[row].flatten()[place] >= 0.7 or row == 7:
                assert value == place
            else:
                source = int(value) - 100
                assert other[row].flatten()[source] < 0.4
                drawn.add((row, source))
    generic = {(row, place) for row, place in (other.flatten(1) < 0.4).nonzero().tolist()}
    assert drawn <= generic
    assert len(drawn) > 0.6 * len(generic)  # all of it is drawn from


def some_task(process: int = 0, processes: int = 1, accumulate: int = 1, **options: Any) -> Any:
    config = Config(
        method="fsa",
        init_from="first.pt",
        sampling="class_balanced",
        fsa=FsaConfig(**{"augmented": 3, "confusing_classes": 2, **options}),
        training=TrainingConfig(batch_size=24, accumulate=accumulate),
    )
    accelerator: Any = SimpleNamespace(
        device=torch.device("cpu"),
        process_index=process,
        num_processes=processes,
        reduce=lambda tensor, reduction: tensor,
    )
    torch.manual_seed(5)
    stage = Network(ModelConfig(), 6, cosine_scale=None)
    data = ImageData(config.data, (PIXELS, LABELS), (PIXELS, LABELS))
    network = AugmentedNetwork(stage, 6, config.fsa)
    task = FeatureSpaceAugmentation(config, data, network, accelerator)
    if processes == 1:
        task.prepare()
    return task


def test_confusing_classes_are_the_head_classes_with_the_highest_scores() -> None:
    task = some_task()
    images = next(task.data.plain_images(torch.arange(33), 33, torch.device("cpu"), training=True))
    with torch.no_grad():
        likelihoods = task.network.eval()(images).softmax(1)
    for c in range(6):
        if c not in TAIL:
            assert task.network.confusing[c].tolist() == [-1, -1]
            continue
        mean = likelihoods[c == LABELS].mean(0)
        best = sorted(set(range(6)) - TAIL, key=lambda head: -mean[head])[:2]
        assert task.network.confusing[c].tolist() == best


def test_bundles_take_generic_features_from_head_classes_only() -> None:
    task = some_task()
    tails = set()
    for epoch in range(1, 30):
        order = task._order(epoch)
        assert order.shape == (4, 8)  # 33 images in bundles of 8
        for bundle in LABELS[order].tolist():
            heads, tail, donors = bundle[:4], bundle[4], bundle[5:]
            assert not TAIL.intersection(heads)
            assert tail in TAIL
            first, second = task.network.confusing[tail].tolist()
            assert donors == [first, second, first]
            tails.add(tail)
    assert tails == TAIL


def test_logits_of_a_bundle() -> None:
    """Against the plain network, and features made one at a time."""
    task = some_task()
    network, options = task.network.train(), task.config.fsa
    [part] = next(task.batches(1, 0))
    images, labels, _ = part.batch
    drawn = torch.rand(9, 1)
    logits = network(images, labels, lambda places: drawn.expand(9, places)).view(3, 8, 6)
    assert torch.equal(logits[:, :5], network(images).view(3, 8, 6)[:, :5])
    with torch.no_grad():
        maps = network.backbone[:-1](images).view(3, 8, 64, 2, 2)
    weight = network.classifier.weight.detach()
    for bundle in range(3):
        own = labels.view(3, 8)[bundle]
        tail = maps[bundle, 4][None], class_activation(maps[bundle, 4][None], weight[own[4]][None])
        for j in range(3):
            donor = maps[bundle, 5 + j][None]
            made = made_features(
                tail, (donor, class_activation(donor, weight[own[5 + j]][None])),
                drawn[bundle * 3 + j].expand(1, 4), options,
            )  # fmt: skip
            expected = network.classifier(made.mean((2, 3)))[0]
            torch.testing.assert_close(logits[bundle, 5 + j], expected)
    tail_of = labels.view(3, 8)[:, 4]
    loss = task.loss(network, part)
    rows = torch.cat([labels.view(3, 8)[:, :5], tail_of[:, None].expand(3, 3)], 1).flatten()
    got = network(images, labels, lambda places: _own_draws(task, part, places))
    assert loss.item() == pytest.approx(F.cross_entropy(got, rows).item(), rel=1e-6)


def _own_draws(task: Any, part: Any, places: int) -> torch.Tensor:
    from eureka_nlg.vision.data.order import generator

    source = generator(task.config.seed, "locations", *part.key)
    return torch.rand(part.bundles, 3, places, generator=source)[part.rows].flatten(0, 1)


@pytest.mark.parametrize(("processes", "accumulate"), [(1, 2), (2, 1), (3, 2)])
def test_the_gradient_does_not_depend_on_the_split(processes: int, accumulate: int) -> None:
    whole = some_task()

    def gradient(tasks: list[Any]) -> torch.Tensor:
        total = torch.zeros(6, 64)
        for task in tasks:
            task.network.confusing.copy_(whole.network.confusing)
            task.network.train()
            for part in next(task.batches(1, 0)):
                task.network.zero_grad()
                task.loss(task.network, part).backward()
                total += task.network.classifier.weight.grad
        return total

    split = [some_task(process, processes, accumulate) for process in range(processes)]
    torch.testing.assert_close(gradient(split), gradient([whole]), rtol=1e-4, atol=1e-5)


def test_a_tail_without_a_head_is_refused() -> None:
    with pytest.raises(UserError, match=r"0.9 of 6 classes leaves 1 in the head and 5 in the tail; expected"):
        some_task(tail_fraction=0.9)
