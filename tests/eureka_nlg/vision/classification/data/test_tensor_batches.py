"""Batches of images in memory against torchvision's functions, one image at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from eureka_nlg.vision.classification.data.tensor_batches import NORMALIZATION, TensorBatches, normalized
from eureka_nlg.vision.data.order import generator, own_parts

functional = pytest.importorskip("torchvision.transforms.v2.functional")

PIXELS = torch.randint(256, (50, 8, 6, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(50) % 5


def batches(**options: object) -> TensorBatches:
    return TensorBatches(
        PIXELS,
        LABELS,
        lambda epoch: torch.randperm(50, generator=generator(epoch)),
        **{"batch_size": 16, "seed": 7, "padding": 2, **options},  # type: ignore[arg-type]
    )


def one_by_one(epoch: int, step: int) -> Tensor:
    """The images of a step through torchvision: pad, crop, flip, scale, normalise."""
    chosen = torch.randperm(50, generator=generator(epoch))[16 * step : 16 * step + 16]
    source = generator(7, "crops", epoch, step)
    corners = torch.randint(5, (2, len(chosen)), generator=source)
    flips = torch.rand(len(chosen), generator=source) < 0.5
    images = []
    for position, index in enumerate(chosen):
        image = functional.pad(PIXELS[index].permute(2, 0, 1), [2])
        image = functional.crop(image, int(corners[0, position]), int(corners[1, position]), 8, 6)
        if flips[position]:
            image = functional.horizontal_flip(image)
        image = functional.to_dtype(image, torch.float32, scale=True)
        images.append(functional.normalize(image, *map(list, NORMALIZATION["cifar"])))
    return torch.stack(images)


def test_images_are_those_of_torchvision() -> None:
    for step, [batch] in enumerate(batches().epoch(3)):
        torch.testing.assert_close(batch.images, one_by_one(3, step))
        chosen = torch.randperm(50, generator=generator(3))[16 * step : 16 * step + 16]
        assert torch.equal(batch.labels, LABELS[chosen])
        assert torch.equal(batch.step_labels, batch.labels)
    assert step == 3
    assert len(batch.labels) == 2
    assert len(batches()) == 4


def test_crops_and_flips_use_their_whole_range() -> None:
    """A white image shows where it was put by the black around it."""
    white = torch.full((2000, 8, 8, 3), 255, dtype=torch.uint8)
    white[:, :, 0] = 128  # the left column tells a flip
    loader = TensorBatches(
        white, torch.zeros(2000, dtype=torch.int64), lambda e: torch.arange(2000), batch_size=2000, seed=1
    )
    [[batch]] = list(loader.epoch(1))
    black = normalized(torch.zeros(1, 1, 1, 3, dtype=torch.uint8), "cifar").flatten()[0]
    rows = (batch.images[:, 0] == black).all(dim=2)
    offsets = rows[:, :4].sum(1) - rows[:, 4:].sum(1)
    assert offsets.unique().tolist() == list(range(-4, 5))
    counts = (offsets + 4).bincount()
    assert counts.min() > 150  # 222 expected of each, standard deviation 14
    middle = batch.images[:, 0, 4]
    grey_left = (middle[:, :4] == normalized(torch.full((1, 1, 1, 3), 128), "cifar").flatten()[0]).any(1)
    # The grey column shows in the left half with 4 of 9 corners, or 1 of 9 if flipped, and row 4 with 8 of 9.
    assert grey_left.float().mean().item() == pytest.approx((4 / 9 + 1 / 9) / 2 * 8 / 9, abs=0.04)


@pytest.mark.parametrize("first_step", [1, 3, 4])
def test_an_epoch_goes_on_in_its_middle(first_step: int) -> None:
    whole = list(batches().epoch(2))
    rest = list(batches().epoch(2, first_step))
    assert len(rest) == 4 - first_step
    for [expected], [got] in zip(whole[first_step:], rest):
        assert torch.equal(expected.images, got.images)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_processes_and_parts_share_the_batch(accumulate: int) -> None:
    whole = [batch for [batch] in batches().epoch(1)]
    parts = [list(batches(process=p, processes=2, accumulate=accumulate).epoch(1)) for p in range(2)]
    for step, batch in enumerate(whole):
        own = [part for process in parts for part in process[step]]
        assert sum(len(part.labels) for part in own) == len(batch.labels)
        assert all(torch.equal(part.step_labels, batch.labels) for part in own)
        mean = sum(part.images.mean() * len(part.labels) for part in own) / len(batch.labels)
        torch.testing.assert_close(mean, batch.images.mean())


def test_last_batch_too_small_for_all_processes_is_left_out() -> None:
    assert len(batches(batch_size=7)) == 8  # 50 = 7 * 7 + 1
    assert len(batches(batch_size=7, processes=2)) == 7
    assert [len(part) for part, _ in own_parts(5, 1, 2, 1)] == [2]


def test_memory_formats_hold_the_same_numbers() -> None:
    [[last], *_] = batches(channels_last=True).epoch(1)
    [[first], *_] = batches(channels_last=False).epoch(1)
    assert torch.equal(last.images, first.images)
    assert last.images.is_contiguous(memory_format=torch.channels_last)
    assert first.images.is_contiguous()


@pytest.mark.parametrize(("processes", "accumulate"), [(1, 1), (2, 1), (2, 3), (3, 2)])
def test_bundles_stay_together(processes: int, accumulate: int) -> None:
    """Bundles of four, told by their order: the images 0, 10, 20, 30, then 1, 11, 21, 31, and so on."""
    pixels = PIXELS.clone()
    labels = torch.arange(50)
    order = (torch.arange(10)[:, None] + 10 * torch.arange(4)).repeat(2, 1)[:12]
    seen = []
    for process in range(processes):
        loader = TensorBatches(
            pixels, labels, lambda epoch: order, batch_size=16, seed=7, bundle=4,
            process=process, processes=processes, accumulate=accumulate,
        )  # fmt: skip
        assert len(loader) == 3  # 50 images are 12 bundles
        for parts in loader.epoch(1):
            assert all(len(part.step_labels) == 16 for part in parts)
            for part in parts:
                bundles = part.labels.view(-1, 4)
                assert torch.equal(bundles - bundles[:, :1], (10 * torch.arange(4)).expand_as(bundles))
                seen += bundles[:, 0].tolist()
    assert sorted(seen) == sorted(order[:, 0].tolist())
