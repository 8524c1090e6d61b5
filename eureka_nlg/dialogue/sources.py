"""Which files, or which part of a data set, make up each split of a corpus."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from eureka_nlg.bundled import find_bundled
from eureka_nlg.compressed import plain_name
from eureka_nlg.dialogue.convai2 import fetch_convai2
from eureka_nlg.dialogue.formats import (
    FORMATS,
    HUB,
    PARALLEL,
    Source,
    detect_format,
    format_named,
    what_it_looks_like,
)
from eureka_nlg.errors import UserError

__all__ = ["SPLITS", "Source", "find_sources"]

SPLITS = ("train", "valid", "test")
CONVAI2 = "convai2"
_SPLIT_NAMES = {
    "train": r"train(ing)?",
    "valid": r"val(id(ation)?)?|dev(elopment)?",
    "test": r"test",
}
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_DATA_SUFFIXES = (".txt", ".tsv", ".csv", ".json", ".jsonl", ".ndjson", ".parquet")
# In the names of two files that are read side by side: the word for contexts, the word for replies.
_SIDES = (
    ("src", "tgt"),
    ("source", "target"),
    ("context", "reply"),
    ("context", "response"),
    ("contexts", "replies"),
    ("post", "resp"),
    ("post", "response"),
    ("query", "response"),
    ("question", "answer"),
    ("input", "output"),
)


def find_sources(
    sources: Sequence[str | Path] = (),
    explicit: Mapping[str, Sequence[str | Path]] | None = None,
    format: str | None = None,
    cache_dir: Path | None = None,
    warn: Callable[[str], object] = lambda line: None,
) -> dict[str, list[Source]]:
    """Assign sources to splits.

    Args:
        sources: ``convai2``, or folders, files and hub names whose names or content tell the split.
        explicit: split -> files (or hub names) of that split, in order.
        format: one of ``FILE_FORMATS`` for every file; None to detect it for each file.
        cache_dir: where ``convai2`` is kept; None for the platform's cache folder.
        warn: called with a line about each file that does not look like ``format``.

    Returns:
        Split (``train``, ``valid`` and perhaps ``test``) -> its sources, in order.

    Raises:
        UserError: a split is missing or given twice, or a source cannot be used as one.
    """
    format = format_named(format) if format is not None else None
    found: dict[str, list[Source]] = {}
    for source in sources:
        for split, parts in _by_name(str(find_bundled(source)), format, cache_dir).items():
            found.setdefault(split, []).extend(parts)
    for split, files in (explicit or {}).items():
        if files and split in found:
            raise UserError(
                f"--{split} {files[0]}: the split {split} is already given by {found[split][0].location}"
            )
        for part in _paired(split, [str(file) for file in files], format):
            found.setdefault(split, []).append(part)
    for split in ("train", "valid"):
        if split not in found:
            given = f"found only {', '.join(found)}" if found else "no source is given"
            raise UserError(
                f"the split {split} is missing ({given}): "
                f"give --{split} FILE, or a folder with a file named {split}*"
            )
    if format is not None:
        for part in (part for parts in found.values() for part in parts):
            looks = what_it_looks_like(part)
            if looks not in (None, format):
                warn(f"warning: {part.location}: looks like {looks}; read as {format} because of --format")
    return {split: found[split] for split in SPLITS if split in found}


def _by_name(source: str, format: str | None, cache_dir: Path | None) -> dict[str, list[Source]]:
    """Splits of one SOURCE argument."""
    if source == CONVAI2:
        fetched = fetch_convai2(cache_dir)
        return {split: [Source(str(file), "parlai", split)] for split, file in fetched.items()}
    path = Path(source)
    if path.is_dir():
        names: dict[str, list[str]] = {}
        for file in sorted(path.iterdir()):
            split = _split_of_file(file)
            if split is not None and file.is_file():
                names.setdefault(split, []).append(str(file))
        if not names:
            raise UserError(
                f"{source}: no file in the folder is named train*, valid* (or val*, dev*) or test*"
            )
        return {split: _paired(split, files, format) for split, files in names.items()}
    kind = _format_of(source, format)
    own_splits = FORMATS[kind].splits
    split = None if kind == HUB else _split_of_file(path)
    if split is not None:
        return {split: [_of_split(source, split, format)]}
    if own_splits is not None and (found := own_splits(source)) is not None:
        return _sort_splits(source, kind, found)
    raise UserError(f"{source}: the name does not tell the split; give it with --train, --valid or --test")


def _sort_splits(source: str, kind: str, names: Sequence[str]) -> dict[str, list[Source]]:
    splits: dict[str, list[Source]] = {}
    for name in names:
        split = _split_of_name(name)
        if split is not None:
            splits.setdefault(split, []).append(Source(source, kind, name))
    if not splits:
        raise UserError(f"{source}: its splits are {', '.join(names)}; expected train and valid")
    return splits


def _paired(split: str, files: Sequence[str], format: str | None) -> list[Source]:
    """The parts of a split: single files, or pairs of a file of contexts and a file of replies."""
    if format == PARALLEL:
        if len(files) % 2:
            raise UserError(
                f"--format {PARALLEL}: {len(files)} files for the split {split}; expected contexts, replies, "
                "contexts, replies, ..."
            )
        return [_parallel(left, right, split) for left, right in zip(files[::2], files[1::2])]
    partners = _partners(files) if format is None else {}
    replies = set(partners.values())
    return [
        _parallel(file, partners[file], split) if file in partners else _of_split(file, split, format)
        for file in files
        if file not in replies
    ]


def _partners(files: Sequence[str]) -> dict[str, str]:
    """Files of contexts -> the files of their replies, found by name: ``train.src`` and ``train.tgt``."""
    found: dict[str, str] = {}
    for file in files:
        parts = re.split(r"([._-])", Path(file).name)
        for context, reply in _SIDES:
            if context in parts:
                at = parts.index(context)
                partner = Path(file).with_name("".join([*parts[:at], reply, *parts[at + 1 :]]))
                other = next((name for name in files if Path(name) == partner), None)
                if other is not None:
                    found[file] = other
                    break
    return found


def _parallel(contexts: str, replies: str, split: str) -> Source:
    for file in (contexts, replies):
        _check_file(file)
    return replace(Source(contexts, PARALLEL, split), partner=replies)


def _of_split(source: str, split: str, format: str | None) -> Source:
    """A file that belongs to one split, according to its name or to the user."""
    kind = _format_of(source, format)
    own_splits = FORMATS[kind].splits
    names = own_splits(source) if own_splits is not None else None
    if names is None:
        return Source(source, kind, split)
    own = [name for name in names if _split_of_name(name) == split]
    if not own and len(names) == 1 and _split_of_name(names[0]) is None:
        own = names  # {"data": [...]}: one array, whatever its name
    if not own:
        raise UserError(f"{source}: has no split {split}; its splits are {', '.join(names)}")
    return Source(source, kind, own[0])


def _format_of(source: str, format: str | None) -> str:
    if Path(source).is_file():
        return format or detect_format(Path(source))
    if (
        not Path(source).exists()
        and plain_name(source).suffix.lower() not in _DATA_SUFFIXES
        and _HUB_NAME.fullmatch(source)
    ):
        return HUB
    _check_file(source)
    raise AssertionError("no regular file passes the check")


def _check_file(file: str) -> None:
    if not Path(file).exists():
        raise UserError(f"{file}: no such file or folder")
    if not Path(file).is_file():
        raise UserError(f"{file}: is not a regular file; expected a file of dialogues")


def _split_of_file(file: Path) -> str | None:
    """The split in the name of a file: at its beginning, or after ``src-`` or ``tgt-``."""
    name = plain_name(file).stem
    side, _, rest = name.replace("_", "-").partition("-")
    if rest and any(side in sides for sides in _SIDES):
        return _split_of_name(rest)
    return _split_of_name(name)


def _split_of_name(name: str) -> str | None:
    """``train_self_original`` -> ``train``; None where the name has no split."""
    for split, pattern in _SPLIT_NAMES.items():
        if re.match(rf"({pattern})(?![a-z])", name, re.IGNORECASE):
            return split
    return None
