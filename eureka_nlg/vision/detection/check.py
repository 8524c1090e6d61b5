"""What is wrong with COCO-format splits, found before training starts and told in one report."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from eureka_nlg.errors import UserError, require
from eureka_nlg.vision.data.problems import described_problems
from eureka_nlg.vision.detection.instances import Instances

__all__ = ["check_instances"]


def check_instances(splits: Sequence[tuple[Instances, Path, str]], *, decode: bool = False) -> None:
    """Check the annotations and the image files of the training split and of those evaluated on.

    Args:
        splits: annotations, folder of the images and the option that names it; the training split first.
        decode: whether to decode every image; else its header alone is read.

    Raises:
        UserError: all problems of all splits in one line, counted by kind, the first ones named.
    """
    reports = []
    training = splits[0][0]
    for instances, root, option in splits:
        problems = dict(instances.problems)
        if not instances.image_ids:
            problems["images"] = []
        elif instances is training and not (instances.has_area & ~instances.crowd).any():
            problems["boxes to train on (crowds and boxes without area do not count)"] = []
        if instances is not training:
            problems |= _category_problems(instances, training)
        problems |= _file_problems(instances, root, option, decode)
        if problems:
            reports.append(f"{instances.path}: {described_problems(problems)}")
    if reports:
        raise UserError("; ".join(reports))


def _category_problems(instances: Instances, training: Instances) -> dict[str, list[str]]:
    ours, theirs = (
        dict(zip(split.categories.ids, split.categories.names)) for split in (instances, training)
    )
    differing = [
        f"id {number} ({ours.get(number, 'none')} here, {theirs.get(number, 'none')} there)"
        for number in sorted(ours.keys() | theirs.keys())
        if ours.get(number) != theirs.get(number)
    ]
    return {f"categories other than in {training.path.name}": differing} if differing else {}


def _file_problems(instances: Instances, root: Path, option: str, decode: bool) -> dict[str, list[str]]:
    names = instances.file_names
    sizes: list[tuple[int, int]] = [(width, height) for width, height in instances.sizes.tolist()]
    with ThreadPoolExecutor(max_workers=2 * (os.cpu_count() or 1)) as pool:
        found = pool.map(
            lambda name, size: _image_problem(root / name, size, decode), names, sizes, chunksize=64
        )
        problems: defaultdict[str, list[str]] = defaultdict(list)
        for name, (kind, detail) in zip(names, found):
            if kind:
                problems[kind].append(name + detail)
    missing = problems.get(_MISSING, [])
    if missing and len(missing) == len(names):
        return {f"images, all of them, missing below {root} (give {option}=FOLDER)": missing}
    return dict(problems)


_MISSING = "missing images"


def _image_problem(path: Path, size: tuple[int, int], decode: bool) -> tuple[str, str]:
    """Kind of the problem and what to say behind the file's name; two empty strings if there is none."""
    image_module = require("PIL.Image", extra="vision")
    try:
        with image_module.open(path) as image:
            if image.size != size:
                return (
                    "images of another size than the file says",
                    f" ({image.width} x {image.height}, not {size[0]} x {size[1]})",
                )
            if decode:
                image.draft("RGB", (image.width // 8, image.height // 8))
                image.load()
    except FileNotFoundError:
        return _MISSING, ""
    except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError) as error:
        return "unreadable images", f" ({str(error).replace(str(path), path.name) or type(error).__name__})"
    return "", ""
