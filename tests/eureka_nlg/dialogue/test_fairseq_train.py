"""The log of a training stays with its checkpoints."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("fairseq")

from fairseq_cli import train

from eureka_nlg.dialogue import fairseq_train
from eureka_nlg.dialogue.fairseq_train import train_with_log


def settings(save_dir: Path, rank: int = 0, no_save: bool = False) -> SimpleNamespace:
    """What the log needs of fairseq's configuration."""
    return SimpleNamespace(
        checkpoint=SimpleNamespace(save_dir=str(save_dir), no_save=no_save),
        distributed_training=SimpleNamespace(distributed_rank=rank),
    )


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> list[int]:
    """A training that logs as fairseq does; the epochs that it went through."""
    caplog.set_level(logging.INFO)
    done: list[int] = []

    def main(config: SimpleNamespace, fails: bool = False) -> None:
        done.append(len(done) + 1)
        logging.getLogger("train").info("epoch %03d | loss 1.5", done[-1])
        if fails:
            raise FloatingPointError

    monkeypatch.setattr(train, "main", main)
    monkeypatch.setattr(sys, "argv", ["fairseq-train", "data", "--arch", "a model"])
    return done


def test_command_versions_and_every_epoch(epochs: list[int], tmp_path: Path) -> None:
    for _ in range(2):  # interrupted and resumed
        train_with_log(settings(tmp_path / "run"))
    messages = [
        line.split(" | ", 2)[2] for line in (tmp_path / "run" / "fairseq.log").read_text().splitlines()
    ]
    command, versions, first, *_, last = messages
    assert command == "eureka_nlg.dialogue.fairseq_train | fairseq-train data --arch 'a model'"
    assert '"torch": ' in versions
    assert (first, last) == ("train | epoch 001 | loss 1.5", "train | epoch 002 | loss 1.5")
    assert len(messages) == 6


def test_logging_is_left_as_it_was(epochs: list[int], tmp_path: Path) -> None:
    before = list(logging.getLogger().handlers)
    with pytest.raises(FloatingPointError):
        train_with_log(settings(tmp_path), fails=True)
    assert logging.getLogger().handlers == before
    assert "epoch 001" in (tmp_path / "fairseq.log").read_text()


def test_a_log_that_cannot_be_written_is_one_line(
    epochs: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fairseq.log").symlink_to("/dev/full")  # each write to it fails as on a full disk
    train_with_log(settings(tmp_path))
    assert epochs == [1]
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1
    assert "fairseq.log: cannot be written: No space left on device; the training goes on" in warning


def test_only_the_first_process_writes_and_only_beside_checkpoints(epochs: list[int], tmp_path: Path) -> None:
    train_with_log(settings(tmp_path / "other", rank=1))
    train_with_log(settings(tmp_path / "dry", no_save=True))
    assert epochs == [1, 2]
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_fairseq_is_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted:
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "fairseq_cli", Interrupted())
    monkeypatch.setattr(fairseq_train, "_WARNINGS", logging.Logger("of this test"))
    assert fairseq_train.main() == 130
    said = "eureka train: error: interrupted; the same command goes on from the last checkpoint\n"
    assert capsys.readouterr() == ("", said)
