"""Batches of image files: the same whoever reads them, from wherever they go on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eureka_nlg.errors import UserError
from eureka_nlg.vision.classification.data.file_batches import (
    FileBatches,
    evaluation_batches,
    training_transform,
)
from eureka_nlg.vision.classification.data.lists import FileList
from eureka_nlg.vision.data.order import generator

NORMAL_MEAN, NORMAL_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture
def files(tmp_path: Path) -> FileList:
    random = np.random.default_rng(0)
    modes = ["RGB", "L", "CMYK"]
    for number in range(11):
        image = Image.fromarray(random.integers(0, 255, (20, 24, 3)).astype(np.uint8))
        image.convert(modes[number % 3]).save(tmp_path / f"{number}.jpg")
    return FileList("list", tmp_path, [f"{number}.jpg" for number in range(11)], torch.arange(11))


def batches(files: FileList, workers: int = 0, **options: int) -> FileBatches:
    return FileBatches(
        files,
        training_transform(16, color_jitter=0.4),
        lambda epoch: torch.randperm(11, generator=generator(epoch)),
        batch_size=4,
        seed=1,
        workers=workers,
        **options,
    )


def test_workers_change_nothing(files: FileList) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    here = [batches(files).epoch(epoch) for epoch in (1, 2)]
    loader = batches(files, workers=2)
    for epoch, expected in zip((1, 2), here):
        count = 0
        for [mine], [theirs] in zip(expected, loader.epoch(epoch)):
            assert torch.equal(mine.images, theirs.images)
            assert torch.equal(mine.labels, theirs.labels)
            count += len(mine.labels)
        assert count == 11
    assert torch.equal(state, torch.get_rng_state())


def test_epochs_differ_and_go_on_in_their_middle(files: FileList) -> None:
    whole = list(batches(files).epoch(1))
    rest = list(batches(files).epoch(1, first_step=1))
    assert [len(step[0].labels) for step in whole] == [4, 4, 3]
    for [expected], [got] in zip(whole[1:], rest):
        assert torch.equal(expected.images, got.images)
    by_label = {int(label): image for [b] in whole for label, image in zip(b.labels, b.images)}
    again = {int(label): image for [b] in batches(files).epoch(2) for label, image in zip(b.labels, b.images)}
    assert by_label.keys() == again.keys() == set(range(11))
    assert not any(torch.equal(by_label[label], again[label]) for label in by_label)


def test_processes_and_parts_share_the_batch(files: FileList) -> None:
    whole = [batch for [batch] in batches(files).epoch(1)]
    parts = [list(batches(files, process=p, processes=2, accumulate=2).epoch(1)) for p in range(2)]
    for step, batch in enumerate(whole):
        own = [part for process in parts for part in process[step]]
        assert all(torch.equal(part.step_labels, batch.labels) for part in own)
        mean = sum(part.images.mean() * len(part.labels) for part in own) / len(batch.labels)
        torch.testing.assert_close(mean, batch.images.mean())


def test_evaluation_images_are_the_middle_in_order(files: FileList) -> None:
    indices = torch.tensor([3, 0, 9])
    got = torch.cat(
        list(evaluation_batches(files, 14, indices, batch_size=2, workers=0, device=torch.device("cpu")))
    )
    for image, index in zip(got, indices.tolist()):
        with Image.open(files.root / files.paths[index]) as opened:
            # 24 x 20 with a short side of 16 is 19 x 16, of which the middle 14 x 14
            small = opened.convert("RGB").resize((19, 16), Image.Resampling.BILINEAR)
        left = round((19 - 14) / 2)
        middle = np.asarray(small)[1:15, left : left + 14] / 255
        expected = (middle - NORMAL_MEAN) / NORMAL_DEVIATION
        torch.testing.assert_close(image, torch.from_numpy(expected).permute(2, 0, 1).float())


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_is_broken_later_is_one_line(files: FileList, workers: int) -> None:
    """From a worker process too, whose traceback would stand in the message."""
    (files.root / "4.jpg").write_bytes(b"no image")
    with pytest.raises(UserError) as caught:
        list(batches(files, workers=workers).epoch(1))
    assert str(caught.value) == f"{files.root / '4.jpg'}: cannot be read: cannot identify image file '4.jpg'"
    with pytest.raises(UserError, match="cannot be read"):
        list(
            evaluation_batches(
                files, 14, torch.tensor([4]), batch_size=1, workers=workers, device=torch.device("cpu")
            )
        )
