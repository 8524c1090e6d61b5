"""Training batches of images with boxes, read by worker processes, from an endless shuffled stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from eureka_nlg.errors import UserError
from eureka_nlg.vision.data.order import generator, own_parts
from eureka_nlg.vision.data.workers import (
    ErrorsAsItems,
    collate_or_error,
    leave_interrupts_to_the_parent,
    without_errors,
)
from eureka_nlg.vision.detection.split import CocoSplit

__all__ = ["DetectionBatches", "DetectionPart"]

Item = tuple[int, bool]
"""Index of an image and whether it is mirrored."""

Example = tuple[Tensor, dict[str, Any]]


@dataclass
class DetectionPart:
    """Images of a part of a step.

    Attributes:
        images: ``[3, H, W]`` uint8 each, of different sizes.
        targets: for each image ``boxes`` ``[n, 4]`` float32 (left, top, right, bottom in pixels), ``labels``
            ``[n]`` int64 and ``image_id``; n may be 0.
        share: share of the images of the step, over all parts and processes.
    """

    images: list[Tensor]
    targets: list[dict[str, Any]]
    share: float


class DetectionBatches:
    """Batches from an endless stream: the training images, in a new order for every pass over them.

    The n-th image of the stream and whether it is mirrored depend only on the seed and n, not on the numbers
    of workers and processes or on resuming. An epoch is a number of steps and need not end with a pass.

    Args:
        split: the training images.
        batch_size: number of images of a step over all processes.
        seed: seed of the order and of the flips.
        steps_per_epoch: number of steps that :meth:`epoch` yields.
        flip: probability that an image is mirrored.
        workers: number of processes that read images; 0 reads in this process.
        process, processes: index of this process, and the number of processes.
        accumulate: number of parts of a step.
        pin_memory: whether the images are in pinned memory, for a GPU.

    Raises:
        UserError: a step has fewer images than there are processes; or, from :meth:`epoch`, an image cannot
            be read.
    """

    def __init__(
        self,
        split: CocoSplit,
        *,
        batch_size: int,
        seed: int,
        steps_per_epoch: int,
        flip: float = 0.5,
        workers: int = 0,
        process: int = 0,
        processes: int = 1,
        accumulate: int = 1,
        pin_memory: bool = False,
    ) -> None:
        if batch_size < processes:
            raise UserError(
                f"training.batch_size: {batch_size}, expected one image or more for each of the "
                f"{processes} processes"
            )
        self.batch_size = batch_size
        self.seed = seed
        self.steps_per_epoch = steps_per_epoch
        self.flip = flip
        self.process, self.processes, self.accumulate = process, processes, accumulate
        self._count = len(split)
        self._pass = lru_cache(maxsize=2)(self._draw_pass)  # a batch may be in two passes
        # Replaced for each epoch, so that the workers need not restart.
        self._schedule: list[list[Item]] = []
        self._loader = DataLoader(
            ErrorsAsItems(_MirroredImages(split)),
            batch_sampler=self._schedule,
            collate_fn=collate_or_error(_unzipped),
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            worker_init_fn=leave_interrupts_to_the_parent,
            # Otherwise the loader draws a seed from the global generator at the start of each epoch.
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        """Number of steps of an epoch."""
        return self.steps_per_epoch

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[list[DetectionPart]]:
        """The parts of each step of an epoch (counted from 1), from ``first_step`` (counted from 0) on."""
        parts = own_parts(self.batch_size, self.process, self.processes, self.accumulate)
        start = (epoch - 1) * self.steps_per_epoch * self.batch_size
        self._schedule[:] = [
            [self.item(start + step * self.batch_size + position) for position in positions.tolist()]
            for step in range(first_step, self.steps_per_epoch)
            for positions, _ in parts
        ]
        step: list[DetectionPart] = []
        for images, targets in without_errors(self._loader):
            step.append(DetectionPart(images, targets, parts[len(step)][1]))
            if len(step) == len(parts):
                yield step
                step = []

    def item(self, number: int) -> Item:
        """Index of an image of the stream, counted from 0, and whether it is mirrored."""
        order, mirrored = self._pass(number // self._count)
        position = number % self._count
        return order[position], mirrored[position]

    def _draw_pass(self, number: int) -> tuple[list[int], list[bool]]:
        order = torch.randperm(self._count, generator=generator(self.seed, "order", number))
        drawn = torch.rand(self._count, generator=generator(self.seed, "flips", number))
        return order.tolist(), (drawn < self.flip).tolist()


class _MirroredImages(Dataset[Example]):
    def __init__(self, split: CocoSplit) -> None:
        self.split = split

    def __getitem__(self, item: Item) -> Example:
        index, mirrored = item
        image, target = self.split[index]
        if mirrored:
            left, top, right, bottom = target["boxes"].unbind(1)
            width = image.shape[2]
            image = image.flip(2)
            target["boxes"] = torch.stack([width - right, top, width - left, bottom], dim=1)
        return image, target


def _unzipped(examples: list[Example]) -> tuple[list[Tensor], list[dict[str, Any]]]:
    return [image for image, _ in examples], [target for _, target in examples]
