"""Checkpoints come back as they were; what is none, or not whole, is one line."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eureka_nlg.errors import UserError
from eureka_nlg.vision.training.checkpoint import (
    load_checkpoint,
    random_state,
    save_checkpoint,
    set_random_state,
)


def whole(**changed: Any) -> dict[str, Any]:
    return {
        "network": {"weight": torch.arange(3.0)},
        "optimizer": {"state": {}, "param_groups": []},
        "step": 5,
        "epoch": 2,
        "steps_per_epoch": 4,
        "signature": "abc",
        "loss_sum": torch.tensor(1.5, dtype=torch.float64),
        "random": random_state(),
        "config": {"loss": {"name": "eureka"}, "x": None},
        **changed,
    }


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "new" / "c.pt", whole())
    loaded = load_checkpoint(tmp_path / "new" / "c.pt")
    assert torch.equal(loaded["network"]["weight"], torch.arange(3.0))
    assert (loaded["step"], loaded["config"]) == (5, {"loss": {"name": "eureka"}, "x": None})
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["c.pt"]


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_checkpoint(tmp_path / "none.pt")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load_checkpoint(tmp_path)
    torch.save({"some": "dict"}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="is not one of `eureka vision train`"):
        load_checkpoint(tmp_path / "other.pt")


@pytest.mark.parametrize("value", [None, True, 1.0, "1", torch.zeros(0), torch.ones(1)])
def test_a_format_that_is_no_number_of_ours(value: Any, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", whole(format=value))
    with pytest.raises(UserError, match=r"c.pt: is not one of `eureka vision train`"):
        load_checkpoint(tmp_path / "c.pt")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("network", None, "network: NoneType, expected tensors by name"),
        ("network", {"weight": 1}, "network: dict, expected tensors by name"),
        ("optimizer", [], "optimizer: list"),
        ("step", "5", "step: str, expected steps done"),
        ("step", -1, "step: int"),
        ("epoch", 0, "epoch: int, expected an epoch from 1 on"),
        ("steps_per_epoch", 0, "steps_per_epoch: int"),
        ("signature", b"abc", "signature: bytes"),
        ("loss_sum", torch.zeros(2), "loss_sum: Tensor"),
        ("random", {"cpu": [1, 2], "cuda": []}, "random: dict"),
        ("config", "options", "config: str, expected options by name"),
    ],
)
def test_a_checkpoint_with_a_wrong_part(key: str, value: Any, said: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", whole(**{key: value}))
    with pytest.raises(UserError) as caught:
        load_checkpoint(tmp_path / "c.pt")
    assert str(caught.value).startswith(f"checkpoint {tmp_path / 'c.pt'}: is not whole: {said}")
    content = whole()
    del content[key]
    save_checkpoint(tmp_path / "c.pt", content)
    with pytest.raises(UserError, match=f"is not whole: {key}: none, expected"):
        load_checkpoint(tmp_path / "c.pt")


@pytest.mark.filterwarnings("ignore")
def test_bytes_that_are_cut_or_changed_are_one_line(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"format": 1, **whole(random={"cpu": torch.zeros(8, dtype=torch.uint8), "cuda": []})}, buffer)
    good, path = buffer.getvalue(), tmp_path / "c.pt"
    random = np.random.default_rng(0)
    refused = 0
    for number in range(120):
        content = bytearray(good)
        for position in random.integers(0, len(content), 4):
            content[position] = random.integers(0, 256)
        path.write_bytes(content[: int(random.integers(1, len(content)))] if number % 2 else content)
        try:
            load_checkpoint(path)
        except UserError as error:
            refused += "\n" not in str(error)
    assert refused >= 60  # those that were cut, at least


def test_random_state_comes_back() -> None:
    state = random_state()
    drawn = torch.rand(3)
    set_random_state(state)
    assert torch.equal(torch.rand(3), drawn)
