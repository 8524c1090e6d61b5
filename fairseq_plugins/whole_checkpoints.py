"""Makes fairseq's checkpoints complete or absent, even if writing is interrupted.

By itself, fairseq copies a checkpoint over ``checkpoint_last.pt`` and ``checkpoint_best.pt``; if it is killed
or the disk is full, these files are truncated. On a full disk it also prints a traceback three times and
leaves a ``.tmp`` file.
"""

from __future__ import annotations

import shutil
from typing import Any

import torch
from fairseq import checkpoint_utils
from fairseq.file_io import PathManager

from eureka_nlg.errors import UserError
from eureka_nlg.files import write_whole

__all__ = ["write_whole_checkpoints"]

_GOES_ON = "the same command goes on from the last checkpoint that is whole"
_save = checkpoint_utils.torch_persistent_save


def write_whole_checkpoints() -> None:
    """Replace fairseq's writing of checkpoints in this process, except for remote storage."""
    checkpoint_utils.torch_persistent_save = _save_whole
    checkpoint_utils.PathManager = _WholeCopies


def _save_whole(obj: Any, filename: str, async_write: bool = False) -> None:
    """As ``fairseq.checkpoint_utils.torch_persistent_save``.

    Raises:
        UserError: the file cannot be written; what was there is as it was.
    """
    if async_write or _is_elsewhere(filename):
        _save(obj, filename, async_write)
        return
    try:
        with write_whole(filename) as file:
            torch.save(obj, file)
    except UserError as error:
        raise UserError(f"{error}; {_GOES_ON}") from error


class _WholeCopies(PathManager):
    @staticmethod
    def copy(src_path: str, dst_path: str, overwrite: bool = False) -> bool:
        if _is_elsewhere(src_path) or _is_elsewhere(dst_path):
            return bool(PathManager.copy(src_path, dst_path, overwrite))
        try:
            with open(src_path, "rb") as source, write_whole(dst_path) as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except UserError as error:
            raise UserError(f"{error}; {_GOES_ON}") from error
        return True


def _is_elsewhere(path: str) -> bool:
    return "://" in path
