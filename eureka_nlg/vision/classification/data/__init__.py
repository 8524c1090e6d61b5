"""The images of a config: training images with class counts, evaluation images, and batches of both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from eureka_nlg.vision.classification.config import DataConfig
from eureka_nlg.vision.classification.data.check import check_lists
from eureka_nlg.vision.classification.data.cifar import check_labels, read_cifar
from eureka_nlg.vision.classification.data.file_batches import (
    FileBatches,
    evaluation_batches,
    training_transform,
)
from eureka_nlg.vision.classification.data.lists import (
    FileList,
    read_image_folder,
    read_inaturalist,
    read_list,
)
from eureka_nlg.vision.classification.data.long_tail import choose_images, class_sizes
from eureka_nlg.vision.classification.data.tensor_batches import Batch, TensorBatches, normalized
from eureka_nlg.vision.data.order import Draw, epoch_order
from eureka_nlg.vision.data.problems import check_there

__all__ = ["Batch", "Batches", "BatchOptions", "ImageData", "load_data"]


class Batches(Protocol):
    """Training batches: ``TensorBatches`` or ``FileBatches``."""

    def __len__(self) -> int: ...

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[list[Batch]]: ...


@dataclass
class BatchOptions:
    """Options that all streams of training batches of a run share; see :class:`TensorBatches`."""

    batch_size: int
    seed: int
    device: torch.device
    process: int = 0
    processes: int = 1
    accumulate: int = 1
    channels_last: bool = True
    bundle: int = 1


class ImageData:
    """Training and evaluation images of a config.

    Attributes:
        class_counts: ``[C]`` training images of each class.
        train_labels, labels: classes of the training images and of the evaluation images.
        signature: digest of the training images (of their paths, if they are files) and of their classes.
    """

    def __init__(
        self,
        config: DataConfig,
        train: FileList | tuple[Tensor, Tensor],
        evaluation: FileList | tuple[Tensor, Tensor],
    ) -> None:
        self._config = config
        self._train, self._evaluation = train, evaluation
        self.train_labels = train.labels if isinstance(train, FileList) else train[1]
        self.labels = evaluation.labels if isinstance(evaluation, FileList) else evaluation[1]
        self.class_counts = torch.bincount(self.train_labels)
        digest = hashlib.sha256(self.train_labels.numpy().tobytes())
        digest.update(
            "\n".join(train.paths).encode() if isinstance(train, FileList) else train[0].numpy().data
        )
        self.signature = digest.hexdigest()

    def batches(self, draw: Callable[[int], Draw], options: BatchOptions, stream: str = "") -> Batches:
        """Training batches; ``draw`` returns for each epoch how its images are drawn."""
        return self.ordered_batches(
            lambda epoch: epoch_order(self.train_labels, draw(epoch), options.seed, epoch, f"{stream}order"),
            options,
            stream,
        )

    def ordered_batches(
        self, order: Callable[[int], Tensor], options: BatchOptions, stream: str = ""
    ) -> Batches:
        """Training batches; ``order`` returns for each epoch the indices of its images, in bundles."""
        if isinstance(self._train, FileList):
            config = self._config
            transform = training_transform(config.image_size, config.color_jitter)
            return FileBatches(
                self._train, transform, order, workers=config.workers, stream=stream, **vars(options)
            )
        return TensorBatches(*self._train, order, stream=stream, **vars(options))

    def plain_images(
        self, indices: Tensor, batch_size: int, device: torch.device, training: bool = False
    ) -> Iterator[Tensor]:
        """The images at ``indices`` of the evaluation or training split, in order, without augmentation."""
        images = self._train if training else self._evaluation
        if isinstance(images, FileList):
            config = self._config
            yield from evaluation_batches(
                images,
                config.image_size,
                indices,
                batch_size=batch_size,
                workers=config.workers,
                device=device,
            )
        else:
            for part in indices.split(batch_size):
                yield normalized(images[0][part].to(device), "cifar")


_GIVEN = {
    "lists": ("file", "give data.train=LIST data.evaluation=LIST data.source=IMAGES"),
    "inaturalist": ("file", "give data.train=JSON data.evaluation=JSON data.source=IMAGES"),
    "image_folder": (
        "folder",
        "give data.source=FOLDER, and the names of folders in it: data.train=train data.evaluation=val",
    ),
}
"""For each format: what holds the images of a split, and which options name it."""


def load_data(
    config: DataConfig, tell: bool = True, counted: Callable[[int], None] = lambda images: None
) -> ImageData:
    """Read and check the lists of images, and load images that are kept in memory.

    Args:
        config: the options.
        tell: whether to log warnings; False in all processes but the first.
        counted: called with the number of training images before image files are opened.

    Raises:
        UserError: the data have problems; one message describes all of them.
    """
    if config.format == "cifar":
        train, test = read_cifar(config.source)
        check_labels(train, test)
        counts = torch.bincount(train.labels)
        sizes = counts.tolist()
        if config.profile != "full":
            sizes = class_sizes(max(sizes), len(sizes), config.imbalance_degree, config.profile)
        chosen = choose_images(train.labels, sizes, config.choice_seed)
        counted(len(chosen))
        return ImageData(config, (train.pixels(chosen), train.labels[chosen]), (test.pixels(), test.labels))
    root = Path(config.source)
    below = root if config.format == "image_folder" else Path()
    thing, remedy = _GIVEN[config.format]
    check_there((below / config.train, below / config.evaluation), thing, remedy)
    if config.format == "image_folder":
        training, classes = read_image_folder(root / config.train)
        evaluation, _ = read_image_folder(root / config.evaluation, classes)
    else:
        read = read_list if config.format == "lists" else read_inaturalist
        training, evaluation = read(Path(config.train), root), read(Path(config.evaluation), root)
    counted(len(training.paths))
    check_lists([training, evaluation], decode=config.check == "decode", tell=tell)
    return ImageData(config, training, evaluation)
