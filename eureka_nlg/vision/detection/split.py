"""The images of a COCO-format split with their boxes, one at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from eureka_nlg.errors import UserError, require
from eureka_nlg.vision.data.pictures import read_picture
from eureka_nlg.vision.detection.instances import Instances

__all__ = ["CocoSplit"]


class CocoSplit(Dataset[tuple[Tensor, dict[str, Any]]]):
    """Images of a split with their boxes, in the format of torchvision's detectors.

    Crowds and boxes without area are left out of the targets; pycocotools reads crowds from the file.

    Attributes:
        annotations_path: the instances JSON.
        image_ids: ids of the images, in ascending order.
        file_names: paths of the images, relative to the folder.
        boxes: ``[M, 4]`` float32, left, top, right, bottom in pixels, grouped by image.
        labels: ``[M]`` int64.
        ends: ``[N]`` int64, the end of each image's boxes in ``boxes``.

    Args:
        instances: the annotations.
        root: folder of the images.
        rows: ``[N]`` indices of the images of the split, in ascending order; default: all.
    """

    def __init__(self, instances: Instances, root: Path, rows: Tensor | None = None) -> None:
        if rows is None:
            rows = torch.arange(len(instances.image_ids))
        kept = instances.has_area & ~instances.crowd & torch.isin(instances.images, rows)
        order = instances.images[kept].argsort(stable=True)
        counts = instances.images[kept].bincount(minlength=len(instances.image_ids))[rows]
        self.annotations_path = instances.path
        self.image_ids = [instances.image_ids[row] for row in rows.tolist()]
        self.file_names = [instances.file_names[row] for row in rows.tolist()]
        # Flat tensors: worker processes share their memory, but would gradually copy that of Python objects.
        self.boxes = instances.boxes[kept][order]
        self.labels = instances.labels[kept][order]
        self.ends = counts.cumsum(0)
        self._sizes = instances.sizes[rows]
        self._root = root

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Any]]:
        """Upright image ``[3, H, W]`` uint8; its ``boxes`` ``[n, 4]``, ``labels`` ``[n]`` and ``image_id``.

        Raises:
            UserError: the file cannot be read, or its size differs from that in the JSON.
        """
        path = self._root / self.file_names[index]
        functional = require("torchvision.transforms.v2.functional", extra="vision")
        pixels = functional.pil_to_tensor(read_picture(path))
        width, height = self._sizes[index].tolist()
        if pixels.shape[1:] != (height, width):
            raise UserError(
                f"{path}: {pixels.shape[2]} x {pixels.shape[1]} pixels, "
                f"expected {width} x {height} as in {self.annotations_path}"
            )
        first = int(self.ends[index - 1]) if index else 0
        own = slice(first, int(self.ends[index]))
        return pixels, {
            "boxes": self.boxes[own].clone(),
            "labels": self.labels[own].clone(),
            "image_id": self.image_ids[index],
        }
