"""The stream of training images: against a plain loop over passes, from wherever it is entered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from eureka_nlg.errors import UserError
from eureka_nlg.vision.data.order import generator
from eureka_nlg.vision.detection.batches import DetectionBatches, DetectionPart
from eureka_nlg.vision.detection.config import DetectionDataConfig
from eureka_nlg.vision.detection.data import DetectionData, load_detection_data

BATCH, STEPS, SEED = 6, 5, 4  # 30 images an epoch, of 40


@pytest.fixture(scope="module")
def data(shapes_config: DetectionDataConfig) -> DetectionData:
    return load_detection_data(shapes_config)


def batches(data: DetectionData, **options: Any) -> DetectionBatches:
    return data.batches(batch_size=BATCH, seed=SEED, steps_per_epoch=STEPS, **options)


def assert_same(ours: DetectionPart, images: list[Any], targets: list[Any]) -> None:
    assert len(ours.images) == len(images) == len(targets)
    for image, target, expected, expected_target in zip(ours.images, ours.targets, images, targets):
        assert torch.equal(image, expected)
        assert target.keys() == expected_target.keys()
        assert all(torch.equal(*map(torch.as_tensor, (target[k], expected_target[k]))) for k in target)


def test_against_a_plain_loop_over_passes(data: DetectionData) -> None:
    split = data.train
    stream = []
    for number in range(3):  # passes of 40 images hold four epochs of 30
        order = torch.randperm(len(split), generator=generator(SEED, "order", number))
        mirrored = torch.rand(len(split), generator=generator(SEED, "flips", number)) < 0.5
        for index, flip in zip(order.tolist(), mirrored.tolist()):
            image, target = split[index]
            if flip:
                columns = torch.arange(image.shape[2] - 1, -1, -1)
                image = image[:, :, columns]
                for box in target["boxes"]:
                    left, right = box[0].item(), box[2].item()
                    box[0], box[2] = image.shape[2] - right, image.shape[2] - left
            stream.append((image, target))
    position = 0
    for epoch in range(1, 5):
        steps = list(batches(data).epoch(epoch))
        assert len(steps) == STEPS
        for [part] in steps:
            images, targets = zip(*stream[position : position + BATCH])
            assert_same(part, list(images), list(targets))
            assert part.share == 1
            position += BATCH
    assert position == 120


def test_every_pass_has_every_image_once(data: DetectionData) -> None:
    stream = batches(data)
    passes = [[stream.item(40 * number + i) for i in range(40)] for number in range(50)]
    assert all(sorted(index for index, _ in items) == list(range(40)) for items in passes)
    assert len({tuple(items) for items in passes}) == 50
    flips = torch.tensor([flip for items in passes for _, flip in items]).double().mean().item()
    assert flips == pytest.approx(0.5, abs=4 * 0.5 / 2000**0.5)


@pytest.mark.parametrize("workers", [0, 2])
def test_goes_on_in_the_middle_whoever_reads(data: DetectionData, workers: int) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    whole = {epoch: list(batches(data).epoch(epoch)) for epoch in (1, 2)}
    stream = batches(data, workers=workers)
    for epoch, first in ((2, 3), (1, 0), (2, 0), (1, 4)):
        rest = list(stream.epoch(epoch, first))
        assert len(rest) == STEPS - first
        for [part], [expected] in zip(rest, whole[epoch][first:]):
            assert_same(part, expected.images, expected.targets)
    unfinished = stream.epoch(1)
    next(unfinished)
    [part] = next(stream.epoch(2))
    assert_same(part, whole[2][0][0].images, whole[2][0][0].targets)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(("processes", "accumulate"), [(2, 1), (1, 2), (2, 2), (4, 1)])
def test_processes_and_parts_share_the_batch(data: DetectionData, processes: int, accumulate: int) -> None:
    shared = [
        list(batches(data, process=p, processes=processes, accumulate=accumulate).epoch(2))
        for p in range(processes)
    ]
    for number, [whole] in enumerate(batches(data).epoch(2)):
        own = [part for process in shared for part in process[number]]
        ids = [target["image_id"] for part in own for target in part.targets]
        assert sorted(ids) == sorted(target["image_id"] for target in whole.targets)
        mean = sum(
            part.share * sum(image.double().mean() for image in part.images) / len(part.images)
            for part in own
        )
        expected = sum(image.double().mean() for image in whole.images) / BATCH
        torch.testing.assert_close(mean, expected)


def test_a_batch_larger_than_the_data_set(data: DetectionData) -> None:
    stream = data.batches(batch_size=100, seed=SEED, steps_per_epoch=1)
    [[part]] = stream.epoch(1)
    ids = [target["image_id"] for target in part.targets]
    assert sorted(ids[:40]) == sorted(ids[40:80]) == data.train.image_ids
    assert len(set(ids[80:])) == 20


def test_flip_probability_of_the_config(shapes_config: DetectionDataConfig) -> None:
    for flip in (0.0, 1.0):
        stream = batches(load_detection_data(replace(shapes_config, flip=flip)))
        assert {stream.item(number)[1] for number in range(100)} == {bool(flip)}


def test_other_seeds_give_other_orders(data: DetectionData) -> None:
    orders = {
        tuple(data.batches(batch_size=BATCH, seed=seed, steps_per_epoch=STEPS).item(n) for n in range(40))
        for seed in range(5)
    }
    assert len(orders) == 5


def test_a_batch_without_an_image_for_each_process(data: DetectionData) -> None:
    with pytest.raises(UserError, match=r"training.batch_size: 6, expected .* each of the 8 processes"):
        batches(data, process=0, processes=8)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_goes_later(shapes_config: DetectionDataConfig, workers: int) -> None:
    data = load_detection_data(shapes_config)
    data.train.file_names = ["gone.png"] * len(data.train)
    with pytest.raises(UserError, match=r"^[^\n]*gone.png: cannot be read[^\n]*$"):
        next(batches(data, workers=workers).epoch(1))
