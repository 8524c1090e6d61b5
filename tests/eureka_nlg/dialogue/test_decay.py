"""A learning rate falls over epochs of the data that are there, not of those a config was written for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from eureka_nlg.dialogue.decay import with_total_num_update
from eureka_nlg.dialogue.training import fairseq_arguments, read_config
from eureka_nlg.errors import UserError

ROOT = Path(__file__).resolve().parents[3]


def data_folder(path: Path, exchanges: int) -> str:
    path.mkdir()
    (path / "manifest.json").write_text(json.dumps({"splits": {"train": {"exchanges": exchanges}}}))
    return str(path)


@pytest.mark.parametrize(
    ("exchanges", "options", "updates"),
    [
        (33632, {"batch_size": 32}, 9 * 1051),  # the part of ConvAI2 of docs/results/convai2.md
        (262876, {"batch_size": 32}, 9 * 8215),  # all of ConvAI2, both sides
        (100, {"batch_size": 32, "update_freq": 3}, 9 * 2),  # batches of 32, 32, 32 and 4; three to an update
        (100, {"batch_size": 32, "update_freq": [1, 4]}, 4 + 8 * 1),
        (100, {"batch_size": 32, "distributed_world_size": 3}, 9 * 2),
    ],
)
def test_updates_are_counted(exchanges: int, options: dict[str, Any], updates: int, tmp_path: Path) -> None:
    given = {
        "data": data_folder(tmp_path / "data", exchanges),
        "distributed_world_size": 1,
        "decay_epochs": 9,
    }
    config = with_total_num_update(given | options)
    assert config["total_num_update"] == updates
    assert "decay_epochs" not in config


def test_the_processes_of_torchrun_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all machines, and not the GPUs of this one."""
    for name, value in (("MASTER_ADDR", "h"), ("MASTER_PORT", "1"), ("WORLD_SIZE", "8"), ("RANK", "0")):
        monkeypatch.setenv(name, value)
    config = {"data": data_folder(tmp_path / "data", 300), "batch_size": 30, "decay_epochs": 4}
    arguments = fairseq_arguments(config)
    assert arguments[arguments.index("--total-num-update") + 1] == str(4 * 2)


def test_each_epoch_reads_the_next_of_several_folders(tmp_path: Path) -> None:
    folders = os.pathsep.join(data_folder(tmp_path / name, size) for name, size in (("a", 40), ("b", 10)))
    given = {"data": folders, "batch_size": 10, "decay_epochs": 3, "distributed_world_size": 1}
    assert with_total_num_update(given)["total_num_update"] == 4 + 1 + 4


def test_a_config_without_it_is_left_alone(tmp_path: Path) -> None:
    assert with_total_num_update({"lr": 0.1}) == {"lr": 0.1}
    config = read_config(
        ROOT / "configs/dialogue/convai2_small/ce.yaml", ["decay_epochs=", "total_num_update=7"]
    )
    arguments = fairseq_arguments(config)
    assert arguments[arguments.index("--total-num-update") + 1] == "7"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay_epochs": 0}, "decay_epochs: 0, expected a number of epochs"),
        ({"decay_epochs": 2.5}, "decay_epochs: 2.5, expected a number of epochs"),
        ({"decay_epochs": 10**12}, "expected a number of epochs, such as 9, of at most 100,000"),
        ({"update_freq": [1, 0]}, r"update_freq: \[1, 0\], expected whole numbers from 1 on"),
        ({"update_freq": "x"}, "update_freq: 'x', expected whole numbers from 1 on"),
        ({"distributed_world_size": "2"}, "distributed_world_size: '2', expected whole numbers from 1 on"),
        ({"total_num_update": 5}, "expected one of them"),
        ({"max_tokens": 4000}, "total_num_update=UPDATES"),
        ({"batch_size": None}, "total_num_update=UPDATES"),
        (
            {"data": "nowhere"},
            "nowhere/manifest.json: cannot be read: No such file or directory; make the folder with",
        ),
    ],
)
def test_what_cannot_be_counted_is_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    data = data_folder(tmp_path / "data", 100)
    with pytest.raises(UserError, match=message):
        with_total_num_update({"data": data, "batch_size": 32, "decay_epochs": 9} | options)


@pytest.mark.parametrize("number", ["1e999", "-3", '"30"', "null", "2.5", "true"])
def test_a_manifest_of_something_else_is_refused(tmp_path: Path, number: str) -> None:
    (tmp_path / "manifest.json").write_text(f'{{"splits": {{"train": {{"exchanges": {number}}}}}}}')
    with pytest.raises(UserError, match="does not say how many exchanges"):
        with_total_num_update({"data": str(tmp_path), "batch_size": 32, "decay_epochs": 9})
