"""What becomes an output is written beside it, and locked.

The neighbour has the ending ``.partial`` and takes the name of the output when it is whole. It is locked by
the process that writes it, and the lock ends with the process: what a killed one left behind is removed by
the next that writes the same name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eureka_nlg.errors import UserError

__all__ = ["PARTIAL", "busy", "cannot", "lock", "named_errors", "prefix", "remove_leftovers", "umask"]

PARTIAL = ".partial"
_YOUNG = 10.0  # seconds in which a neighbour that is not locked may be about to be


def prefix(path: Path) -> str:
    """How the names of the neighbours begin; a name may be as long as the file system allows."""
    name = path.name
    if len(os.fsencode(name)) > 200:
        name = f"{name[:40]}~{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    return f".{name}."


def lock(descriptor: int) -> bool:
    """Lock a file or folder unless another process holds it. Where there are no locks all goes on without."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def remove_leftovers(path: Path, but: Path | None = None) -> bool:
    """Remove what killed processes left of this output; return whether another one is at work on it."""
    is_held = False
    names = re.compile(re.escape(prefix(path)) + r"[^.]+" + re.escape(PARTIAL))
    for entry in os.scandir(path.parent):
        if names.fullmatch(entry.name) is None or (but is not None and entry.name == but.name):
            continue
        with contextlib.suppress(OSError):  # it may be gone by now
            descriptor = os.open(entry.path, os.O_RDONLY)
            try:
                if not lock(descriptor):
                    is_held = True
                elif time.time() - entry.stat(follow_symlinks=False).st_mtime > _YOUNG:
                    shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)
            finally:
                os.close(descriptor)
    return is_held


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn an error of the system into one that names the output."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader went away: no fault of the file
    except OSError as error:
        raise cannot(path, error) from error


def cannot(path: Path, error: OSError) -> UserError:
    """The error to raise where the system refuses to write."""
    return UserError(f"{path}: cannot be written: {error.strerror or error}")


def busy(path: Path) -> UserError:
    """The error to raise where another process holds the output."""
    return UserError(f"{path}: another process is writing it; wait for its end, or give another folder")


def umask() -> int:
    """The permissions that new files of this process do not have."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
