"""A reader of instances JSON in COCO's format, into flat arrays and a list of problems."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eureka_nlg.errors import UserError
from eureka_nlg.files import read_json

__all__ = ["Categories", "Instances", "read_instances"]

_TOLERANCE = 1.0
"""Pixels that a box may exceed its image: annotation tools round, and some count the last pixel twice."""

_LEAST_SIDE = 0.01
"""Pixels below which a side counts as zero; COCO writes two decimals."""


_Fields = dict[str, Callable[[Any], bool]]


@dataclass(frozen=True)
class Categories:
    """The classes of a data set; label ``k``, counted from 0, is the category ``ids[k]``.

    Labels have no gaps, unlike COCO's ids, which are between 1 and 90.

    Attributes:
        ids: ids in the JSON, in ascending order.
        names: names of the same classes.
    """

    ids: list[int]
    names: list[str]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Instances:
    """Images and boxes of a split; images in ascending order of their ids, boxes in the order of the file.

    Attributes:
        path: the JSON file.
        categories: its classes.
        image_ids: N ids.
        file_names: N paths, relative to the folder of the images.
        sizes: ``[N, 2]`` int64, width and height.
        images: ``[M]`` int64, index of each box's image.
        boxes: ``[M, 4]`` float32, left, top, right, bottom in pixels, clipped to the image.
        labels: ``[M]`` int64.
        crowd: ``[M]`` bool.
        has_area: ``[M]`` bool; False if the clipped box has no area.
        problems: kind of problem -> examples.
    """

    path: Path
    categories: Categories
    image_ids: list[int]
    file_names: list[str]
    sizes: Tensor
    images: Tensor
    boxes: Tensor
    labels: Tensor
    crowd: Tensor
    has_area: Tensor
    problems: dict[str, list[str]]


def read_instances(path: Path, *, evaluation: bool = False, clip: bool = False) -> Instances:
    """Read the images, boxes and categories of an instances JSON.

    An entry that cannot be used is left out and listed among the problems.

    Args:
        path: the JSON.
        evaluation: whether pycocotools will evaluate on it. It reads ``area`` and ``iscrowd`` of annotations,
            and uses the id 0 for "no match".
        clip: whether to accept boxes that exceed their image or have no area.

    Returns:
        The split.

    Raises:
        UserError: the file cannot be read, or is not an instances JSON.
    """
    content = _content(path)
    problems: defaultdict[str, list[str]] = defaultdict(list)
    categories = _categories(content["categories"], problems)
    images = _images(content["images"], problems)
    index_of = {image["id"]: index for index, image in enumerate(images)}
    label_of = {category: label for label, category in enumerate(categories.ids)}
    kept = _annotations(content["annotations"], index_of, label_of, evaluation, problems)
    sizes = torch.tensor([(image["width"], image["height"]) for image in images]).view(-1, 2)
    image_of = torch.tensor([index_of[entry["image_id"]] for entry in kept], dtype=torch.int64)
    given = torch.tensor([entry["bbox"] for entry in kept], dtype=torch.float64).view(-1, 4)
    if len(given) and given.max() <= 1 and sizes.min() > 1:
        problems["boxes in shares of the image's sides, expected pixels"] = [
            f"annotation {entry['id']} ({entry['bbox']})" for entry in kept
        ]
    boxes, outside, has_area = _cut(given, sizes[image_of])
    if not clip:
        for kind, wrong in (("boxes outside their image", outside), ("boxes without area", ~has_area)):
            for row in wrong.nonzero().flatten().tolist():
                image = images[image_of[row]]
                problems[f"{kind} (data.invalid_boxes=clip cuts them, and drops what has no area)"].append(
                    f"annotation {kept[row]['id']} ({kept[row]['bbox']} in {image['file_name']} of "
                    f"{image['width']} x {image['height']})"
                )
    return Instances(
        path=path,
        categories=categories,
        image_ids=[image["id"] for image in images],
        file_names=[image["file_name"] for image in images],
        sizes=sizes,
        images=image_of,
        boxes=boxes,
        labels=torch.tensor([label_of[entry["category_id"]] for entry in kept], dtype=torch.int64),
        crowd=torch.tensor([bool(entry.get("iscrowd", 0)) for entry in kept], dtype=torch.bool),
        has_area=has_area,
        problems=dict(problems),
    )


def _content(path: Path) -> dict[str, list[Any]]:
    expected = "expected a COCO instances JSON: lists of images, annotations and categories"
    try:
        content = read_json(path)
    except UserError as error:
        raise UserError(f"{error}; {expected}") from error
    lists = ("images", "annotations", "categories")
    lacking = [key for key in lists if not (isinstance(content, dict) and isinstance(content.get(key), list))]
    if lacking:
        raise UserError(f"{path}: has no list of {' and of '.join(lacking)}; {expected}")
    return content


def _categories(entries: list[Any], problems: dict[str, list[str]]) -> Categories:
    name_of: dict[int, str] = {}
    for position, entry in enumerate(entries):
        bad = _bad_fields(entry, {"id": _whole, "name": _text})
        if bad:
            problems[_MALFORMED.format("categories")].append(f"number {position + 1} ({bad})")
        elif entry["id"] in name_of:
            problems["category ids that occur twice"].append(
                f"{entry['id']} ({name_of[entry['id']]}, {entry['name']})"
            )
        elif entry["name"] in name_of.values():
            problems["category names that occur twice"].append(entry["name"])
            name_of[entry["id"]] = entry["name"]
        else:
            name_of[entry["id"]] = entry["name"]
    return Categories(sorted(name_of), [name_of[number] for number in sorted(name_of)])


def _images(entries: list[Any], problems: dict[str, list[str]]) -> list[dict[str, Any]]:
    by_id: dict[int, dict[str, Any]] = {}
    fields: _Fields = {"id": _whole, "file_name": _text, "width": _pixels, "height": _pixels}
    for position, entry in enumerate(entries):
        bad = _bad_fields(entry, fields)
        if bad:
            problems[_MALFORMED.format("images")].append(f"{_named(entry, position)} ({bad})")
        elif entry["id"] in by_id:
            problems["image ids that occur twice"].append(str(entry["id"]))
        else:
            # some tools write 640 as 640.0
            by_id[entry["id"]] = {**entry, "width": int(entry["width"]), "height": int(entry["height"])}
    return [by_id[number] for number in sorted(by_id)]


def _annotations(
    entries: list[Any],
    index_of: dict[int, int],
    label_of: dict[int, int],
    evaluation: bool,
    problems: dict[str, list[str]],
) -> list[dict[str, Any]]:
    """The annotations that have an image, a category and a box."""
    optional = _OPTIONAL_FIELDS if evaluation else {}
    kept: list[dict[str, Any]] = []
    seen: set[int] = set()
    for position, entry in enumerate(entries):
        bad = _bad_fields(entry, _FIELDS, optional)
        if bad:
            problems[_MALFORMED.format("annotations")].append(f"{_named(entry, position)} ({bad})")
            continue
        number = entry["id"]
        if number in seen:
            problems["annotation ids that occur twice"].append(str(number))
        seen.add(number)
        unknown_image = entry["image_id"] not in index_of
        if unknown_image:
            problems["annotations of an image that is not listed"].append(
                f"annotation {number} (image_id {entry['image_id']})"
            )
        if entry["category_id"] not in label_of:
            problems["annotations of a category that is not listed"].append(
                f"annotation {number} (category_id {entry['category_id']})"
            )
        elif not unknown_image:
            kept.append(entry)
    if evaluation and 0 in seen:
        problems["annotation with id 0, whose detections pycocotools counts as wrong (count from 1)"] = ["0"]
    return kept


def _cut(given: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``[M, 4]`` left, top, width, height -> clipped corners; which exceed the image; which have an area."""
    corners = torch.cat([given[:, :2], given[:, :2] + given[:, 2:]], dim=1)
    limits = sizes.repeat(1, 2).double()
    outside = ((corners < -_TOLERANCE) | (corners > limits + _TOLERANCE)).any(dim=1)
    boxes = corners.clamp(min=0).minimum(limits).float()
    has_area = ((boxes[:, 2:] - boxes[:, :2]) >= _LEAST_SIDE).all(dim=1)
    return boxes, outside, has_area


_MALFORMED = "{} with a field missing or malformed"
_MOST = 1e12  # larger numbers cannot be intended


def _whole(value: Any) -> bool:
    return type(value) is int


def _pixels(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= _MOST and value == int(value)


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= _MOST  # False for nan and infinity


def _not_negative(value: Any) -> bool:
    return _number(value) and value >= 0


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(_number(number) for number in value)


def _zero_or_one(value: Any) -> bool:
    return value in (0, 1)


_FIELDS: _Fields = {
    "id": _whole,
    "image_id": _whole,
    "category_id": _whole,
    "bbox": _box,
}
_OPTIONAL_FIELDS: _Fields = {"area": _not_negative, "iscrowd": _zero_or_one}
"""Optional fields of an annotation; by default it is not a crowd, and its area is that of its box."""


def _bad_fields(entry: Any, wanted: _Fields, optional: _Fields | None = None) -> str:
    """Description of what is wrong with the fields of an entry; empty if nothing is."""
    if not isinstance(entry, dict):
        return "no object"
    bad = []
    for key, is_good in wanted.items():
        if key not in entry:
            bad.append(f"no {key}")
        elif not is_good(entry[key]):
            bad.append(f"{key} {repr(entry[key])[:40]}")
    for key, is_good in (optional or {}).items():
        if key in entry and not is_good(entry[key]):
            bad.append(f"{key} {repr(entry[key])[:40]}")
    return ", ".join(bad)


def _named(entry: Any, position: int) -> str:
    number = entry.get("id") if isinstance(entry, dict) else None
    return f"number {position + 1}" if number is None else f"id {repr(number)[:40]}"
