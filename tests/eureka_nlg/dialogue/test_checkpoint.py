"""A checkpoint is read without running what is in it, and told from what is none."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch

from eureka_nlg.dialogue.checkpoint import is_whole, read_checkpoint
from eureka_nlg.errors import UserError


def content(**other: Any) -> dict[str, Any]:
    """What fairseq saves, as far as it is read."""
    return {
        "cfg": {"_name": None, "common": {"seed": 1}, "model": Namespace(arch="lstm"), "task": {"data": "d"}},
        "extra_state": {"train_iterator": {"epoch": 4, "iterations_in_epoch": 0}},
        "optimizer_history": [{"num_updates": 7}, {"num_updates": 12}],
        "model": {"weight": torch.zeros(2, 3)},
        **other,
    }


def test_sections_and_position(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    torch.save(content(), path)
    read = read_checkpoint(path, needs=("model",))
    assert read.sections == {
        "_name": {},
        "common": {"seed": 1},
        "model": {"arch": "lstm"},
        "task": {"data": "d"},
    }
    assert (read.num_epochs, read.in_epoch, read.num_updates) == (3, False, 12)
    torch.save(content(extra_state={"train_iterator": {"epoch": 4, "iterations_in_epoch": 9}}), path)
    read = read_checkpoint(path)
    assert (read.num_epochs, read.in_epoch) == (4, True)


def test_a_shared_table_counts_once(tmp_path: Path) -> None:
    path, table = tmp_path / "c.pt", torch.rand(5, 4)
    bias = torch.zeros(4)
    shared = {"encoder.embed": table, "decoder.embed": table, "a.bias": bias, "b.bias": bias.clone()}
    for model in (shared, {**shared, "decoder.embed": table.clone()}):  # from a GPU it is saved twice
        torch.save(
            content(model={**model, "version": torch.tensor(3), "x._float_tensor": torch.zeros(1)}), path
        )
        assert read_checkpoint(path).num_parameters == 20 + 4 + 4


class _Attack:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"cfg": 5}, "TypeError"),
        ({"cfg": {"task": [1, 2]}}, "TypeError"),
        ({"cfg": {"task": {3: 4}}}, "TypeError"),
        ({"extra_state": {"train_iterator": {"other": 1}}}, "it has no 'epoch'"),
        ({"extra_state": {"train_iterator": {"epoch": "x"}}}, "ValueError"),
        ({"extra_state": {"train_iterator": {"epoch": float("inf")}}}, "OverflowError"),
        ({"extra_state": [1]}, "AttributeError"),
        ({"optimizer_history": "text"}, "AttributeError"),
        ({"optimizer_history": {"a": 1}}, "it has no -1"),
        ({"model": 5}, "AttributeError"),
        ({"model": {"weight": [1.0]}}, "TypeError"),
    ],
)
def test_what_is_not_as_fairseq_saves_it(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    path = tmp_path / "c.pt"
    torch.save(content(**changed), path)
    with pytest.raises(UserError, match=rf"c\.pt: not a checkpoint of fairseq-train.*{reason}"):
        read_checkpoint(path)


def test_what_is_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.pt"
    with pytest.raises(UserError, match=r"c\.pt: No such file.*; expected a checkpoint of fairseq-train"):
        read_checkpoint(path)
    for data in (b"", b"text", b"\x80\x04K\x01.", b"PK\x03\x04"):
        path.write_bytes(data)
        with pytest.raises(UserError, match="not a checkpoint of fairseq-train"):
            read_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(UserError, match="not a checkpoint of fairseq-train"):
        read_checkpoint(path)
    torch.save(content(), path)
    with pytest.raises(UserError, match="it has no 'last_optimizer_state'"):
        read_checkpoint(path, needs=("last_optimizer_state",))
    assert is_whole(path)
    path.write_bytes(path.read_bytes()[:-10])
    assert not is_whole(path)
    with pytest.raises(UserError, match="not a checkpoint of fairseq-train"):
        read_checkpoint(path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save(content(task_state=_Attack(tmp_path / "hacked")), path)
    with pytest.raises(UserError, match="more than weights and options"):
        read_checkpoint(path)
    assert not (tmp_path / "hacked").exists()
