"""Files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eureka_nlg.errors import UserError
from eureka_nlg.vision.training.checkpoint import (
    load_checkpoint,
    random_state,
    save_checkpoint,
    set_random_state,
    write_whole,
)
from eureka_nlg.vision.training.log import TrainingLog, read_log


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    content = {
        "network": {"weight": torch.rand(3)},
        "step": 5,
        "config": {"loss": {"name": "eureka"}, "x": None},
    }
    save_checkpoint(tmp_path / "new" / "c.pt", content)
    loaded = load_checkpoint(tmp_path / "new" / "c.pt")
    assert torch.equal(loaded["network"]["weight"], content["network"]["weight"])
    assert (loaded["step"], loaded["config"]) == (5, content["config"])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["c.pt"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(path, {"step": 1})

    def fail(file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, fail)
    assert load_checkpoint(path)["step"] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_checkpoint(tmp_path / "none.pt")
    save_checkpoint(tmp_path / "cut.pt", {"network": torch.rand(1000)})
    (tmp_path / "cut.pt").write_bytes((tmp_path / "cut.pt").read_bytes()[:500])
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(tmp_path / "cut.pt")
    torch.save({"some": "dict"}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="is not one of `eureka vision train`"):
        load_checkpoint(tmp_path / "other.pt")


def test_random_state_comes_back() -> None:
    state = random_state()
    drawn = torch.rand(3)
    set_random_state(state)
    assert torch.equal(torch.rand(3), drawn)


def test_a_log_goes_on_where_the_checkpoint_stands(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    with TrainingLog(tmp_path, step=0, total_steps=30) as log:
        for epoch in (1, 2, 3):
            log.epoch({"epoch": epoch, "step": 10 * epoch, "loss": 1.0 / epoch})
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"epoch": 4, "st')  # killed while it wrote
    with TrainingLog(tmp_path, step=20, total_steps=30) as log:
        log.epoch({"epoch": 3, "step": 30, "loss": 0.3})
    assert [(entry["step"], entry["loss"]) for entry in read_log(tmp_path / "log.jsonl")] == [
        (10, 1.0),
        (20, 0.5),
        (30, 0.3),
    ]
    assert list((tmp_path / "tensorboard").iterdir())
