"""A folder is there whole or not at all, and may be held by one process alone."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eureka_nlg.errors import UserError
from eureka_nlg.files.partial import (
    PARTIAL,
    busy,
    cannot,
    lock,
    named_errors,
    prefix,
    remove_leftovers,
    umask,
)

__all__ = ["exclusive", "new_folder"]

_OLD = ".old"


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
        building = Path(tempfile.mkdtemp(prefix=prefix(path), suffix=PARTIAL, dir=path.parent))
    except OSError as error:
        raise cannot(path, error) from error
    descriptor = os.open(building, os.O_RDONLY)
    try:
        lock(descriptor)
        if remove_leftovers(path, but=building):
            raise busy(path)
        yield building
        building.chmod(0o777 & ~umask())  # mkdtemp's are for the owner only
        _replace(path, building)
    except BaseException as error:
        for child in multiprocessing.active_children():  # or they would write on
            child.terminate()
            child.join()
        shutil.rmtree(building, ignore_errors=True)
        # A full disk names no file, and the name of a temporary one says little.
        if isinstance(error, OSError) and str(error.filename or building).startswith(str(building)):
            raise cannot(path, error) from error
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
    with named_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY)
    try:
        if not lock(descriptor):
            raise busy(path)
        yield descriptor
    finally:
        os.close(descriptor)


def _replace(path: Path, new: Path) -> None:
    if not path.exists():
        os.rename(new, path)
        return
    old = Path(tempfile.mkdtemp(prefix=prefix(path), suffix=_OLD, dir=path.parent))
    os.rename(path, old)  # a rename onto a folder needs it empty: `old` is
    try:
        os.rename(new, path)
    except BaseException:
        os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)
