"""Partial outputs: temporary files and folders next to an output, which are locked while they are written.

A partial output has the ending ``.partial`` and is renamed to the output when it is complete. The process
that writes it holds a lock on it, which ends with the process. So the next process that writes the same
output can recognise what a killed process has left behind, and removes it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eureka_nlg.errors import UserError

__all__ = [
    *("PARTIAL", "busy", "cannot", "exchange", "full_disk", "held", "lock", "named_errors", "new_partial"),
    *("prefix", "remove_leftovers", "sync", "umask"),
]

PARTIAL = ".partial"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # from <fcntl.h> and <linux/fs.h>
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_OLD = 86_400.0  # seconds after which a partial output counts as left behind, if there are no locks


def prefix(path: Path) -> str:
    """The start of the names of partial outputs; shortened, since a name may have the greatest length."""
    name = path.name
    if len(os.fsencode(name)) > 200:
        name = f"{name[:40]}~{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    return f".{name}."


def lock(descriptor: int, wait: bool = False) -> bool | None:
    """Lock a file or folder.

    Args:
        descriptor: descriptor of the file or folder.
        wait: whether to wait if another process holds the lock.

    Returns:
        Whether this process has the lock; None if the file system does not support locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True


_HELD: set[int] = set()


@contextmanager
def held(descriptor: int) -> Iterator[int]:
    """Keep a locked descriptor open until the block ends; forked processes do not keep the lock."""
    _HELD.add(descriptor)
    try:
        yield descriptor
    finally:
        if descriptor in _HELD:
            _HELD.discard(descriptor)
            os.close(descriptor)


def _close_held() -> None:
    # a worker may outlive a process that is killed, and would keep the lock
    for descriptor in _HELD:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _HELD.clear()


os.register_at_fork(after_in_child=_close_held)


def new_partial(path: Path, is_folder: bool = False) -> tuple[Path, int]:
    """Create a partial output, and lock it.

    Returns:
        Its path and descriptor.

    Raises:
        OSError: it cannot be created.
    """
    while True:
        if is_folder:
            name = tempfile.mkdtemp(prefix=prefix(path), suffix=PARTIAL, dir=path.parent)
            try:
                descriptor = os.open(name, os.O_RDONLY)
            except FileNotFoundError:
                continue  # another process has removed it as a leftover before it was locked
        else:
            descriptor, name = tempfile.mkstemp(prefix=prefix(path), suffix=PARTIAL, dir=path.parent)
        try:
            lock(descriptor, wait=True)
            if os.path.samestat(os.stat(name), os.fstat(descriptor)):
                return Path(name), descriptor
        except FileNotFoundError:
            pass  # likewise
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def remove_leftovers(path: Path, but: Path | None = None) -> bool:
    """Remove partial outputs of killed processes; return whether another process is writing the output."""
    is_held = False
    names = re.compile(re.escape(prefix(path)) + r"[^.]+" + re.escape(PARTIAL))
    for entry in os.scandir(path.parent):
        if names.fullmatch(entry.name) is None or (but is not None and entry.name == but.name):
            continue
        with contextlib.suppress(OSError):  # it may have been removed in the meantime
            descriptor = os.open(entry.path, os.O_RDONLY)
            try:
                is_free = lock(descriptor)
                if is_free is None:
                    age = time.time() - entry.stat(follow_symlinks=False).st_mtime
                    is_free, is_held = age > _OLD, is_held or age <= _OLD
                else:
                    is_held |= not is_free
                if is_free:
                    shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)
            finally:
                os.close(descriptor)
    return is_held


def exchange(first: Path, second: Path) -> bool:
    """Exchange the names of two files or folders atomically; return whether the system supports it."""
    try:
        rename = ctypes.CDLL(None).renameat2  # Linux
    except (AttributeError, OSError):
        return False
    paths = os.fsencode(first), os.fsencode(second)
    return int(rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE)) == 0


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    Without the second, a rename may be lost in a power failure after the command has ended well.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot
            raise
    finally:
        os.close(descriptor)


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Convert errors of the system to errors that contain the name of the output."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of a pipe has ended: not an error of the file
    except OSError as error:
        raise cannot(path, error) from error


def cannot(path: Path, error: OSError) -> UserError:
    """The error to raise if the system refuses to write."""
    return UserError(f"{path}: cannot be written: {error.strerror or error}")


def full_disk(error: BaseException | None) -> str | None:
    """The reason for an error, if a file could not be written, for example because the disk is full.

    torch and safetensors raise errors of their own, and retries hide the original error.

    Returns:
        A sentence without a full stop; None if it is another error.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return f"{error.filename or 'a file'}: cannot be written: {error.strerror}"
        if "PytorchStreamWriter failed" in str(error) or "unexpected pos" in str(error):
            return "a checkpoint cannot be written (is the disk full?)"
        number = re.search(r"\(os error (\d+)\)", str(error))  # the format of Rust libraries
        if number is not None and int(number[1]) in _FULL:
            return f"a file cannot be written: {os.strerror(int(number[1]))}"
        error = error.__cause__ or error.__context__
    return None


def busy(path: Path) -> UserError:
    """The error to raise if another process is writing the output."""
    return UserError(f"{path}: another process is writing it; wait for its end, or give another folder")


def umask() -> int:
    """The permissions that are removed from new files of this process."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
