"""Readers of lists of images with classes: `path label` lines, iNaturalist's JSON, one folder per class."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eureka_nlg.errors import UserError
from eureka_nlg.files import read_json
from eureka_nlg.limits import LARGEST_CLASS

__all__ = ["FileList", "read_list", "read_inaturalist", "read_image_folder", "repeated_images"]


_TOO_LARGE = f"classes above {LARGEST_CLASS}"
_PICTURES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".avif", ".jp2"),
        *(".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"),
    )
)
"""Endings of the names of image files in a folder, in lower case."""


@dataclass
class FileList:
    """Image files of a split.

    Attributes:
        name: name in reports, the path of the list.
        root: folder that the paths are relative to.
        paths: the path of each image.
        labels: ``[N]`` int64, the class of each image.
        problems: kind of problem -> examples, found while reading.
        notes: kind -> examples of what was left out or looks unintended, but is not an error.
    """

    name: str
    root: Path
    paths: list[str]
    labels: Tensor
    problems: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)


def read_list(path: Path, root: Path) -> FileList:
    """Read a list with ``path label`` on each line, as for ImageNet-LT, Places-LT and iNaturalist 2018.

    Args:
        path: the list. The label follows the last space of a line, so paths may contain spaces.
        root: folder that the paths are relative to.

    Returns:
        The list; malformed lines are among its problems.

    Raises:
        UserError: the list cannot be read, or is empty.
    """
    paths: list[str] = []
    labels: list[int] = []
    problems: defaultdict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        image, _, label = line.strip().rpartition(" ")
        if not image or not (label.isascii() and label.isdecimal()):
            problems["lines that are no `path label`"].append(f"line {number}: {line.strip()[:60]!r}")
        elif len(digits := label.lstrip("0")) > 10 or int(digits or 0) > LARGEST_CLASS:
            problems[_TOO_LARGE].append(f"line {number}: {line.strip()[:60]!r}")
        else:
            paths.append(image.strip())
            labels.append(int(digits or 0))
    if not paths and not problems:
        raise UserError(f"{path}: holds no image, expected lines of `path label`")
    return FileList(str(path), root, paths, torch.tensor(labels, dtype=torch.int64), dict(problems))


def read_inaturalist(path: Path, root: Path) -> FileList:
    """Read JSON annotations in the format of iNaturalist, with ``images`` and ``annotations``.

    The category ids are the classes. Images without a category, annotations without an image, and ids that
    occur twice are problems.

    Raises:
        UserError: the file is not JSON, or has another layout.
    """
    content = read_json(path)
    problems: defaultdict[str, list[str]] = defaultdict(list)
    files: dict[int, str] = {}
    for position, image in _entries(content, "images", path):
        number, name = _fields(image, "id", "file_name")
        if type(number) is not int or not isinstance(name, str) or not name:
            problems["images without a whole id and a file_name"].append(
                f"number {position}: {_shown(image)}"
            )
        elif number in files:
            problems["image ids that occur twice"].append(f"{number} ({files[number]}, {name})")
        else:
            files[number] = name
    kept: list[tuple[str, int]] = []
    annotated: set[int] = set()
    for position, annotation in _entries(content, "annotations", path):
        number, label = _fields(annotation, "image_id", "category_id")
        if type(number) is not int:
            problems["annotations without a whole image_id"].append(
                f"number {position}: {_shown(annotation)}"
            )
            continue
        annotated.add(number)
        if number not in files:
            problems["annotations to no image"].append(f"image id {_shown(number)}")
        elif type(label) is not int:
            problems["categories that are no whole number"].append(f"{files[number]}: {_shown(label)}")
        elif abs(label) > LARGEST_CLASS:
            problems[_TOO_LARGE].append(f"{files[number]}: {_shown(label)}")
        else:
            kept.append((files[number], label))
    without = [name for number, name in files.items() if number not in annotated]
    if without:
        problems["images without a category"] = without
    return FileList(
        str(path),
        root,
        [file for file, _ in kept],
        torch.tensor([label for _, label in kept], dtype=torch.int64),
        dict(problems),
    )


def _entries(content: Any, key: str, path: Path) -> Iterator[tuple[int, Any]]:
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise UserError(
            f"{path}: no annotations of iNaturalist (no list of {key}), expected images with id and "
            "file_name, and annotations with image_id and category_id"
        )
    return enumerate(entries, start=1)


def _fields(entry: Any, *names: str) -> tuple[Any, ...]:
    return tuple(entry.get(name) if isinstance(entry, dict) else None for name in names)


def _shown(value: Any) -> str:
    """A value for a message; Python refuses to print whole numbers with very many digits."""
    try:
        return repr(value)[:60]
    except ValueError:
        return "a number of thousands of digits"


def read_image_folder(path: Path, classes: list[str] | None = None) -> tuple[FileList, list[str]]:
    """Read a folder with one folder of images per class; these may have subfolders.

    Image files are recognised by their endings. Other files, and files and folders whose names begin with a
    dot, are left out and noted, so that class counts include only images.

    Args:
        path: the folder.
        classes: names of the classes of the training split, so that a name is the same class in both splits;
            default: the names of the folders in alphabetical order.

    Returns:
        The list and the names of its classes. A class without images is among its problems.

    Raises:
        UserError: there is no such folder, it contains no folders, or one of them is not in ``classes``.
    """
    try:
        found = sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; expected a folder with one folder of images per class"
        ) from error
    hidden = [name for name in found if name.startswith(".")]
    found = [name for name in found if name not in hidden]
    if not found:
        raise UserError(f"{path}: no folder in it; expected a folder with one folder of images per class")
    unknown = [name for name in found if classes is not None and name not in classes]
    if unknown:
        raise UserError(f"{path}: the classes {', '.join(unknown[:5])} are not in the training folder")
    classes = classes or found
    paths: list[str] = []
    labels: list[int] = []
    other: list[str] = []
    empty: list[str] = []
    for name in found:
        images = 0
        for folder, inner, files in os.walk(path / name, followlinks=True):
            hidden += [os.path.relpath(os.path.join(folder, n), path) for n in inner if n.startswith(".")]
            inner[:] = sorted(n for n in inner if not n.startswith("."))
            for file in sorted(files):
                relative = os.path.relpath(os.path.join(folder, file), path)
                if file.startswith(".") or os.path.splitext(file)[1].lower() not in _PICTURES:
                    other.append(relative)
                    continue
                images += 1
                paths.append(relative)
                labels.append(classes.index(name))
        if not images:
            empty.append(name)
    problems = {"folders of a class without an image": empty} if empty else {}
    notes = {"files that are no images by their names, left out": other, "hidden folders, left out": hidden}
    return FileList(
        str(path),
        path,
        paths,
        torch.tensor(labels, dtype=torch.int64),
        problems,
        {kind: names for kind, names in notes.items() if names},
    ), classes


def repeated_images(files: FileList, training: FileList | None = None) -> dict[str, list[str]]:
    """Images that are listed twice, or also in the training list: kind -> names."""
    listed = [os.path.normpath(files.root / path) for path in files.paths]
    times = Counter(listed)
    classes: defaultdict[str, set[int]] = defaultdict(set)
    for name, label in zip(listed, files.labels.tolist()):
        if times[name] > 1:
            classes[name].add(label)
    notes = {
        "images that are listed several times": [name for name, of in classes.items() if len(of) == 1],
        "images that are listed with several classes": [
            f"{name} ({', '.join(map(str, sorted(of)))})" for name, of in classes.items() if len(of) > 1
        ],
    }
    if training is not None:
        trained = {os.path.normpath(training.root / path) for path in training.paths}
        notes["images that are trained on too"] = [name for name in times if name in trained]
    return {kind: found for kind, found in notes.items() if found}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not valid UTF-8"
        raise UserError(f"{path}: {reason}; expected a list of images") from error
