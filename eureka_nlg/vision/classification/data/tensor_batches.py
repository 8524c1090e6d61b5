"""Batches of images that are kept in memory; a batch is cropped, flipped and normalised as one tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from eureka_nlg.vision.data.order import generator, own_parts

__all__ = ["Batch", "TensorBatches", "NORMALIZATION"]

# Mean and standard deviation of each channel, of CIFAR-10 (Cao et al. 2019 use them for CIFAR-100, too) and
# of ImageNet.
NORMALIZATION = {
    "cifar": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


class Batch(NamedTuple):
    """Images and their classes.

    Attributes:
        images: ``[B, 3, H, W]`` float32, normalised.
        labels: ``[B]`` int64.
        step_labels: ``[S]`` int64, classes of all images of the step, including other parts and processes,
            for the mean over the whole step.
    """

    images: Tensor
    labels: Tensor
    step_labels: Tensor


class TensorBatches:
    """Training batches of images in memory.

    The pixels are padded once and kept as ``[N, H, W, C]``; crop and flip are one gather, whose result is in
    channels-last memory format. What is drawn depends only on the seed, the epoch and the step.

    Args:
        pixels: ``[N, H, W, 3]`` uint8.
        labels: ``[N]`` int64.
        order: epoch -> indices of its images; with bundles ``[..., bundle]``, one in a row.
        batch_size: images of a step over all processes, a multiple of ``bundle``.
        bundle: images that stay together, one after the other, however a step is split.
        seed: of the augmentation.
        padding: pixels of black on each side, before an image is cropped to its own size.
        stream: name that keeps the augmentation of two streams of one run apart.
        device: where the pixels are kept and batches made.
        process, processes: which part of every batch is made here.
        accumulate: parts of a step.
        channels_last: memory format of the images.
    """

    def __init__(
        self,
        pixels: Tensor,
        labels: Tensor,
        order: Callable[[int], Tensor],
        *,
        batch_size: int,
        seed: int,
        padding: int = 4,
        bundle: int = 1,
        stream: str = "",
        device: torch.device | str = "cpu",
        process: int = 0,
        processes: int = 1,
        accumulate: int = 1,
        channels_last: bool = True,
    ) -> None:
        count, self.height, self.width, channels = pixels.shape
        padded = pixels.new_zeros(count, self.height + 2 * padding, self.width + 2 * padding, channels)
        padded[:, padding : padding + self.height, padding : padding + self.width] = pixels
        self.pixels = padded.to(device)
        self.labels = labels.to(device)
        self.order = order
        self.batch_size = batch_size
        self.bundle = bundle
        self.seed = seed
        self.padding = padding
        self.stream = stream
        self.device = torch.device(device)
        self.process, self.processes, self.accumulate = process, processes, accumulate
        self.channels_last = channels_last

    def __len__(self) -> int:
        """Number of steps of an epoch; a last batch with fewer bundles than processes is left out."""
        return steps_of(len(self.labels), self.batch_size, self.bundle, self.processes)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[list[Batch]]:
        """The parts of each step of an epoch (counted from 1), from ``first_step`` (counted from 0) on."""
        order = self.order(epoch).flatten()
        for step in range(first_step, len(self)):
            chosen = order[step_range(step, self.batch_size, len(self.labels), self.bundle)]
            source = generator(self.seed, f"{self.stream}crops", epoch, step)
            # Drawn for the whole batch, so that the images do not depend on the number of processes.
            corners = torch.randint(2 * self.padding + 1, (2, len(chosen)), generator=source)
            flips = torch.rand(len(chosen), generator=source) < 0.5
            step_labels = self.labels[chosen.to(self.device)]
            yield [
                Batch(*self._images(chosen[part], corners[:, part], flips[part]), step_labels)
                for part in bundled_parts(
                    len(chosen), self.bundle, self.process, self.processes, self.accumulate
                )
            ]

    def _images(self, chosen: Tensor, corners: Tensor, flips: Tensor) -> tuple[Tensor, Tensor]:
        rows = corners[0, :, None] + torch.arange(self.height)
        columns = torch.arange(self.width).expand(len(chosen), -1)
        columns = corners[1, :, None] + torch.where(flips[:, None], columns.flip(1), columns)
        chosen, rows, columns = (t.to(self.device, non_blocking=True) for t in (chosen, rows, columns))
        cropped = self.pixels[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
        images = normalized(cropped, "cifar")
        return images if self.channels_last else images.contiguous(), self.labels[chosen]


def steps_of(images: int, batch_size: int, bundle: int, processes: int) -> int:
    """Number of steps of an epoch; a last batch with fewer bundles than processes is left out."""
    whole, rest = divmod(images // bundle, batch_size // bundle)
    return whole + (rest >= processes)


def step_range(step: int, batch_size: int, images: int, bundle: int) -> slice:
    """The positions of a step's images in the order of its epoch."""
    return slice(step * batch_size, min((step + 1) * batch_size, images // bundle * bundle))


def bundled_parts(count: int, bundle: int, process: int, processes: int, accumulate: int) -> list[Tensor]:
    """Positions of the images of each part of this process, in a step of ``count`` images."""
    within = torch.arange(bundle)
    return [
        (bundle * part[:, None] + within).flatten()
        for part, _ in own_parts(count // bundle, process, processes, accumulate)
    ]


def normalized(pixels: Tensor, name: str) -> Tensor:
    """``[B, H, W, 3]`` uint8 -> ``[B, 3, H, W]`` float32 in channels-last memory, normalised."""
    mean, deviation = (torch.tensor(values, device=pixels.device) for values in NORMALIZATION[name])
    return ((pixels / 255 - mean) / deviation).permute(0, 3, 1, 2)
