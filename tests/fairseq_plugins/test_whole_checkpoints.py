"""A checkpoint of fairseq that cannot be written leaves the one that was there."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch
from full_disk import largest_file

pytest.importorskip("fairseq")

from fairseq import checkpoint_utils

import fairseq_plugins  # noqa: F401 - changes how checkpoints are written
from eureka_nlg.errors import UserError

LARGE = {"weight": torch.zeros(100_000)}


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, last = tmp_path / "checkpoint1.pt", tmp_path / "checkpoint_last.pt"
    for path in (first, last):
        checkpoint_utils.torch_persistent_save({"weight": path.name}, str(path))
    with (
        largest_file(20_000),
        pytest.raises(
            UserError, match=r"checkpoint1\.pt: cannot be written: File too large; the same command"
        ),
    ):
        checkpoint_utils.torch_persistent_save(LARGE, str(first))
    torch.save(LARGE, first)
    with (
        largest_file(20_000),
        pytest.raises(UserError, match=r"checkpoint_last\.pt: cannot be written: File too large; the same"),
    ):
        checkpoint_utils.PathManager.copy(str(first), str(last), overwrite=True)
    assert torch.load(last, weights_only=True) == {"weight": "checkpoint_last.pt"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint1.pt", "checkpoint_last.pt"]
    assert not caplog.records  # fairseq logs its traceback
    assert checkpoint_utils.PathManager.copy(str(first), str(last), overwrite=True)
    assert last.read_bytes() == first.read_bytes()


def test_what_is_no_file_of_this_machine_stays_fairseqs_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    from fairseq.file_io import PathManager

    from fairseq_plugins import whole_checkpoints

    seen: list[object] = []
    monkeypatch.setattr(whole_checkpoints, "_save", lambda *arguments: seen.append(arguments))
    monkeypatch.setattr(PathManager, "copy", staticmethod(lambda *arguments: seen.append(arguments) or True))
    checkpoint_utils.torch_persistent_save({}, "store://a")
    checkpoint_utils.torch_persistent_save({}, "a", async_write=True)
    assert checkpoint_utils.PathManager.copy("a", "store://a")
    assert seen == [({}, "store://a", False), ({}, "a", True), ("a", "store://a", False)]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=r"file/run: cannot be written: Not a directory"):
        checkpoint_utils.verify_checkpoint_directory(str(tmp_path / "file" / "run"))
    checkpoint_utils.verify_checkpoint_directory(str(tmp_path / "run"))
    assert not list((tmp_path / "run").iterdir())


class _Trainer:
    """What fairseq's save_checkpoint asks of a trainer."""

    data_parallel_rank = 0
    should_save_checkpoint_on_current_rank = True
    checkpoint_suffix = ""
    task = None

    def consolidate_optimizer(self) -> None: ...

    def get_num_updates(self) -> int:
        return 5

    def save_checkpoint(self, path: str, extra_state: dict[str, object]) -> str:
        checkpoint_utils.torch_persistent_save(extra_state, path)
        return path


class _Epoch:
    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def end_of_epoch(self) -> bool:
        return True

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch}


def test_the_removal_of_old_checkpoints_is_on_the_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fairseq.dataclass.configs import CheckpointConfig

    from fairseq_plugins import whole_checkpoints

    synced: list[list[str]] = []
    monkeypatch.setattr(
        whole_checkpoints, "sync", lambda path: synced.append(sorted(each.name for each in path.iterdir()))
    )
    monkeypatch.delattr(checkpoint_utils.save_checkpoint, "best", raising=False)
    config = CheckpointConfig(save_dir=str(tmp_path), keep_last_epochs=1)
    for epoch, loss in enumerate((3.0, 2.0, 4.0), start=1):
        checkpoint_utils.save_checkpoint(config, _Trainer(), _Epoch(epoch), loss)
    best_and_last = ["checkpoint_best.pt", "checkpoint_last.pt"]
    assert synced == [[f"checkpoint{epoch}.pt", *best_and_last] for epoch in (1, 2, 3)]
    # fairseq keeps the best score as an attribute of the function
    assert checkpoint_utils.save_checkpoint.best == 2.0
    best = torch.load(tmp_path / "checkpoint_best.pt", weights_only=True)
    assert best["train_iterator"] == {"epoch": 2}

    def refuse(path: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(checkpoint_utils.os, "remove", refuse)
    with pytest.raises(UserError, match="cannot be written: Read-only file system"):
        checkpoint_utils.save_checkpoint(config, _Trainer(), _Epoch(4), 1.0)
