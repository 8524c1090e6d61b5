"""The check of lists of images before training, which reports all problems at once."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from eureka_nlg.errors import UserError
from eureka_nlg.vision.classification.data.lists import FileList, repeated_images
from eureka_nlg.vision.data.pictures import picture_problem
from eureka_nlg.vision.data.problems import described_problems, label_problems

__all__ = ["check_lists"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


def check_lists(
    lists: Sequence[FileList], *, decode: bool = True, cache: Path | None = None, tell: bool = True
) -> None:
    """Check the labels and the image files of the training list and of the evaluation lists.

    Every file is decoded once, in threads (JPEGs at an eighth of their size, which still reads the whole
    file). A list without problems is remembered by the names, sizes and times of its files, and not decoded
    again.

    Args:
        lists: the lists, the training list first.
        decode: whether to decode the files; otherwise only missing and empty files are found.
        tell: whether to log warnings about files that are left out or listed twice.
        cache: folder of the remembered lists; default ``~/.cache/eureka_nlg/images`` (or XDG_CACHE_HOME).

    Raises:
        UserError: there are problems; one message has all kinds of problems of all lists, with numbers and
            examples.
    """
    reports = []
    for index, files in enumerate(lists):
        problems: dict[str, Sequence[str]] = dict(files.problems)
        training = lists[0] if index else None
        problems |= label_problems(files.labels, None if training is None else training.labels)
        problems |= _file_problems(files, decode, cache or _default_cache())
        if problems:
            reports.append(f"{files.name}: {described_problems(problems)}")
        notes = files.notes | repeated_images(files, training)
        if notes and tell:
            _log.warning("%s: %s", files.name, described_problems(notes))
    if reports:
        raise UserError("; ".join(reports))


def _file_problems(files: FileList, decode: bool, cache: Path) -> dict[str, list[str]]:
    missing, empty, digest = [], [], hashlib.sha256()
    stats = _in_threads(_stat, (files.root / path for path in files.paths))
    for path, stat in zip(files.paths, stats):
        if stat is None:
            missing.append(path)
            continue
        if stat.st_size == 0:
            empty.append(path)
        digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    if missing and len(missing) == len(files.paths):
        return {f"images, all of them, missing below {files.root} (give data.source=FOLDER)": missing}
    problems = {"missing images": missing, "empty files": empty}
    mark = cache / digest.hexdigest()
    if decode and not mark.exists():
        there = [path for path, stat in zip(files.paths, stats) if stat is not None and stat.st_size]
        errors = _in_threads(_picture_problem, (files.root / path for path in there))
        problems["unreadable images"] = [
            f"{path} ({said})" for path, (kind, said) in zip(there, errors) if kind
        ]
        if not any(problems.values()):
            _remember(mark)
    return {kind: found for kind, found in problems.items() if found}


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _picture_problem(path: Path) -> tuple[str, str]:
    return picture_problem(path)


def _in_threads(function: Callable[[Path], T], paths: Iterable[Path]) -> list[T]:
    with ThreadPoolExecutor(max_workers=2 * (os.cpu_count() or 1)) as pool:
        return list(pool.map(function, paths, chunksize=64))


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eureka_nlg" / "images"


def _remember(mark: Path) -> None:
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError:
        return  # with a read-only home directory, the next run checks the files again
