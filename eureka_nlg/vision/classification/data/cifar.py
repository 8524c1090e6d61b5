"""CIFAR-10 and CIFAR-100, or data sets in the same format, as uint8 tensors in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eureka_nlg.datasets_cache import cache_dir
from eureka_nlg.errors import UserError, require
from eureka_nlg.vision.data.pictures import PictureError, read_picture
from eureka_nlg.vision.data.problems import described_problems, label_problems

__all__ = ["MemoryImages", "check_labels", "read_cifar"]

_IMAGE_COLUMNS = ("img", "image")
_LABEL_COLUMNS = ("label", "fine_label", "labels")
_TORCHVISION_FOLDERS = {"cifar-10-batches-py": "CIFAR10", "cifar-100-python": "CIFAR100"}


class MemoryImages:
    """Images of a split, of which some can be selected before decoding.

    Attributes:
        labels: ``[N]`` int64, classes of the images.
        name: name of the split in errors.
    """

    def __init__(self, labels: Tensor, rows: Any, name: str) -> None:
        self.labels = labels
        self.name = name
        self._rows = rows

    def pixels(self, indices: Tensor | None = None) -> Tensor:
        """The images at ``indices`` (default: all), ``[N, H, W, 3]`` uint8.

        Raises:
            UserError: images cannot be decoded or have different sizes; the message names the first ones.
        """
        chosen = range(len(self.labels)) if indices is None else indices.tolist()
        images, bad = [], []
        for index in chosen:
            try:
                images.append(self._rows(index))
            except PictureError as error:
                bad.append(f"row {index} ({error.reason})")
        if bad:
            named = ", ".join(bad[:5]) + (", ..." if len(bad) > 5 else "")
            raise UserError(f"{self.name}: {len(bad)} images cannot be read: {named}")
        shapes = {image.shape for image in images}
        if len(shapes) != 1:
            raise UserError(f"{self.name}: images of sizes {sorted(shapes)[:3]}, expected all of one size")
        return torch.from_numpy(np.stack(images))


def read_cifar(source: str) -> tuple[MemoryImages, MemoryImages]:
    """Open the training and the test split.

    Args:
        source: torchvision's folder (``cifar-10-batches-py`` or ``cifar-100-python``, or the one that holds
            it), a folder written by ``save_to_disk`` of datasets, a folder with ``train*.parquet`` and
            ``test*.parquet`` (or ``.arrow``), or a name on the Hugging Face hub.

    Raises:
        UserError: the source is none of these, or lacks the columns of images and labels.
    """
    path = Path(source)
    for folder, name in _TORCHVISION_FOLDERS.items():
        root = path.parent if path.name == folder else path
        if (root / folder).is_dir():
            return _torchvision_split(root, name, True), _torchvision_split(root, name, False)
    splits = _open_datasets(source, path)
    for split in ("train", "test"):
        if split not in splits:
            raise UserError(f"{source}: has the splits {', '.join(splits)}, expected train and test")
    return _datasets_split(splits["train"], f"{source} train"), _datasets_split(
        splits["test"], f"{source} test"
    )


def _torchvision_split(path: Path, name: str, train: bool) -> MemoryImages:
    torchvision_datasets = require("torchvision.datasets", extra="vision")
    data_set = getattr(torchvision_datasets, name)
    try:
        data = data_set(str(path), train=train)
    except RuntimeError as error:
        folder = path / data_set.base_folder
        raise UserError(
            f"{folder}: {name} is not complete: files are missing, or are not the published ones; unpack "
            f"{data_set.filename} in {path} again"
        ) from error
    images = data.data
    return MemoryImages(
        torch.tensor(data.targets), lambda index: images[index], f"{path} {'train' if train else 'test'}"
    )


def _open_datasets(source: str, path: Path) -> Any:
    datasets = require("datasets", extra="vision")
    datasets.disable_progress_bars()
    try:
        if not path.exists():
            if source.startswith(("/", ".", "~")) or source.count("/") > 1:
                raise UserError(f"{source}: no such folder; give data.source=FOLDER or a name on the hub")
            return datasets.load_dataset(source, cache_dir=cache_dir())
        if (path / "dataset_dict.json").is_file():
            return datasets.load_from_disk(str(path))
        for kind in ("parquet", "arrow"):
            files = {
                split: sorted(str(file) for file in path.rglob(f"{split}*.{kind}"))
                for split in ("train", "test")
            }
            if any(files.values()):
                files = {split: found for split, found in files.items() if found}
                return datasets.load_dataset(kind, data_files=files, cache_dir=cache_dir())
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{source}: cannot be loaded ({error}); give data.source=FOLDER of parquet files, of "
            "save_to_disk, or torchvision's"
        ) from error
    raise UserError(
        f"{source}: has neither train*.parquet, train*.arrow, dataset_dict.json nor one of "
        f"{', '.join(_TORCHVISION_FOLDERS)}; give data.source=FOLDER of one of these"
    )


def _datasets_split(split: Any, name: str) -> MemoryImages:
    datasets = require("datasets", extra="vision")
    columns = split.column_names
    image = next((column for column in _IMAGE_COLUMNS if column in columns), None)
    label = next((column for column in _LABEL_COLUMNS if column in columns), None)
    if image is None or label is None:
        raise UserError(
            f"{name}: has the columns {', '.join(columns)}, expected one of {', '.join(_IMAGE_COLUMNS)} and "
            f"one of {', '.join(_LABEL_COLUMNS)}"
        )
    numbers = np.asarray(split.with_format("numpy")[label][:])
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1:
        raise UserError(
            f"{name}: column {label} holds {numbers.dtype}, expected one whole number for each image"
        )
    encoded = split.select_columns([image])
    try:
        encoded = encoded.cast_column(image, datasets.Image(decode=False))
    except Exception as error:  # arrow raises different errors, depending on the column's type
        reason = str(error).splitlines()[0]
        raise UserError(f"{name}: column {image} cannot be read as images: {reason}") from error

    def pixels(index: int) -> Any:
        content, row = encoded[index][image], f"row {index}"
        if content is None or (content["bytes"] is None and content["path"] is None):
            raise PictureError(row, "no image")
        source = Path(content["path"]) if content["bytes"] is None else content["bytes"]
        return np.asarray(read_picture(source, row))

    return MemoryImages(torch.from_numpy(numbers.astype(np.int64)), pixels, name)


def check_labels(train: MemoryImages, test: MemoryImages) -> None:
    """Raise UserError if classes are negative or have no training images."""
    reports = [
        f"{split.name}: {described_problems(problems)}"
        for split, problems in (
            (train, label_problems(train.labels)),
            (test, label_problems(test.labels, train.labels)),
        )
        if problems
    ]
    if reports:
        raise UserError("; ".join(reports))
