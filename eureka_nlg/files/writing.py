"""Writing of files that are either complete or unchanged."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from eureka_nlg.files.partial import cannot, named_errors, new_partial, remove_leftovers, sync, umask
from eureka_nlg.files.special import followed, is_special, open_special

__all__ = ["write_json", "write_lines", "write_text", "write_whole"]


@contextmanager
def write_whole(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file to write to, which replaces ``path`` if the block ends without an error.

    The folder is created if it does not exist. The target of a link is replaced, not the link. A pipe or a
    device such as ``/dev/stdout`` is written to directly. The permissions of a replaced file are kept.

    Raises:
        UserError: the file cannot be written (full disk, read-only folder ...); the old file is unchanged.
    """
    path = followed(path)
    if is_special(path):
        with named_errors(path), open_special(path) as file:
            yield file
        return
    target = path.resolve()
    with named_errors(path):
        if target.is_dir():  # checked before the work, not after it
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(target)
        partial, descriptor = new_partial(target)
    guarded: _Guarded | None = None
    try:
        with os.fdopen(descriptor, "wb") as file:
            guarded = _Guarded(file)
            yield guarded  # type: ignore[misc]
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(OSError):  # some file systems have no permissions
                os.fchmod(
                    file.fileno(), _permissions(target)
                )  # the temporary file is readable by its owner only
            os.replace(partial, target)
            sync(target.parent)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        cause = guarded.error if guarded is not None and guarded.error is not None else error
        if isinstance(cause, OSError) and cause.filename in (None, str(partial), partial):
            raise cannot(path, cause) from error
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8; see :func:`write_whole`."""
    with write_whole(path) as file:
        file.write(text.encode())


def write_lines(path: str | os.PathLike[str], lines: Iterable[str]) -> None:
    """Write one item per line; see :func:`write_whole`."""
    write_text(path, "".join(f"{line}\n" for line in lines))


def write_json(path: str | os.PathLike[str], content: Any, indent: int | None = 2) -> None:
    """Write JSON; see :func:`write_whole`.

    Raises:
        ValueError: a number is not finite, which JSON does not support.
        UserError: the file cannot be written.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    write_text(path, f"{text}\n")


class _Guarded:
    """A binary file that stores the error of a failed write, since some writers hide it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _permissions(path: Path) -> int:
    """Permissions of the file to be replaced, or of a new file."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return 0o666 & ~umask()
