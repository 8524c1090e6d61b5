"""A small made data set in the layout of CIFAR, and configs that train on it in seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate")
datasets = pytest.importorskip("datasets")

MakeConfig = Callable[..., Any]


def made_split(images_per_class: int, seed: int, side: int = 8) -> Any:
    """Noise around the colour of the class, which crops and flips leave alone."""
    colours = np.array([[190, 90, 90], [90, 190, 90], [90, 90, 190], [140, 140, 140]])
    random = np.random.default_rng(seed)
    images, labels = [], []
    for index in range(len(colours) * images_per_class):
        label = index % len(colours)
        image = random.normal(colours[label], 60, (side, side, 3))
        images.append(image.clip(0, 255).astype(np.uint8))
        labels.append(label)
    features = datasets.Features(
        {
            "img": datasets.Image(),
            "label": datasets.ClassLabel(names=[f"class {i}" for i in range(len(colours))]),
        }
    )
    from PIL import Image

    return datasets.Dataset.from_dict(
        {"img": [Image.fromarray(image) for image in images], "label": labels}, features=features
    )


@pytest.fixture(scope="session")
def cifar_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of ``save_to_disk``: 4 classes, 24 training and 10 test images of each, 8 x 8 pixels."""
    folder = tmp_path_factory.mktemp("cifar_like") / "data"
    datasets.DatasetDict(train=made_split(24, seed=1), test=made_split(10, seed=2)).save_to_disk(str(folder))
    return folder


@pytest.fixture
def overrides(run_options: Callable[[Path], list[str]], tmp_path: Path) -> list[str]:
    """Options of a run of two epochs of four steps."""
    return run_options(tmp_path / "run")


@pytest.fixture(scope="session")
def run_options(cifar_like: Path) -> Callable[[Path], list[str]]:
    """Folder of a run -> its options."""
    return lambda folder: [
        f"data.source={cifar_like}",
        "data.imbalance_degree=4",  # 24, 15, 9, 6 images
        "training.epochs=2",
        "training.batch_size=16",
        "training.warmup_epochs=1",
        "training.milestones=[1]",
        "training.precision=float32",
        "training.device=cpu",
        f"save_dir={folder}",
    ]


@pytest.fixture
def make_config(overrides: list[str], tmp_path: Path) -> MakeConfig:
    """Config with the given options on top of :func:`overrides`."""
    from eureka_nlg.vision.classification.config import Config
    from eureka_nlg.vision.config_file import read_config

    empty = tmp_path / "empty.yaml"
    empty.write_text("")

    def make(*options: str) -> Any:
        return read_config(Config, empty, [*overrides, *options])

    return make


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Sums in the same order, and no fight for the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
