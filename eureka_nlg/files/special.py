"""Outputs that are not plain files: links are followed; pipes and descriptors are never replaced."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import IO

__all__ = ["followed", "is_special", "open_special"]

_DESCRIPTOR = re.compile(r"/dev/(?:fd/(\d+)|(stdout)|(stderr))|/proc/self/fd/(\d+)")
_MOST_LINKS = 40  # the limit of Linux


def followed(path: str | os.PathLike[str]) -> Path:
    """The target of a link; descriptors such as /dev/stdout, which is a link itself, are not followed."""
    followed = Path(path)
    for _ in range(_MOST_LINKS):
        if _DESCRIPTOR.fullmatch(str(followed)) or not followed.is_symlink():
            break
        followed = followed.parent / os.readlink(followed)
    return followed


def is_special(path: Path) -> bool:
    """Whether the path is written to and never replaced: a pipe, a terminal, or a descriptor."""
    return _DESCRIPTOR.fullmatch(str(path)) is not None or (
        path.exists() and not path.is_file() and not path.is_dir()
    )


def open_special(path: Path) -> IO[bytes]:
    """Open a special file for writing, at its current position."""
    match = _DESCRIPTOR.fullmatch(str(path))
    if match is None:
        return open(path, "wb")
    number = 1 if match[2] else 2 if match[3] else int(match[1] or match[4] or 0)
    # if the descriptor is a file that has been written to, opening its name would start at the beginning
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return os.fdopen(os.dup(number), "wb")
