"""The check of splits in COCO's format before training, which reports all problems at once."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from eureka_nlg.errors import UserError
from eureka_nlg.vision.data.pictures import picture_problem
from eureka_nlg.vision.data.problems import described_problems
from eureka_nlg.vision.detection.instances import Instances

__all__ = ["check_instances"]

_log = logging.getLogger(__name__)


def check_instances(
    splits: Sequence[tuple[Instances, Path, str]], *, decode: bool = False, tell: bool = True
) -> None:
    """Check the annotations and the image files of the training split and of the evaluation splits.

    Args:
        splits: annotations, folder of the images and the option that names it; the training split first.
        decode: whether to decode every image instead of reading only its header.
        tell: whether to log warnings about files that are listed twice.

    Raises:
        UserError: there are problems; one message has all kinds of problems of all splits, with numbers and
            examples.
    """
    reports = []
    training, training_root, _ = splits[0]
    for instances, root, option in splits:
        problems: dict[str, Sequence[str]] = dict(instances.problems)
        if not instances.image_ids:
            problems["images"] = []
        elif instances is training and not (instances.has_area & ~instances.crowd).any():
            problems["boxes to train on (crowds and boxes without area do not count)"] = []
        if instances is not training:
            problems |= _category_problems(instances, training)
        problems |= _file_problems(instances, root, option, decode)
        if problems:
            reports.append(f"{instances.path}: {described_problems(problems)}")
        others = (training, training_root) if instances is not training else None
        notes = _repeated_files(instances, root, others)
        if notes and tell:
            _log.warning("%s: %s", instances.path, described_problems(notes))
    if reports:
        raise UserError("; ".join(reports))


def _repeated_files(
    instances: Instances, root: Path, training: tuple[Instances, Path] | None
) -> dict[str, list[str]]:
    """Files that are listed twice, or also in training: no error, but probably not intended."""
    times = Counter(os.path.normpath(root / name) for name in instances.file_names)
    notes = {"files that several images have": [name for name, number in times.items() if number > 1]}
    if training is not None:
        trained = {os.path.normpath(training[1] / name) for name in training[0].file_names}
        notes["files that are trained on too"] = [name for name in times if name in trained]
    return {kind: found for kind, found in notes.items() if found}


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
            lambda name, size: picture_problem(root / name, size=size, decode=decode),
            names,
            sizes,
            chunksize=64,
        )
        problems: defaultdict[str, list[str]] = defaultdict(list)
        for name, (kind, detail) in zip(names, found):
            if kind:
                problems[kind].append(f"{name} ({detail})" if detail else name)
    missing = problems.get("missing images", [])
    if missing and len(missing) == len(names):
        return {f"images, all of them, missing below {root} (give {option}=FOLDER)": missing}
    return dict(problems)
