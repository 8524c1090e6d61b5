"""A checkpoint of fairseq that cannot be written leaves the one that was there."""

from __future__ import annotations

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
