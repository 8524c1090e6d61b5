"""Makes fairseq's checkpoints complete or absent, even if writing is interrupted.

By itself, fairseq copies a checkpoint over ``checkpoint_last.pt`` and ``checkpoint_best.pt``; if it is killed
or the disk is full, these files are truncated. On a full disk it also prints a traceback three times and
leaves a ``.tmp`` file. A folder that cannot be written ends in a traceback, too.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils
from fairseq.file_io import PathManager

from eureka_nlg.errors import UserError
from eureka_nlg.files import named_errors, sync, write_whole

__all__ = ["write_whole_checkpoints"]

_GOES_ON = "the same command goes on from the last checkpoint that is whole"
_save = checkpoint_utils.torch_persistent_save
_save_all = checkpoint_utils.save_checkpoint
_check_folder = checkpoint_utils.verify_checkpoint_directory


def write_whole_checkpoints() -> None:
    """Replace fairseq's writing of checkpoints in this process, except for remote storage."""
    checkpoint_utils.torch_persistent_save = _save_whole
    checkpoint_utils.PathManager = _WholeCopies
    checkpoint_utils.save_checkpoint = _save_synced
    checkpoint_utils.verify_checkpoint_directory = _folder_can_be_written


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


def _save_synced(cfg: Any, trainer: Any, epoch_itr: Any, val_loss: float | None) -> Any:
    """As ``fairseq.checkpoint_utils.save_checkpoint``, with old checkpoints off the disk at its end.

    Otherwise the removal can be lost with the disk, and a run that has ended does not repeat it.

    Raises:
        UserError: a checkpoint cannot be written, or an old one not removed.
    """
    folder = Path(cfg.save_dir)
    with named_errors(folder):
        saved = _save_all(cfg, trainer, epoch_itr, val_loss)
        saves = not cfg.no_save and trainer.should_save_checkpoint_on_current_rank
        if saves and not _is_elsewhere(cfg.save_dir):
            sync(folder)
    return saved


def _folder_can_be_written(save_dir: str) -> None:
    """As ``fairseq.checkpoint_utils.verify_checkpoint_directory``.

    Raises:
        UserError: it cannot.
    """
    with named_errors(Path(save_dir)):
        _check_folder(save_dir)


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
