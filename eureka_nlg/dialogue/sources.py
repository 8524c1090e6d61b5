"""Which files, or which part of a data set, make up each split of a corpus."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eureka_nlg.bundled import find_bundled
from eureka_nlg.dialogue.convai2 import fetch_convai2
from eureka_nlg.dialogue.formats import FILE_FORMATS, FORMATS, HUB, detect_format
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
_DATA_SUFFIXES = (".txt", ".tsv", ".csv", ".json")


@dataclass(frozen=True)
class Source:
    """One file, or one split of a file or data set that holds several.

    Attributes:
        location: path, or name on the hub.
        format: key of ``FORMATS``.
        split: what the file or data set itself calls the split.
    """

    location: str
    format: str
    split: str


def find_sources(
    sources: Sequence[str | Path] = (),
    explicit: Mapping[str, Sequence[str | Path]] | None = None,
    format: str | None = None,
    cache_dir: Path | None = None,
) -> dict[str, list[Source]]:
    """Assign sources to splits.

    Args:
        sources: ``convai2``, folders, files and hub names whose own names, or whose content, tell the split.
        explicit: split -> files (or hub names) of that split, in order.
        format: one of ``FILE_FORMATS`` for every file; None to detect it file by file.
        cache_dir: where ``convai2`` is kept; None for the platform's cache folder.

    Returns:
        Split (``train``, ``valid`` and perhaps ``test``) -> its sources, in order.

    Raises:
        UserError: a split is missing or given twice, or a source is none.
    """
    if format is not None and format not in FILE_FORMATS:
        raise UserError(f"--format {format}: expected one of {', '.join(FILE_FORMATS)}")
    found: dict[str, list[Source]] = {}
    for source in sources:
        for split, parts in _by_name(str(find_bundled(source)), format, cache_dir).items():
            found.setdefault(split, []).extend(parts)
    for split, files in (explicit or {}).items():
        if files and split in found:
            raise UserError(
                f"--{split} {files[0]}: the split {split} is already given by {found[split][0].location}"
            )
        for file in files:
            found.setdefault(split, []).append(_of_split(str(file), split, format))
    for split in ("train", "valid"):
        if split not in found:
            given = f"found only {', '.join(found)}" if found else "no source is given"
            raise UserError(
                f"the split {split} is missing ({given}); "
                f"give --{split} FILE, or a folder with a file named {split}*"
            )
    return {split: found[split] for split in SPLITS if split in found}


def _by_name(source: str, format: str | None, cache_dir: Path | None) -> dict[str, list[Source]]:
    """Splits of one SOURCE argument."""
    if source == CONVAI2:
        files = fetch_convai2(cache_dir)
        return {split: [Source(str(file), "parlai", split)] for split, file in files.items()}
    path = Path(source)
    if path.is_dir():
        splits: dict[str, list[Source]] = {}
        for file in sorted(path.iterdir()):
            split = _split_of_name(file.stem)
            if split is not None and file.is_file():
                splits.setdefault(split, []).append(_of_split(str(file), split, format))
        if not splits:
            raise UserError(
                f"{source}: no file in the folder is named train*, valid* (or val*, dev*) or test*"
            )
        return splits
    kind = _format_of(source, format)
    own_splits = FORMATS[kind].splits
    split = None if kind == HUB else _split_of_name(path.stem)
    if split is not None:
        return {split: [_of_split(source, split, format)]}
    if own_splits is not None:
        return _sort_splits(source, kind, own_splits(source))
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


def _of_split(source: str, split: str, format: str | None) -> Source:
    """A file that is said, by its own name or by the user, to be of one split."""
    kind = _format_of(source, format)
    own_splits = FORMATS[kind].splits
    if own_splits is None:
        return Source(source, kind, split)
    names = own_splits(source)
    own = [name for name in names if _split_of_name(name) == split]
    if not own:
        raise UserError(f"{source}: has no split {split}; its splits are {', '.join(names)}")
    return Source(source, kind, own[0])


def _format_of(source: str, format: str | None) -> str:
    path = Path(source)
    if path.is_file():
        return format or detect_format(path)
    if path.exists():
        raise UserError(f"{source}: is no regular file; expected a file of dialogues")
    if path.suffix.lower() in _DATA_SUFFIXES or not _HUB_NAME.fullmatch(source):
        raise UserError(f"{source}: no such file or folder")
    return HUB


def _split_of_name(name: str) -> str | None:
    """``train_self_original`` -> ``train``; None where the name tells no split."""
    for split, pattern in _SPLIT_NAMES.items():
        if re.match(rf"({pattern})(?![a-z])", name, re.IGNORECASE):
            return split
    return None
