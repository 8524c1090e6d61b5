"""A small data set in COCO's format: long-tailed shapes, with crowds and empty images among them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np

from coco_shapes.shapes import SHAPES, Array, DrawnObject, draw_image
from eureka_nlg.errors import UserError, require
from eureka_nlg.files import new_folder, write_lines

__all__ = ["CATEGORY_IDS", "class_counts", "draw_data_set"]

CATEGORY_IDS = (1, 2, 4, 7, 8, 13)
"""With gaps, as COCO's."""

Profile = Literal["long_tailed", "balanced"]

_EMPTY_SHARE = _CROWD_SHARE = 0.05
_LEAST_IMAGES = 10


def class_counts(total: int, profile: Profile, imbalance: float) -> list[int]:
    """Objects of each class, falling exponentially or all the same, ``total`` together.

    Args:
        total: objects.
        profile: how they are divided.
        imbalance: objects of the commonest class over those of the rarest, before rounding.

    Raises:
        UserError: the rarest class would have none.

    >>> class_counts(630, "long_tailed", 32)
    [320, 160, 80, 40, 20, 10]
    """
    last = len(SHAPES) - 1
    shares = [1.0 if profile == "balanced" else imbalance ** (-i / last) for i in range(last + 1)]
    bounds = np.cumsum([0.0, *shares]) / sum(shares) * total
    counts = np.diff(bounds.round().astype(int)).tolist()
    if min(counts) < 1:
        raise UserError(f"{total} objects at an imbalance of {imbalance:g} leave none of the rarest shape")
    return counts


def draw_data_set(
    out: Path,
    *,
    train: int = 400,
    evaluation: int = 200,
    size: int = 128,
    objects: int = 4,
    imbalance: float = 30.0,
    evaluation_profile: Profile = "balanced",
    seed: int = 1,
) -> dict[str, list[int]]:
    """Draw ``train/``, ``evaluation/`` and ``annotations/instances_{train,evaluation}.json``.

    One image in twenty is empty; one in twenty has a crowd of a common shape, which counts for no class. The
    same arguments give the same bytes with the same numpy and Pillow.

    Args:
        out: folder to make.
        train: training images, long-tailed over the shapes.
        evaluation: images to evaluate on.
        size: longer side of an image in pixels.
        objects: mean objects of an image.
        imbalance: objects of the commonest shape over those of the rarest.
        evaluation_profile: ``balanced``, so that the rarest shape's AP rests on more than a few objects, or
            ``long_tailed`` as for training.
        seed: of every choice.

    Returns:
        Split -> objects of each class.

    Raises:
        UserError: the folder exists, too few images, or no room for the objects.
    """
    if out.exists():
        raise UserError(f"{out}: exists already: give another folder, or remove it")
    for name, value, least in (
        ("train", train, _LEAST_IMAGES),
        ("evaluation", evaluation, _LEAST_IMAGES),
        ("size", size, 48),
        ("objects", objects, 1),
        ("imbalance", imbalance, 1),
        ("seed", seed, 0),
    ):
        if not value >= least:
            raise UserError(f"{name}: {value:g}, expected {least} or more")
    plan: dict[str, tuple[int, Profile]] = {
        "train": (train, "long_tailed"),
        "evaluation": (evaluation, evaluation_profile),
    }
    counts = {
        split: class_counts(images * objects, profile, imbalance) for split, (images, profile) in plan.items()
    }
    with new_folder(out) as folder:
        (folder / "annotations").mkdir()
        for number, (split, (images, _)) in enumerate(plan.items()):
            (folder / split).mkdir()
            content = _draw_split(folder / split, images, counts[split], size, [seed, number])
            text = json.dumps(content, separators=(",", ":"))
            write_lines(folder / "annotations" / f"instances_{split}.json", [text])
    return counts


def _draw_split(folder: Path, number: int, counts: list[int], size: int, seed: list[int]) -> dict[str, Any]:
    """Draw the images, and return the instances JSON."""
    image_module = require("PIL.Image", extra="vision")
    random = np.random.default_rng(seed)
    ids = np.cumsum(random.integers(1, 10, number)).tolist()
    rest = random.permutation(number)[math.ceil(_EMPTY_SHARE * number) :]  # those that are not empty
    crowded = set(random.permutation(rest)[: math.ceil(_CROWD_SHARE * number)].tolist())
    labels_of = _deal(random, rest, counts)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, image_id in enumerate(ids):
        own = np.random.default_rng([*seed, index])
        # Training takes a crowd for ground: one of rare shapes would unteach them.
        crowd = int(own.integers(2))
        pixels, drawn = draw_image(own, labels_of.get(index, []), size, crowd if index in crowded else None)
        name = f"{image_id:012d}.png"
        image_module.fromarray(pixels).save(folder / name)
        images.append(
            {"id": image_id, "file_name": name, "width": pixels.shape[1], "height": pixels.shape[0]}
        )
        for item in drawn:
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **_annotation(item)})
    categories = [
        {"id": number, "name": name, "supercategory": "shape"} for number, name in zip(CATEGORY_IDS, SHAPES)
    ]
    return {
        "info": {"description": "Shapes on textured ground"},
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def _deal(random: np.random.Generator, images: Array, counts: list[int]) -> dict[int, list[int]]:
    """Labels of each of the images: one at least, twice the mean at most."""
    labels = random.permutation(np.repeat(np.arange(len(counts)), counts))
    most = 2 * math.ceil(len(labels) / len(images))
    further = random.permutation(np.repeat(images, most - 1))[: len(labels) - len(images)]
    dealt: dict[int, list[int]] = {}
    for index, label in zip([*images.tolist(), *further.tolist()], labels.tolist()):
        dealt.setdefault(index, []).append(label)
    return dealt


def _annotation(item: DrawnObject) -> dict[str, Any]:
    rows, columns = (np.flatnonzero(item.mask.any(axis=axis)) for axis in (1, 0))
    left, top = int(columns[0]), int(rows[0])
    return {
        "category_id": CATEGORY_IDS[item.label],
        "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
        "area": int(item.mask.sum()),
        "iscrowd": int(item.crowd),
        "segmentation": {"size": list(item.mask.shape), "counts": _run_lengths(item.mask)},
    }


def _run_lengths(mask: Array) -> list[int]:
    """COCO's runs: down the columns, of pixels outside and inside in turn, outside first."""
    flat = mask.ravel(order="F")
    runs: list[int] = np.diff([0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1), flat.size]).tolist()
    return [0, *runs] if flat[0] else runs
