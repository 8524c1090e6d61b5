"""Output folders that are either complete or absent, and locks on folders and files."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eureka_nlg.errors import UserError
from eureka_nlg.files.partial import (
    busy,
    cannot,
    exchange,
    held,
    lock,
    named_errors,
    new_partial,
    prefix,
    remove_leftovers,
    sync,
    umask,
)
from eureka_nlg.files.special import followed, is_special

__all__ = ["alone", "exclusive", "files_of", "new_folder", "remove_made"]

_OLD = ".old"
_FILES = "files"


@contextmanager
def new_folder(path: Path, overwrite: bool = False, mark: str | None = None) -> Iterator[Path]:
    """A temporary folder next to ``path`` that is renamed to ``path`` if the block ends without an error.

    Args:
        path: the folder to create.
        overwrite: whether to replace an existing folder, once the new one is complete.
        mark: name of a file that every such folder has; a folder without it is never replaced.

    Raises:
        UserError: ``path`` is a file; or it is a folder that is not empty and ``overwrite`` is not given, or
            one without ``mark``; or another process is creating it; or it cannot be written.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise UserError(f"{path}: is no folder; give --out the name of a folder")
    if path.exists() and any(path.iterdir()) and not overwrite:
        raise UserError(f"{path}: the folder is not empty; give another --out, or --overwrite to replace it")
    if mark is not None:
        _check_made(path, mark)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        building, descriptor = new_partial(path, is_folder=True)
    except OSError as error:
        raise cannot(path, error) from error
    try:
        with held(descriptor):
            if remove_leftovers(path, but=building):
                raise busy(path)
            yield building
            _synced(building)
            building.chmod(0o777 & ~umask())  # a temporary folder is readable by its owner only
            _replace(path, building)
            sync(path.parent)
    except BaseException as error:
        for child in multiprocessing.active_children():  # otherwise they would continue writing
            child.terminate()
            child.join()
        shutil.rmtree(building, ignore_errors=True)
        # The error of a full disk has no file name, and the name of a temporary file would not help.
        if isinstance(error, OSError) and str(error.filename or building).startswith(str(building)):
            raise cannot(path, error) from error
        raise


def remove_made(path: Path, mark: str) -> None:
    """Remove a folder that an earlier command has created, if it exists.

    Args:
        path: the folder.
        mark: name of a file that every such folder has.

    Raises:
        UserError: the folder has no file ``mark``, so it was created by something else.
    """
    _check_made(path, mark)
    shutil.rmtree(path, ignore_errors=True)


def _check_made(path: Path, mark: str) -> None:
    if path.is_dir() and any(path.iterdir()) and not (path / mark).is_file():
        raise UserError(
            f"{path}: exists and was not made by this command (it has no {mark}), so it is not replaced: "
            "give another --out"
        )


@contextmanager
def exclusive(folder: str | os.PathLike[str]) -> Iterator[int]:
    """Lock a folder for this process; it is created if it does not exist, and removed if it stays empty.

    The lock ends with the process, however the process ends. A child process keeps the lock if it inherits
    the descriptor: ``subprocess.run(..., pass_fds=[descriptor])``.

    Yields:
        The descriptor of the folder.

    Raises:
        UserError: another process has locked the folder.
    """
    path = Path(folder)
    with named_errors(path):
        is_new = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY)
    with held(descriptor):
        if lock(descriptor) is False:
            raise busy(path)
        try:
            yield descriptor
        finally:
            if is_new:
                with contextlib.suppress(OSError):
                    path.rmdir()


@contextmanager
def alone(path: str | os.PathLike[str]) -> Iterator[None]:
    """Ensure that only this process creates an output, from before the work to its end.

    Meanwhile an empty file next to the output is locked; it is removed afterwards. There is no such file for
    pipes and devices, nor if the folder cannot be written to, which is reported when the output is written.

    Raises:
        UserError: another process is creating the output.
    """
    target = followed(path)
    if is_special(target) or not os.access(target.resolve().parent, os.W_OK):
        yield
        return
    target = target.resolve()
    with named_errors(target):
        marker, descriptor = new_partial(target)
    with held(descriptor):
        try:
            if remove_leftovers(target, but=marker):
                raise busy(target)
            yield
        finally:
            marker.unlink(missing_ok=True)


@contextmanager
def files_of(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder whose files are moved to ``folder`` if the block ends without an error.

    Raises:
        UserError: the files cannot be written; the files in ``folder`` are unchanged.
    """
    path = Path(folder).resolve()
    with named_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path / _FILES)
        building, descriptor = new_partial(path / _FILES, is_folder=True)
    try:
        with held(descriptor):
            yield building
            for file in _synced(building):
                target = path / file.relative_to(building)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, target)
                sync(target.parent)
    except OSError as error:
        if str(error.filename or building).startswith(str(building)):
            raise cannot(path, error) from error
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _synced(folder: Path) -> list[Path]:
    """Wait until all files in a folder are on the disk, and return them."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() or path.is_dir())
    for path in [*paths, folder]:
        sync(path)
    return [path for path in paths if path.is_file()]


def _replace(path: Path, new: Path) -> None:
    if not path.exists():
        os.rename(new, path)
        return
    if exchange(path, new):
        shutil.rmtree(new, ignore_errors=True)
        return
    old = Path(tempfile.mkdtemp(prefix=prefix(path), suffix=_OLD, dir=path.parent))
    os.rename(path, old)  # possible, since `old` is an empty folder
    try:
        os.rename(new, path)
    except BaseException:
        os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)
