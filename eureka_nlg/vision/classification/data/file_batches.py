"""Batches of image files, decoded and augmented by worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from eureka_nlg.errors import require
from eureka_nlg.vision.classification.data.lists import FileList
from eureka_nlg.vision.classification.data.tensor_batches import (
    NORMALIZATION,
    Batch,
    bundled_parts,
    step_range,
    steps_of,
)
from eureka_nlg.vision.data.order import seeds_of_images
from eureka_nlg.vision.data.pictures import read_picture
from eureka_nlg.vision.data.workers import (
    ErrorsAsItems,
    collate_or_error,
    leave_interrupts_to_the_parent,
    without_errors,
)

__all__ = [
    "FileBatches",
    "evaluation_batches",
    "evaluation_transform",
    "training_transform",
]

Item = tuple[int, int]
"""Index of an image and the seed of its augmentation."""


def training_transform(size: int, color_jitter: float = 0.0) -> Callable[[Any], Tensor]:
    """Pillow image -> ``[3, size, size]`` uint8, by random crop (8 to 100 % of the area), flip and jitter."""
    v2: Any = require("torchvision.transforms.v2", extra="vision")
    jitter = [v2.ColorJitter(color_jitter, color_jitter, color_jitter)] if color_jitter else []
    return v2.Compose(
        [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip(), *jitter, v2.PILToTensor()]
    )


def evaluation_transform(size: int) -> Callable[[Any], Tensor]:
    """Pillow image -> ``[3, size, size]`` uint8: the centre of the image, resized to 8/7 of ``size``."""
    v2: Any = require("torchvision.transforms.v2", extra="vision")
    return v2.Compose([v2.Resize(size * 8 // 7, antialias=True), v2.CenterCrop(size), v2.PILToTensor()])


class _Images(Dataset[tuple[Tensor, int]]):
    def __init__(self, files: FileList, transform: Callable[[Any], Tensor]) -> None:
        self.files = files
        self.transform = transform
        self.labels = files.labels.tolist()

    def __getitem__(self, item: Item) -> tuple[Tensor, int]:
        index, seed = item
        path = self.files.root / self.files.paths[index]
        image = read_picture(path)
        # The transforms draw from torch's global generator. Each image gets its own stream, and without
        # workers the state of the training process is not changed.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.transform(image), self.labels[index]


class _Schedule:
    """The batch sampler. Its items are replaced for each epoch, so that the workers need not restart."""

    def __init__(self) -> None:
        self.batches: list[list[Item]] = []

    def __iter__(self) -> Iterator[list[Item]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class FileBatches:
    """Training batches of image files, the counterpart of :class:`TensorBatches`.

    Args:
        files: the images.
        transform: Pillow image -> uint8 tensor; it may draw from torch's global generator.
        workers: number of processes that decode; 0 decodes in this process.
        order, batch_size, seed, bundle, stream, device, process, processes, accumulate, channels_last: as in
            :class:`TensorBatches`.
    """

    def __init__(
        self,
        files: FileList,
        transform: Callable[[Any], Tensor],
        order: Callable[[int], Tensor],
        *,
        batch_size: int,
        seed: int,
        workers: int,
        bundle: int = 1,
        stream: str = "",
        device: torch.device | str = "cpu",
        process: int = 0,
        processes: int = 1,
        accumulate: int = 1,
        channels_last: bool = True,
    ) -> None:
        self.count = len(files.paths)
        self._labels = files.labels
        self.order = order
        self.batch_size = batch_size
        self.bundle = bundle
        self.seed = seed
        self.stream = stream
        self.device = torch.device(device)
        self.process, self.processes, self.accumulate = process, processes, accumulate
        self.channels_last = channels_last
        self._schedule = _Schedule()
        self._loader = _loader(_Images(files, transform), self._schedule, workers, self.device)

    def __len__(self) -> int:
        """Number of steps of an epoch; a last batch with fewer bundles than processes is left out."""
        return steps_of(self.count, self.batch_size, self.bundle, self.processes)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[list[Batch]]:
        """The parts of each step of an epoch (counted from 1), from ``first_step`` (counted from 0) on."""
        order = self.order(epoch).flatten().tolist()
        seeds = seeds_of_images(len(order), self.seed, f"{self.stream}augmentation", epoch)
        batches: list[list[Item]] = []
        steps: list[tuple[Tensor, int]] = []  # for each batch the classes of its step and the number of parts
        for step in range(first_step, len(self)):
            positions = range(len(order))[step_range(step, self.batch_size, self.count, self.bundle)]
            parts = bundled_parts(len(positions), self.bundle, self.process, self.processes, self.accumulate)
            step_labels = self._labels[[order[position] for position in positions]]
            for part in parts:
                batches.append([(order[positions[i]], seeds[positions[i]]) for i in part.tolist()])
                steps.append((step_labels, len(parts)))
        self._schedule.batches = batches
        parts_of_step: list[Batch] = []
        for (pixels, labels), (step_labels, parts_in_step) in zip(without_errors(self._loader), steps):
            images = to_network(pixels, self.device, self.channels_last)
            labels, step_labels = (
                tensor.to(self.device, non_blocking=True) for tensor in (labels, step_labels)
            )
            parts_of_step.append(Batch(images, labels, step_labels))
            if len(parts_of_step) == parts_in_step:
                yield parts_of_step
                parts_of_step = []


def evaluation_batches(
    files: FileList, size: int, indices: Tensor, *, batch_size: int, workers: int, device: torch.device
) -> Iterator[Tensor]:
    """The images at ``indices``, in order: batches ``[B, 3, size, size]`` float32, normalised."""
    schedule = _Schedule()
    schedule.batches = [[(int(i), 0) for i in part] for part in indices.split(batch_size)]
    loader = _loader(_Images(files, evaluation_transform(size)), schedule, workers, device, persistent=False)
    for pixels, _ in without_errors(loader):
        yield to_network(pixels, device, channels_last=True)


def to_network(pixels: Tensor, device: torch.device, channels_last: bool) -> Tensor:
    """``[B, 3, H, W]`` uint8 -> float32, normalised, on the device; uint8 is transferred, to save time."""
    pixels = pixels.to(device, non_blocking=True)
    mean, deviation = (torch.tensor(v, device=device).view(3, 1, 1) for v in NORMALIZATION["imagenet"])
    images = (pixels / 255 - mean) / deviation
    return images.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _loader(
    images: _Images, schedule: _Schedule, workers: int, device: torch.device, persistent: bool = True
) -> Any:
    return DataLoader(
        ErrorsAsItems(images),
        batch_sampler=schedule,
        collate_fn=collate_or_error(default_collate),
        num_workers=workers,
        persistent_workers=persistent and workers > 0,
        pin_memory=device.type == "cuda",
        worker_init_fn=leave_interrupts_to_the_parent,
        # Otherwise the loader draws a seed from the global generator at the start of each epoch.
        generator=torch.Generator(),
    )
