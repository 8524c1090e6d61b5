"""A small drawn data set in COCO's format, and hand-made ones that say exactly what is in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pycocotools")

from PIL import Image

from coco_shapes.data_set import draw_data_set
from eureka_nlg.vision.detection.config import DetectionDataConfig

WriteSplit = Callable[..., Path]


@pytest.fixture(scope="session")
def shapes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with 40 training and 20 evaluation images of at most 64 pixels, 3 objects each on average."""
    folder = tmp_path_factory.mktemp("shapes") / "shapes"
    draw_data_set(folder, train=40, evaluation=20, size=64, objects=3, imbalance=10, seed=3)
    return folder


@pytest.fixture(scope="session")
def shapes_config(shapes_folder: Path) -> DetectionDataConfig:
    """The options that read :func:`shapes_folder`, without workers."""
    annotations = shapes_folder / "annotations"
    return DetectionDataConfig(
        train_images=str(shapes_folder / "train"),
        train_annotations=str(annotations / "instances_train.json"),
        evaluation_images=str(shapes_folder / "evaluation"),
        evaluation_annotations=str(annotations / "instances_evaluation.json"),
        min_size=64,
        max_size=64,
        workers=0,
    )


@pytest.fixture
def write_split(tmp_path: Path) -> WriteSplit:
    """Write an instances JSON, and a grey image of the stated size for each entry that has one."""

    def write(name: str, images: list[Any], annotations: list[Any], categories: list[Any]) -> Path:
        (tmp_path / name).mkdir(exist_ok=True)
        for image in images:
            if isinstance(image, dict) and isinstance(image.get("width"), int) and image.get("file_name"):
                shade = np.full((image["height"], image["width"], 3), 90, np.uint8)
                Image.fromarray(shade).save(tmp_path / name / image["file_name"])
        path = tmp_path / f"{name}.json"
        content = {"images": images, "annotations": annotations, "categories": categories}
        path.write_text(json.dumps(content))
        return path

    return write
