"""Lists and annotations of images, and images."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

from targets.base import One, Target, file_target, mutated_bytes, mutated_json

__all__ = ["TARGETS"]

_LIST = ("a/b.jpg 0\na/c d.jpg 1\nx.png 12\n", "\ufeffa.jpg 3\r\n")
_LIST_WORDS = (
    *" \n\t\0.-0129/",
    "../../hacked",
    "/hacked",
    "²",
    "٣",
    "2000000000",
    "9" * 5000,
    "é",
    "\ufeff",
    "1e3",
)
_INATURALIST: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
    "annotations": [{"image_id": 1, "category_id": 0}, {"image_id": 2, "category_id": 3}],
    "categories": [{"id": 0, "name": "x"}],
}
_COCO: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 10], "area": 100, "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 3, "bbox": [0, 0, 39.5, 5], "area": 50, "iscrowd": 1},
    ],
    "categories": [{"id": 1, "name": "x"}, {"id": 3, "name": "y"}],
}


def _listed(path: Path) -> None:
    from eureka_nlg.vision.classification.data.lists import read_list, repeated_images
    from eureka_nlg.vision.data.problems import described_problems, label_problems

    files = read_list(path, Path("images"))
    described_problems({**files.problems, **label_problems(files.labels)})
    repeated_images(files, files)


def _inaturalist(path: Path) -> None:
    from eureka_nlg.vision.classification.data.lists import read_inaturalist, repeated_images
    from eureka_nlg.vision.data.problems import described_problems, label_problems

    files = read_inaturalist(path, Path("images"))
    described_problems({**files.problems, **label_problems(files.labels)})
    repeated_images(files)


def _instances(path: Path) -> None:
    from eureka_nlg.vision.data.problems import described_problems
    from eureka_nlg.vision.detection.instances import read_instances

    for clip in (False, True):
        described_problems(read_instances(path, evaluation=not clip, clip=clip).problems)


def _pictures(folder: Path) -> One:
    import numpy as np
    from PIL import Image

    from eureka_nlg.vision.data.pictures import picture_problem, read_picture

    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (9, 7, 3)).astype(np.uint8)
    seeds = []
    for kind, mode in (
        ("PNG", "RGB"),
        ("JPEG", "L"),
        ("GIF", "P"),
        ("TIFF", "RGB"),
        ("BMP", "RGB"),
        ("WEBP", "RGB"),
    ):
        buffer = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(buffer, kind)
        seeds.append(buffer.getvalue())

    def one(pick: random.Random) -> object:
        path = Path.cwd() / "input.png"
        path.write_bytes(mutated_bytes(pick, seeds, ["\0", "\x7f\x7f\x7f\x7f", "Exif\0\0", "IHDR"]))
        picture_problem(path, decode=pick.random() < 0.5)
        return read_picture(path)

    return one


TARGETS = [
    file_target(
        "image list",
        "path and label lines",
        100,
        40,
        lambda pick: mutated_bytes(pick, _LIST, _LIST_WORDS),
        _listed,
    ),
    file_target(
        "iNaturalist", "its annotations", 30, 40, lambda pick: mutated_json(pick, _INATURALIST), _inaturalist
    ),
    file_target("COCO", "instances of COCO", 30, 80, lambda pick: mutated_json(pick, _COCO), _instances),
    Target("images", "image files", 20, 60, _pictures),
]
