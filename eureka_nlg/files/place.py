"""Checks before the work that its result can be written, without replacing a file of another kind."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from eureka_nlg.errors import UserError
from eureka_nlg.files.reading import read_json
from eureka_nlg.files.special import followed, is_special

__all__ = ["Kind", "output_file"]

Kind = Literal["text", "JSON", "HTML", "predictions"]

# first bytes of files that an output must not replace; text files are recognised by their content
_MAGIC = {
    b"PK\x03\x04": "a zip archive, as checkpoints are",
    b"\x80": "a pickle, as old checkpoints are",
    b"\x89PNG": "PNG",
    b"\x93NUMPY": "a NumPy array",
    b"\x1f\x8b": "gzip",
}
_OTHER_TEXT = {".yaml": "YAML", ".yml": "YAML", ".log": "a log", ".py": "Python"}


def output_file(
    path: str | os.PathLike[str], option: str, kind: Kind = "text", holds: Sequence[str] = ()
) -> Path:
    """Check before the work, rather than after it, that the result can be written.

    Args:
        path: the file for the result.
        option: its name in error messages, such as ``"--out"``.
        kind: kind of the result. A file of another kind is never replaced.
        holds: an existing JSON file is replaced only if its document, or each document in it, has these keys.

    Raises:
        UserError: the path is a folder or a file of another kind, or it cannot be written.
    """
    given, path = Path(path), followed(path)
    if is_special(path):
        return given
    if path.is_dir():
        raise UserError(f"{option} {path}: is a folder, expected a file name")
    target = path.resolve()
    if not target.parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}, make it first")
    if target.exists():
        found = _kind(target)
        if found not in (None, kind):
            raise UserError(f"{option} {path}: exists and is {found}, not {kind}: give another name")
        if found == "JSON" and holds and not _holds(read_json(target), holds):
            raise UserError(
                f"{option} {path}: exists and is JSON of something else (without {' and '.join(holds)}): "
                "give another name"
            )
    try:
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise UserError(f"{option} {path}: cannot be written: {error.strerror}") from error
    return given


def _kind(path: Path) -> str | None:
    """The kind of a file, from its content; None if it is empty."""
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    if not head:
        return None
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return "predictions" if _has_predictions(path) else name
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(head) - error.start > 3:  # otherwise only the last character is truncated
            return "binary"
        text = head[: error.start].decode("utf-8")
    if "\0" in text:
        return "binary"
    text = text.lstrip().lower()
    if text.startswith(("<!doctype html", "<html")):
        return "HTML"
    if text.startswith(("<?xml", "<svg", "<!doctype svg")):
        return "SVG"
    if text.startswith(("{", "[")):
        with contextlib.suppress(UserError):
            read_json(path)
            return "JSON"
    return _OTHER_TEXT.get(path.suffix.lower(), "text")


def _has_predictions(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "predicted.npy" in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def _holds(document: Any, keys: Sequence[str]) -> bool:
    if not isinstance(document, dict):
        return False
    parts = list(document.values())
    return all(key in document for key in keys) or (
        bool(parts) and all(isinstance(part, dict) and all(key in part for key in keys) for part in parts)
    )
