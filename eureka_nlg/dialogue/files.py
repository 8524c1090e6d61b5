"""Output that is either whole or not there, and the fingerprint of input files."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eureka_nlg.errors import UserError

__all__ = ["new_folder", "sha256"]


@contextmanager
def new_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary neighbour of ``path`` that takes its place when the block ends without an error.

    Args:
        path: the folder to come.
        overwrite: replace what is there, once the new folder is whole.

    Raises:
        UserError: ``path`` is a file, or a folder with something in it and ``overwrite`` is not given; or
            nothing can be written there.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise UserError(f"{path}: is no folder; give --out the name of a folder")
    if path.exists() and any(path.iterdir()) and not overwrite:
        raise UserError(f"{path}: the folder is not empty; give another --out, or --overwrite to replace it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    try:
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
            raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
        raise


def _replace(path: Path, new: Path) -> None:
    if not path.exists():
        os.rename(new, path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    os.rename(path, old)  # a rename onto a folder needs it empty: `old` is
    try:
        os.rename(new, path)
    except BaseException:
        os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
