"""Lists of image files with their classes: `path label` lines, iNaturalist's JSON, one folder per class."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eureka_nlg.errors import UserError, require

__all__ = ["FileList", "read_list", "read_inaturalist", "read_image_folder"]


@dataclass
class FileList:
    """Image files of a split.

    Attributes:
        name: what reports call it: the list's path.
        root: folder that the paths start from.
        paths: one per image.
        labels: ``[N]`` int64.
        problems: kind -> what is wrong, found while reading.
    """

    name: str
    root: Path
    paths: list[str]
    labels: Tensor
    problems: dict[str, list[str]] = field(default_factory=dict)


def read_list(path: Path, root: Path) -> FileList:
    """Read a list with ``path label`` on each line, as of ImageNet-LT, Places-LT and iNaturalist 2018.

    Args:
        path: the list; a path in it may hold spaces, the label is behind the last one.
        root: folder that the paths start from.

    Returns:
        The list, with malformed lines among its problems.

    Raises:
        UserError: the list cannot be read, or is empty.
    """
    paths: list[str] = []
    labels: list[int] = []
    malformed: list[str] = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        image, _, label = line.strip().rpartition(" ")
        if not image or not label.isdecimal():
            malformed.append(f"line {number}: {line.strip()[:60]!r}")
            continue
        paths.append(image.strip())
        labels.append(int(label))
    if not paths and not malformed:
        raise UserError(f"{path}: holds no image, expected lines of `path label`")
    problems = {"lines that are no `path label`": malformed} if malformed else {}
    return FileList(str(path), root, paths, torch.tensor(labels, dtype=torch.int64), problems)


def read_inaturalist(path: Path, root: Path) -> FileList:
    """Read the JSON annotations of iNaturalist: ``images``, ``annotations`` and perhaps ``categories``.

    Category ids are the classes. Images without a category and annotations to no image are problems.

    Raises:
        UserError: no JSON, or not of this layout.
    """
    try:
        content = json.loads(_text(path))
        files = {image["id"]: image["file_name"] for image in content["images"]}
        pairs = [(item["image_id"], item["category_id"]) for item in content["annotations"]]
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: line {error.lineno}: not valid JSON: {error.msg}") from error
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path}: no annotations of iNaturalist (lacks {error}), expected images with id and file_name, "
            "and annotations with image_id and category_id"
        ) from error
    problems = {
        "annotations to no image": [f"image id {image}" for image, _ in pairs if image not in files],
        "images without a category": [files[image] for image in files.keys() - {image for image, _ in pairs}],
        "categories that are no whole number": [
            f"{files.get(image, image)}: {label!r}" for image, label in pairs if type(label) is not int
        ],
    }
    kept = [(files[image], label) for image, label in pairs if image in files and type(label) is int]
    return FileList(
        str(path),
        root,
        [file for file, _ in kept],
        torch.tensor([label for _, label in kept], dtype=torch.int64),
        {kind: found for kind, found in problems.items() if found},
    )


def read_image_folder(path: Path, classes: list[str] | None = None) -> tuple[FileList, list[str]]:
    """Read a folder that holds one folder of images per class.

    Args:
        path: the folder.
        classes: the training split's classes, so that a name means the same class in both; default: the
            folder's own, sorted.

    Returns:
        The list and the names of its classes.

    Raises:
        UserError: no such folder, a class folder without images, or one that is not among ``classes``.
    """
    folder: Any = require("torchvision.datasets.folder", extra="vision")
    try:
        found, index_of = folder.find_classes(str(path))
        if classes is not None:
            unknown = sorted(set(found) - set(classes))
            if unknown:
                raise UserError(
                    f"{path}: the classes {', '.join(unknown[:5])} are not in the training folder"
                )
            index_of = {name: classes.index(name) for name in found}
        samples = folder.make_dataset(str(path), index_of, extensions=folder.IMG_EXTENSIONS)
    except FileNotFoundError as error:
        raise UserError(f"{path}: {error}; expected a folder with one folder of images per class") from error
    paths = [str(Path(file).relative_to(path)) for file, _ in samples]
    labels = torch.tensor([label for _, label in samples], dtype=torch.int64)
    return FileList(str(path), path, paths, labels), classes or found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not valid UTF-8"
        raise UserError(f"{path}: {reason}; expected a list of images") from error
