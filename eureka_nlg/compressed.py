"""Reading of files that may be compressed: gzip, bzip2, xz, Zstandard, or a zip archive of one file."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import PurePath
from typing import Any, BinaryIO

from eureka_nlg.errors import UserError, require
from eureka_nlg.limits import ALWAYS_UNPACKED, GREATEST_RATIO

__all__ = ["open_input", "plain_name"]

# The first bytes of a file, and its format.
_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),  # an empty archive
)
_SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".zip")
_TAR = slice(257, 262)


def plain_name(path: str | os.PathLike[str]) -> PurePath:
    """The name of a file without the suffix of its compression: ``train.txt`` for ``train.txt.gz``."""
    name = PurePath(path)
    return name.with_suffix("") if name.suffix.lower() in _SUFFIXES else name


@contextmanager
def open_input(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for reading bytes; a compressed file, recognised by its first bytes, is unpacked.

    Raises:
        UserError: the file is broken or encrypted, is a tar archive or a zip archive of several files, or
            (while reading) unpacks to more than 300 times its size.
    """
    with ExitStack() as stack:
        file = stack.enter_context(open(path, "rb"))
        head = file.peek(512)
        kind = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
        if kind is None:
            _refuse_tar(head, path)
            yield file
            return
        with _errors(path, kind):
            content = _opened(file, kind, path, stack)
        yield stack.enter_context(io.BufferedReader(_Decompressed(content, path, kind, _limit(file))))


def _opened(file: Any, kind: str, path: Any, stack: ExitStack) -> Any:
    if kind == "gzip":
        return stack.enter_context(gzip.GzipFile(fileobj=file))
    if kind == "bzip2":
        return stack.enter_context(bz2.BZ2File(file))
    if kind == "xz":
        return stack.enter_context(lzma.LZMAFile(file))
    if kind == "zstd":
        arrow = require("pyarrow", extra="data")
        return stack.enter_context(arrow.CompressedInputStream(arrow.PythonFile(file, "r"), "zstd"))
    archive = stack.enter_context(zipfile.ZipFile(file))
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir()
        and not PurePath(member.filename).name.startswith(".")
        and not member.filename.startswith("__MACOSX/")
    ]
    if len(members) != 1:
        names = ", ".join(member.filename for member in members[:5]) or "none"
        raise UserError(
            f"{path}: the zip archive holds {len(members)} files ({names}); expected one: unpack the archive "
            "and give the folder or the files"
        )
    return stack.enter_context(archive.open(members[0]))


def _limit(file: BinaryIO) -> int | None:
    """Largest number of unpacked bytes; None if the size of the file is not known."""
    status = os.fstat(file.fileno())
    return max(ALWAYS_UNPACKED, GREATEST_RATIO * status.st_size) if stat.S_ISREG(status.st_mode) else None


def _refuse_tar(head: bytes, path: Any) -> None:
    if head[_TAR] == b"ustar":
        raise UserError(f"{path}: is a tar archive: unpack it and give the folder or the files")


@contextmanager
def _errors(path: Any, kind: str) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    # RuntimeError: an encrypted member of a zip archive, or (NotImplementedError) an unknown method
    except (
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        zlib.error,
        lzma.LZMAError,
        zipfile.BadZipFile,
    ) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(
            f"{path}: cannot be unpacked as {kind} ({reason}); fetch or make the file again"
        ) from error


class _Decompressed(io.RawIOBase):
    """The unpacked content of a file, with errors that contain its name and a limit of its size."""

    def __init__(self, file: Any, path: Any, kind: str, limit: int | None) -> None:
        self._file, self._path, self._kind, self._limit = file, path, kind, limit
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _errors(self._path, self._kind):
            data = self._file.read(len(buffer))
        if not self._bytes:
            _refuse_tar(data, self._path)
        self._bytes += len(data)
        if self._limit is not None and self._bytes > self._limit:
            raise UserError(
                f"{self._path}: unpacks to more than {GREATEST_RATIO} times its size ({self._limit:,} bytes)"
                ", which no normal text does; if the file is correct, unpack it yourself"
            )
        buffer[: len(data)] = data
        return len(data)
