"""Output that is either whole or not there, and the fingerprint of input files.

Everything is written to a neighbour with the ending ``.partial``, which takes the name when it is whole. The
neighbour is locked by the process that writes it, and the lock ends with the process: what a killed one left
behind is removed by the next that writes the same name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from eureka_nlg.errors import UserError

__all__ = [
    "exclusive",
    "new_folder",
    "output_file",
    "read_json",
    "sha256",
    "write_json",
    "write_lines",
    "write_text",
    "write_whole",
]

Kind = Literal["text", "JSON", "HTML"]

_PARTIAL, _OLD = ".partial", ".old"
_YOUNG = 10.0  # seconds in which a neighbour that is not locked may be about to be
_DESCRIPTOR = re.compile(r"/dev/(?:fd/(\d+)|(stdout)|(stderr))|/proc/self/fd/(\d+)")
_MOST_LINKS = 40  # as many as Linux follows
# how files begin that an output must not replace; text is told by its content
_MAGIC = {
    b"PK\x03\x04": "a zip archive, as checkpoints are",
    b"\x80": "a pickle, as old checkpoints are",
    b"\x89PNG": "PNG",
    b"\x93NUMPY": "a NumPy array",
    b"\x1f\x8b": "gzip",
}
_OTHER_TEXT = {".yaml": "YAML", ".yml": "YAML", ".log": "a log", ".py": "Python"}


@contextmanager
def write_whole(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file to write to, which is at ``path`` when the block ends without an error, and not before.

    The folder is made if it is not there. A link stays a link, and what it points to is replaced. A pipe or a
    device such as ``/dev/stdout`` is written to and stays what it is. A replaced file's permissions are kept.

    Raises:
        UserError: the file cannot be written (full disk, read-only folder ...); the old one is as it was.
    """
    path = _followed(path)
    if _is_special(path):
        with _named_errors(path), _open_special(path) as file:
            yield file
        return
    target = path.resolve()
    with _named_errors(path):
        if target.is_dir():  # now, not when the work is done
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target)
        descriptor, name = tempfile.mkstemp(prefix=_prefix(target), suffix=_PARTIAL, dir=target.parent)
    guarded: _Guarded | None = None
    try:
        with os.fdopen(descriptor, "wb") as file:
            _lock(file.fileno())
            guarded = _Guarded(file)
            yield guarded  # type: ignore[misc]
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(OSError):  # some file systems have none
                os.fchmod(file.fileno(), _permissions(target))  # mkstemp's are for the owner only
            os.replace(name, target)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        cause = guarded.error if guarded is not None and guarded.error is not None else error
        if isinstance(cause, OSError) and cause.filename in (None, name):
            raise _cannot(path, cause) from error
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8; see :func:`write_whole`."""
    with write_whole(path) as file:
        file.write(text.encode())


def write_lines(path: str | os.PathLike[str], lines: Iterable[str]) -> None:
    """Write one item a line; see :func:`write_whole`."""
    write_text(path, "".join(f"{line}\n" for line in lines))


def write_json(path: str | os.PathLike[str], content: Any, indent: int | None = 2) -> None:
    """Write JSON, which knows no infinite numbers; see :func:`write_whole`.

    Raises:
        ValueError: not a finite number.
        UserError: it cannot be written.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    write_text(path, f"{text}\n")


def output_file(
    path: str | os.PathLike[str], option: str, kind: Kind = "text", holds: Sequence[str] = ()
) -> Path:
    """Notice before the work, and not after it, that there is no place for the result.

    Args:
        path: where the result is to go.
        option: what a message calls it, such as ``"--out"``.
        kind: what the result is. A file of another kind is never replaced.
        holds: keys of the document, or of each document in it, that the JSON at this place must have to be
            replaced; another is left alone.

    Raises:
        UserError: a folder, a file of another kind, or a place that cannot be written to.
    """
    given, path = Path(path), _followed(path)
    if _is_special(path):
        return given
    if path.is_dir():
        raise UserError(f"{option} {path}: is a folder, expected a file name")
    target = path.resolve()
    if not target.parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}, make it first")
    if target.exists():
        found = _kind(target)
        if found not in (None, kind):
            raise UserError(f"{option} {path}: is there and is {found}, not {kind}: give another name")
        if found == "JSON" and holds and not _holds(read_json(target), holds):
            raise UserError(
                f"{option} {path}: is there and is JSON of something else (without {' and '.join(holds)}): "
                "give another name"
            )
    try:
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise UserError(f"{option} {path}: cannot be written: {error.strerror}") from error
    return given


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        UserError: not there, or not JSON; with the place.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))  # some editors begin with a mark
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is no JSON (byte {error.start + 1} is not valid UTF-8)") from error
    except RecursionError as error:
        raise UserError(f"{path}: is no JSON that can be read (it is nested too deeply)") from error
    except ValueError as error:
        raise UserError(f"{path}: is no JSON ({error})") from error


@contextmanager
def new_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary neighbour of ``path`` that takes its place when the block ends without an error.

    Args:
        path: the folder to come.
        overwrite: replace what is there, once the new folder is whole.

    Raises:
        UserError: ``path`` is a file, or a folder with something in it and ``overwrite`` is not given; or
            another process is making it; or nothing can be written there.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise UserError(f"{path}: is no folder; give --out the name of a folder")
    if path.exists() and any(path.iterdir()) and not overwrite:
        raise UserError(f"{path}: the folder is not empty; give another --out, or --overwrite to replace it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=_prefix(path), suffix=_PARTIAL, dir=path.parent))
    except OSError as error:
        raise _cannot(path, error) from error
    descriptor = os.open(building, os.O_RDONLY)
    try:
        _lock(descriptor)
        if _remove_leftovers(path, but=building):
            raise _busy(path)
        yield building
        building.chmod(0o777 & ~_umask())  # mkdtemp's are for the owner only
        _replace(path, building)
    except BaseException as error:
        for child in multiprocessing.active_children():  # or they would write on
            child.terminate()
            child.join()
        shutil.rmtree(building, ignore_errors=True)
        # A full disk names no file, and the name of a temporary one says little.
        if isinstance(error, OSError) and str(error.filename or building).startswith(str(building)):
            raise _cannot(path, error) from error
        raise
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(folder: str | os.PathLike[str]) -> Iterator[int]:
    """Hold a folder for this process alone; it is made if it is not there.

    The lock ends with the process, however that ends. A child goes on holding it if it inherits the
    descriptor, ``subprocess.run(..., pass_fds=[descriptor])``.

    Returns:
        The descriptor.

    Raises:
        UserError: another process holds it.
    """
    path = Path(folder)
    with _named_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY)
    try:
        if not _lock(descriptor):
            raise _busy(path)
        yield descriptor
    finally:
        os.close(descriptor)


def sha256(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


class _Guarded:
    """A binary file that remembers why it could not be written: some writers do not pass that on."""

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


def _prefix(path: Path) -> str:
    """How the names of the neighbours begin; a name may be as long as the file system allows."""
    name = path.name
    if len(os.fsencode(name)) > 200:
        name = f"{name[:40]}~{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    return f".{name}."


def _followed(path: str | os.PathLike[str]) -> Path:
    """Where links lead, but not past a descriptor: /dev/stdout is a link itself."""
    followed = Path(path)
    for _ in range(_MOST_LINKS):
        if _DESCRIPTOR.fullmatch(str(followed)) or not followed.is_symlink():
            break
        followed = followed.parent / os.readlink(followed)
    return followed


def _is_special(path: Path) -> bool:
    """Whether there is something that is written to, and never replaced: a pipe, a terminal, a descriptor."""
    return _DESCRIPTOR.fullmatch(str(path)) is not None or (
        path.exists() and not path.is_file() and not path.is_dir()
    )


def _open_special(path: Path) -> IO[bytes]:
    match = _DESCRIPTOR.fullmatch(str(path))
    if match is None:
        return open(path, "wb")
    number = 1 if match[2] else 2 if match[3] else int(match[1] or match[4] or 0)
    # opened by its name it would begin anew where the descriptor is a file that has been written to
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return os.fdopen(os.dup(number), "wb")


def _kind(path: Path) -> str | None:
    """What a file is, from its content; None for an empty one."""
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    if not head:
        return None
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(head) - error.start > 3:  # else the last character was cut
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


def _holds(document: Any, keys: Sequence[str]) -> bool:
    if not isinstance(document, dict):
        return False
    parts = list(document.values())
    return all(key in document for key in keys) or (
        bool(parts) and all(isinstance(part, dict) and all(key in part for key in keys) for part in parts)
    )


def _lock(descriptor: int) -> bool:
    """Lock a file or folder unless another process holds it. Where there are no locks all goes on without."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def _remove_leftovers(path: Path, but: Path | None = None) -> bool:
    """Remove what killed processes left of this output; return whether another one is at work on it."""
    busy = False
    names = re.compile(re.escape(_prefix(path)) + r"[^.]+" + re.escape(_PARTIAL))
    for entry in os.scandir(path.parent):
        if names.fullmatch(entry.name) is None or (but is not None and entry.name == but.name):
            continue
        with contextlib.suppress(OSError):  # it may be gone by now
            descriptor = os.open(entry.path, os.O_RDONLY)
            try:
                if not _lock(descriptor):
                    busy = True
                elif time.time() - entry.stat(follow_symlinks=False).st_mtime > _YOUNG:
                    shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)
            finally:
                os.close(descriptor)
    return busy


def _replace(path: Path, new: Path) -> None:
    if not path.exists():
        os.rename(new, path)
        return
    old = Path(tempfile.mkdtemp(prefix=_prefix(path), suffix=_OLD, dir=path.parent))
    os.rename(path, old)  # a rename onto a folder needs it empty: `old` is
    try:
        os.rename(new, path)
    except BaseException:
        os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # the reader went away: no fault of the file
    except OSError as error:
        raise _cannot(path, error) from error


def _cannot(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot be written: {error.strerror or error}")


def _busy(path: Path) -> UserError:
    return UserError(f"{path}: another process is writing it; wait for its end, or give another folder")


def _permissions(path: Path) -> int:
    """Those of the file that is replaced, else those of a new one."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
